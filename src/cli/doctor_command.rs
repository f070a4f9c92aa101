//! `roster doctor`: prints the settings and the state of the database.

use super::config::{LogFormat, SchemaReaders, Settings};
use super::doctor;
use super::open::DATA_DIR;
use crate::auth::server_key::{self, Key};
use crate::db::{self, Db};
use crate::http::DocumentPolicy;
use crate::{private_file, startup};

/// Returns the path of a file or directory, with a remark if users other than its owner may access it.
fn with_exposure(path: &std::path::Path) -> String {
    format!("{}{}", path.display(), exposure(path))
}

fn exposure(path: &std::path::Path) -> String {
    let mode = private_file::mode_for_others(path);
    mode.map(|mode| format!("; open to other users of this machine (mode {mode:04o})")).unwrap_or_default()
}

fn exposure_of_key(source: &server_key::Source) -> String {
    match source {
        server_key::Source::File(file) => exposure(file),
        server_key::Source::Setting(_) => String::new(),
    }
}

pub async fn examine(settings: &Settings) -> anyhow::Result<()> {
    print_server_settings(settings);
    print_mail_settings(settings);
    let key = print_key(settings);
    let database = settings.database(DATA_DIR);
    print_log_settings(settings);
    println!("database connections  {} for reading", settings.database_connections);
    println!("database              {}", db::without_password(&database.url));
    if db::missing_file(&database.url).is_some() {
        println!("database file         missing, created at the first start");
        println!("migrations            {} pending", startup::migrations());
        return Ok(());
    }
    if let Some(file) = db::file_of(&database.url) {
        println!("database file         {}", with_exposure(&file));
    }
    print_database(&Db::connect(&database).await?, key.as_ref()).await
}

fn print_server_settings(settings: &Settings) {
    println!("listen                {}", settings.listen);
    println!("public URL            {}", settings.public_url(&settings.listen));
    println!("playground            {}", settings.playground);
    println!("documents             {}", describe_documents(settings));
    println!("introspection         {}", describe_readers(settings));
    let (connections, per_address) = (settings.max_connections, settings.max_connections_per_address());
    println!("max connections       {connections}, {per_address} per address");
    let proxies: Vec<String> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
    println!("trusted proxies       {}", if proxies.is_empty() { "none".to_owned() } else { proxies.join(", ") });
    println!("request deadline      {} s", settings.request_seconds);
    println!("sessions              {} days, {} hours without use", settings.session_days, settings.session_idle_hours);
    println!("wrong secrets         {} per address within 15 minutes", settings.wrong_secrets_per_address);
    println!("password length       at least {} characters", settings.password_length);
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

fn print_log_settings(settings: &Settings) {
    let format = match settings.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    println!("log                   {}", settings.log);
    println!("log format            {format}");
}

fn print_mail_settings(settings: &Settings) {
    let mail = &settings.mail;
    match mail.smtp_url() {
        Some(url) => println!("mail                  {url}, timeout {} s", mail.smtp_seconds),
        None => println!("mail                  files in {}", settings.mail_dir(DATA_DIR).display()),
    }
    if let Some(custom_ca) = &mail.smtp_ca {
        println!("mail CA               {}", custom_ca.file().display());
    }
    println!("mail from             {}", settings.mail_from(&settings.public_url(&settings.listen)));
    println!("next URLs             {}", settings.next_urls(&settings.public_url(&settings.listen)));
    println!("registration          {}", settings.registration.as_deref().unwrap_or("disabled"));
}

/// Prints the data directory and the server key. Returns the key, if it can be used.
fn print_key(settings: &Settings) -> Option<Key> {
    println!("data directory        {}", with_exposure(settings.data_dir.as_deref().unwrap_or(DATA_DIR.as_ref())));
    let source = settings.key_source(DATA_DIR);
    let key = source.find();
    match &key {
        Ok(Some(_)) => println!("key                   {source}{}", exposure_of_key(&source)),
        Ok(None) => println!("key                   {source}; missing, created at the first start"),
        Err(error) => println!("key                   {source}: {error}"),
    }
    key.ok().flatten()
}

async fn print_database(db: &Db, key: Option<&Key>) -> anyhow::Result<()> {
    for (name, value) in doctor::parameters(db).await? {
        println!("{name:<21} {value}");
    }
    let pending = db.pending_migrations().await?;
    println!("migrations            {pending} pending");
    if pending > 0 {
        return Ok(());
    }
    if let Some(key) = key {
        let match_text = match server_key::fingerprint_of(db).await? {
            Some(fingerprint) if fingerprint == key.fingerprint() => "matches",
            Some(_) => "does not match",
            None => "none yet",
        };
        println!("key of the database   {match_text}");
    }
    let duplicates = doctor::duplicate_logins(db).await?;
    let advice = if duplicates.count == 0 { "" } else { "; change one login of each pair" };
    println!("duplicate logins      {}{advice}", duplicates.count);
    duplicates.lines().for_each(|line| println!("                      {line}"));
    println!("weak password hashes  {}", doctor::weak_passwords(db).await?);
    Ok(())
}
