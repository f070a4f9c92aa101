//! `roster doctor`: prints the settings and the state of the database.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::backup_schedule::FailedBackup;
use super::config::{LogFormat, SchemaReaders, Settings};
use super::doctor;
use super::open::DATA_DIR;
use super::output::print_line;
use crate::auth::key_state::DatabaseKeys;
use crate::auth::key_use;
use crate::auth::server_key::{self, HeldKeys};
use crate::backup::directory::BackupDir;
use crate::backup::last_served::LastServed;
use crate::db::{self, Db};
use crate::http::DocumentPolicy;
use crate::text::counted;
use crate::{backup, private_file, startup};

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
    print_server_settings(settings)?;
    print_mail_settings(settings)?;
    let held = print_key(settings)?;
    let database = settings.database(DATA_DIR);
    print_log_settings(settings)?;
    print_backups(settings)?;
    print_line!("database connections  {} for reading", settings.database_connections)?;
    print_line!("database              {}", db::without_password(&database.url))?;
    if db::missing_file(&database.url).is_some() {
        print_line!("database file         missing, created at the first start")?;
        print_line!("migrations            {} pending", startup::migrations())?;
        return Ok(());
    }
    if let Some(file) = db::file_of(&database.url) {
        print_line!("database file         {}", with_exposure(&file))?;
    }
    let db = Db::connect(&settings.database_with_standby(DATA_DIR)).await?;
    print_standby(settings, &db).await?;
    print_database(&db, held.as_ref(), &settings.data_dir(DATA_DIR)).await
}

fn print_server_settings(settings: &Settings) -> io::Result<()> {
    let file = settings.config.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
    print_line!("settings file         {file}")?;
    print_line!("listen                {}", settings.listen)?;
    let metrics = settings.metrics_listen.as_ref().map_or("off".to_owned(), ToString::to_string);
    print_line!("metrics listen        {metrics}")?;
    print_line!("OTLP endpoint         {}", settings.otlp_endpoint.as_deref().unwrap_or("off"))?;
    print_line!("TLS                   {}", describe_tls(settings))?;
    print_line!("public URL            {}", settings.public_url(&settings.listen))?;
    print_line!("playground            {}", settings.playground)?;
    print_line!("documents             {}", describe_documents(settings))?;
    print_line!("introspection         {}", describe_readers(settings))?;
    let (connections, per_address) = (settings.max_connections, settings.max_connections_per_address());
    print_line!("max connections       {connections}, {per_address} per address")?;
    let proxies: Vec<String> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
    print_line!("trusted proxies       {}", if proxies.is_empty() { "none".to_owned() } else { proxies.join(", ") })?;
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

fn describe_tls(settings: &Settings) -> String {
    match (settings.read_tls(), &settings.tls.tls_cert) {
        (Err(reason), _) => reason,
        (Ok(_), Some(certificate)) => format!("certificate {}", certificate.display()),
        (Ok(_), None) => "off".to_owned(),
    }
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

/// Prints the data directory and the server keys. Returns the keys, if they can be used.
fn print_key(settings: &Settings) -> io::Result<Option<HeldKeys>> {
    print_line!("data directory        {}", with_exposure(settings.data_dir.as_deref().unwrap_or(DATA_DIR.as_ref())))?;
    let source = settings.key_source(DATA_DIR);
    let held = source.find();
    match &held {
        Ok(Some(_)) => print_line!("key                   {source}{}", exposure_of_key(&source))?,
        Ok(None) => print_line!("key                   {source}; missing, created at the first start")?,
        Err(error) => print_line!("key                   {source}: {error}")?,
    }
    let held = held.ok().flatten();
    for key in held.iter().flat_map(HeldKeys::all) {
        print_line!("key fingerprint       {}", key.fingerprint_text())?;
    }
    Ok(held)
}

/// Prints the schedule of backups, and the state of their directory.
fn print_backups(settings: &Settings) -> anyhow::Result<()> {
    let backups = &settings.backups;
    let (every, keep) = (backups.backup_every.map(humantime::format_duration), backups.backup_keep);
    match (&every, &backups.backup_dir) {
        (Some(every), Some(dir)) => {
            let encrypted =
                if settings.passphrase().is_ok_and(|passphrase| passphrase.is_some()) { ", encrypted" } else { "" };
            print_line!("backups               every {every} to {}, {keep} are kept{encrypted}", dir.display())?;
        }
        (Some(every), None) => print_line!("backups               every {every}, but there is no --backup-dir")?,
        (None, _) => print_line!("backups               not scheduled")?,
    }
    if let Some(dir) = &backups.backup_dir {
        let made = BackupDir::new(dir.clone()).list()?;
        match made.last() {
            Some(last) => {
                let at = last.at.format("%Y-%m-%d %H:%M:%S UTC");
                print_line!("last backup           {at}, {} bytes; {} in all", last.size, made.len())?;
            }
            None => print_line!("last backup           none yet")?,
        }
    }
    if let Some(failed) = FailedBackup::read(&settings.data_dir(DATA_DIR))? {
        let FailedBackup { at, error } = failed;
        print_line!("failed backup         {}: {error}", at.format("%Y-%m-%d %H:%M:%S UTC"))?;
    }
    print_left_over(settings)?;
    Ok(())
}

/// Prints the directories that killed processes have left in the places where copies of the database are made.
fn print_left_over(settings: &Settings) -> io::Result<()> {
    let database = db::file_of(&settings.database(DATA_DIR).url);
    let beside_database = database.map(|file| private_file::dir_of(&file).to_owned());
    let places = [beside_database, settings.backups.backup_dir.clone(), Some(std::env::temp_dir())];
    let places: BTreeSet<PathBuf> = places.into_iter().flatten().collect();
    for dir in places.iter().flat_map(|place| backup::left_over_in(place)) {
        let advice =
            "of a command that was killed; it may have a copy of the database, and the next backup there removes it";
        print_line!("left over             {}: {advice}", dir.display())?;
    }
    Ok(())
}

/// Prints whether the database contains the last audit event that this machine has served.
async fn print_last_served(db: &Db, data_dir: &std::path::Path) -> anyhow::Result<()> {
    let Some(last) = LastServed::read(&LastServed::file_in(data_dir))? else { return Ok(()) };
    let state = last.warning(db).await?.unwrap_or_else(|| "the database contains it".to_owned());
    print_line!("last served           event {}; {state}", last.event)?;
    Ok(())
}

/// Prints whether the held keys are those of the database, and what still needs the one that was replaced.
async fn print_keys_of(db: &Db, held: &HeldKeys) -> anyhow::Result<()> {
    let known = DatabaseKeys::read(db.read()).await?;
    let used = known.select(held);
    let match_text = match (&used, &known.current) {
        (_, None) => "none yet",
        (Some(_), _) => "matches",
        (None, _) => "does not match",
    };
    print_line!("key of the database   {match_text}")?;
    if let Some(current) = known.current.as_ref().filter(|_| known.is_rotating() || !known.retired.is_empty()) {
        print_line!("current key           {current}")?;
    }
    if let Some(next) = &known.next {
        print_line!("next key              {next}; `roster key rotate` makes it the current one")?;
    }
    let retired = known.retired.iter().filter(|fingerprint| held.find(fingerprint).is_some());
    for fingerprint in retired {
        print_line!("retired key           {fingerprint}; not used any more, remove it from the settings or the file")?;
    }
    let Some(old) = &known.old else { return Ok(()) };
    let since = old.since.format("%Y-%m-%d %H:%M:%S UTC");
    print_line!("old key               {}, replaced at {since}", old.fingerprint)?;
    if let Some(used) = &used {
        let remaining = key_use::count(db.read(), used.current(), old, None).await?;
        if !remaining.is_needed() {
            print_line!("                      nothing needs it: run `roster key retire`")?;
        }
        for line in remaining.lines() {
            print_line!("                      needed for {line}")?;
        }
    }
    Ok(())
}

/// Prints the standby that queries may read from, and its state.
async fn print_standby(settings: &Settings, db: &Db) -> io::Result<()> {
    let Some(url) = settings.read_url() else { return Ok(()) };
    let state = match (settings.check_standby(DATA_DIR), db.describe_standby().await) {
        (Err(reason), _) => reason,
        (Ok(()), state) => state.unwrap_or_default(),
    };
    print_line!("standby               {}; {state}", db::without_password(url))
}

async fn print_database(db: &Db, held: Option<&HeldKeys>, data_dir: &std::path::Path) -> anyhow::Result<()> {
    for (name, value) in doctor::parameters(db).await? {
        print_line!("{name:<21} {value}")?;
    }
    let state = db.schema_state().await?;
    let newer = if state.newer.is_empty() { String::new() } else { format!(", {} newer", state.newer.len()) };
    print_line!("migrations            {} pending{newer}", state.pending.len())?;
    state.check()?;
    if !state.pending.is_empty() {
        return Ok(());
    }
    if let Some(held) = held {
        print_keys_of(db, held).await?;
    }
    print_last_served(db, data_dir).await?;
    let duplicates = doctor::duplicate_logins(db).await?;
    let advice = if duplicates.count == 0 { "" } else { "; change one login of each pair" };
    print_line!("duplicate logins      {}{advice}", duplicates.count)?;
    for line in duplicates.lines() {
        print_line!("                      {line}")?;
    }
    match doctor::wrong_totals(db).await? {
        0 => print_line!("list totals           match the rows")?,
        wrong => print_line!("list totals           {wrong} differ from the rows")?,
    }
    let weak_passwords = doctor::weak_passwords(db).await?;
    print_line!("weak password hashes  {weak_passwords}")?;
    Ok(())
}
