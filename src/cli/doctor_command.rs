//! `roster doctor`: prints the settings and the state of the database, and what should be done.

mod backups;
mod database;
mod findings;
mod keys;

use std::io;

use anyhow::Context as _;

pub use self::findings::Findings;
use self::findings::NOT_STARTING;
use super::config::{Listen, LogFormat, SchemaReaders, Settings};
use super::open::{DATA_DIR, setting_of_database};
use super::output::print_line;
use crate::db::{self, Db};
use crate::http::DocumentPolicy;
use crate::startup;
use crate::text::counted;

/// Examines the settings, of which some caused warnings, and the database. Findings are an error, which is printed already.
pub async fn examine(settings: &Settings, warnings: &[String]) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    for warning in warnings {
        let (state, advice) = warning.split_once("; ").unwrap_or((warning.as_str(), ""));
        findings.warn(state, advice);
    }
    let examined = examine_all(settings, &mut findings).await;
    if examined.is_ok() || !findings.is_empty() {
        findings.print()?;
    }
    examined?;
    findings.into_result()
}

async fn examine_all(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    print_server_settings(settings, findings)?;
    print_mail_settings(settings)?;
    let data_dir = settings.data_dir(DATA_DIR);
    print_line!("data directory        {}{}", data_dir.display(), findings.remark_on_access(&data_dir))?;
    let held = keys::print_source(settings, findings)?;
    let database = settings.database(DATA_DIR);
    print_log_settings(settings)?;
    backups::print_backups(settings, findings)?;
    print_line!("database connections  {} for reading", settings.database_connections)?;
    print_line!("database              {}", db::without_password(&database.url))?;
    if db::missing_file(&database.url).is_some() {
        print_line!("database file         missing, created at the first start")?;
        print_line!("migrations            {} pending", startup::migrations())?;
        return Ok(());
    }
    if let Some(file) = db::file_of(&database.url) {
        print_line!("database file         {}{}", file.display(), findings.remark_on_access(&file))?;
    }
    let db = Db::connect(&settings.database_with_standby(DATA_DIR)).await.map_err(anyhow::Error::from);
    let db = db.with_context(|| setting_of_database(settings, DATA_DIR))?;
    database::print_standby(settings, &db, findings).await?;
    database::print_database(settings, &db, held.as_ref(), findings).await
}

fn print_server_settings(settings: &Settings, findings: &mut Findings) -> io::Result<()> {
    let file = settings.config.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
    print_line!("settings file         {file}")?;
    print_line!("listen                {}", settings.listen)?;
    let metrics = settings.metrics_listen.as_ref().map_or("off".to_owned(), ToString::to_string);
    print_line!("metrics listen        {metrics}")?;
    print_line!("OTLP endpoint         {}", settings.otlp_endpoint.as_deref().unwrap_or("off"))?;
    print_line!("TLS                   {}", describe_tls(settings, findings))?;
    print_line!("public URL            {}", settings.public_url(&settings.listen))?;
    print_line!("playground            {}", settings.playground)?;
    print_line!("documents             {}", describe_documents(settings))?;
    print_line!("introspection         {}", describe_readers(settings))?;
    let (connections, per_address) = (settings.max_connections, settings.max_connections_per_address());
    print_line!("max connections       {connections}, {per_address} per address")?;
    print_line!("trusted proxies       {}", describe_proxies(settings, findings))?;
    let origins = settings.all_allowed_origins(&settings.public_url(&settings.listen));
    let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
    print_line!("allowed origins       {}", origins.join(", "))?;
    print_line!("request deadline      {} s", settings.request_seconds)?;
    print_line!(
        "sessions              {}, {} without use",
        counted(settings.session_days, "day", "days"),
        counted(settings.session_idle_hours, "hour", "hours")
    )?;
    print_line!("wrong secrets         {} per address within 15 minutes", settings.wrong_secrets_per_address)?;
    print_line!("password length       at least {} characters", settings.password_length)
}

fn describe_tls(settings: &Settings, findings: &mut Findings) -> String {
    match (settings.read_tls(), &settings.tls.tls_cert) {
        (Err(reason), _) => {
            findings.problem(&reason, NOT_STARTING);
            reason
        }
        (Ok(_), Some(certificate)) => format!("certificate {}", certificate.display()),
        (Ok(_), None) => "off".to_owned(),
    }
}

fn describe_proxies(settings: &Settings, findings: &mut Findings) -> String {
    if !settings.trusted_proxies.is_empty() {
        let proxies: Vec<String> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
        return proxies.join(", ");
    }
    let is_behind_proxy = settings.public_url(&settings.listen).starts_with("https://") && !settings.tls.is_set();
    // Whoever can open a Unix socket is trusted.
    if is_behind_proxy && !matches!(settings.listen, Listen::Unix(_)) {
        findings.warn(
            "the proxy that speaks TLS is not trusted: all users share the limits of its address",
            "name the addresses from which it connects with --trusted-proxies (ROSTER_TRUSTED_PROXIES)",
        );
    }
    "none".to_owned()
}

fn describe_documents(settings: &Settings) -> &'static str {
    match settings.documents.policy(settings.playground) {
        DocumentPolicy::Any => "any",
        DocumentPolicy::TrustedOnly { for_playground: false } => "trusted only",
        DocumentPolicy::TrustedOnly { for_playground: true } => "trusted only, and any for administrators",
    }
}

fn describe_readers(settings: &Settings) -> &'static str {
    match settings.documents.introspection {
        SchemaReaders::Everyone => "everyone",
        SchemaReaders::Administrators => "administrators",
        SchemaReaders::Nobody => "nobody",
    }
}

fn print_log_settings(settings: &Settings) -> io::Result<()> {
    let format = match settings.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    print_line!("log                   {}", settings.log)?;
    print_line!("log format            {format}")
}

fn print_mail_settings(settings: &Settings) -> io::Result<()> {
    let mail = &settings.mail;
    match mail.smtp_url() {
        Some(url) => print_line!("mail                  {url}, timeout {} s", mail.smtp_seconds)?,
        None => print_line!("mail                  files in {}", settings.mail_dir(DATA_DIR).display())?,
    }
    if let Some(custom_ca) = &mail.smtp_ca {
        print_line!("mail CA               {}", custom_ca.file().display())?;
    }
    print_line!("mail from             {}", settings.mail_from(&settings.public_url(&settings.listen)))?;
    print_line!("next URLs             {}", settings.next_urls(&settings.public_url(&settings.listen)))?;
    print_line!("registration          {}", settings.registration.as_deref().unwrap_or("disabled"))
}
