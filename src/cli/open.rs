//! Opens the database of a command, with the server key that its secrets were made with.

use std::{fmt, io};

use anyhow::Context as _;
use tempfile::TempDir;

use super::config::Settings;
use super::output::announce;
use crate::audit::sealer;
use crate::auth::key_ring::ServerKeys;
use crate::auth::key_state::{self, DatabaseKeys};
use crate::auth::password::Hasher;
use crate::auth::server_key::{self, HeldKeys, Key};
use crate::db::{self, DatabaseSettings, Db};
use crate::text::counted;
use crate::{private_file, startup};

/// The default data directory.
pub(super) const DATA_DIR: &str = "roster-data";

/// The default data directory of the demo.
pub(super) const DEMO_DIR: &str = "roster-demo";

const OTHER_KEY: &str = "the passwords in this database were hashed with another key; use that key, as ROSTER_KEY or as \
                           a copy of the other instance's key file at --key-file (ROSTER_KEY_FILE)";

/// A setting that cannot be used, and the reason.
#[derive(Debug)]
pub struct WrongSetting(pub(super) String);

impl fmt::Display for WrongSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WrongSetting {}

/// Opens the database, with pending migrations applied.
pub(super) async fn open(settings: &Settings, default_dir: &str) -> anyhow::Result<Db> {
    let db = Db::open(&settings.database(default_dir)).await;
    db.map_err(anyhow::Error::from).with_context(|| setting_of_database(settings, default_dir))
}

/// Opens the database as [`open`] does, with the standby that is read from.
pub(super) async fn open_with_standby(settings: &Settings, default_dir: &str) -> anyhow::Result<Db> {
    settings.check_standby(default_dir).map_err(WrongSetting)?;
    let db = Db::open(&settings.database_with_standby(default_dir)).await;
    db.map_err(anyhow::Error::from).with_context(|| setting_of_database(settings, default_dir))
}

/// Opens the database of a command that only reads. Creates neither the database nor the key: if there is no database yet, the
/// command gets what a new one contains, in a temporary directory that must be kept as long as the database.
pub(super) async fn open_unchanged(settings: &Settings, default_dir: &str) -> anyhow::Result<(Db, Option<TempDir>)> {
    let database = settings.database(default_dir);
    if db::missing_file(&database.url).is_none() {
        let db = Db::connect(&database).await.map_err(anyhow::Error::from);
        let db = db.with_context(|| setting_of_database(settings, default_dir))?;
        let pending = db.pending_migrations().await?;
        if pending == 0 {
            check_key_of(&db, &settings.key_source(default_dir)).await?;
            return Ok((db, None));
        }
        let is_new = pending == startup::migrations();
        anyhow::ensure!(
            is_new,
            "the tables are not up to date: {}; run `roster migrate`",
            counted(pending, "migration is pending", "migrations are pending")
        );
        db.close().await?;
    }
    let dir = tempfile::tempdir()?;
    let db = Db::open(&DatabaseSettings::new(db::url_of(&dir.path().join("roster.db")), 1)).await?;
    Ok((db, Some(dir)))
}

/// Returns the setting that names the database, for errors.
pub(super) fn setting_of_database(settings: &Settings, default_dir: &str) -> String {
    let url = || db::without_password(&settings.database(default_dir).url);
    match &settings.data_dir {
        _ if settings.database_url.is_some() => format!("--database-url {} (DATABASE_URL)", url()),
        _ if settings.database_url_in_file.is_some() => format!("--database-url-file (DATABASE_URL_FILE): {}", url()),
        Some(dir) => format!("--data-dir {} (ROSTER_DATA_DIR)", dir.display()),
        None => format!("--data-dir {default_dir}, the default (ROSTER_DATA_DIR)"),
    }
}

/// Opens the database with the server key that its secrets were made with.
pub(super) async fn open_with_key(settings: &Settings, default_dir: &str) -> anyhow::Result<(Db, Hasher)> {
    let db = open(settings, default_dir).await?;
    let hasher = hasher_of(&db, settings, default_dir).await?;
    Ok((db, hasher))
}

/// Returns the hasher with the server key that the secrets of a database were made with. Creates the key of a new database.
pub(super) async fn hasher_of(db: &Db, settings: &Settings, default_dir: &str) -> anyhow::Result<Hasher> {
    let source = settings.key_source(default_dir);
    if let (None, server_key::Source::File(file)) = (&settings.key_file, &source) {
        private_file::restrict(file);
    }
    // If the database has a key already, a new one would be useless. The database is checked before a key is created, because
    // other processes may start at the same time.
    let has_key = DatabaseKeys::read(db.read()).await?.current.is_some();
    let held = if has_key { source.find() } else { keys_of_new_database(settings, &source, default_dir).map(Some) };
    let held = held.map_err(|error| unusable_key(&source, error))?;
    if let (false, Some(held)) = (has_key, &held) {
        key_state::bind(db, held.first()).await?;
    }
    let known = DatabaseKeys::read(db.read()).await?;
    let keys = held.and_then(|held| known.select(&held));
    Ok(settings.hasher(keys.ok_or_else(|| other_key(&source, &known))?))
}

/// Returns the server keys for a new database, and says so if that creates their file: whoever runs a command before the first start
/// must know that there is something to keep.
fn keys_of_new_database(settings: &Settings, source: &server_key::Source, default_dir: &str) -> io::Result<HeldKeys> {
    let (keys, is_new) = source.find_or_create()?;
    // Nobody keeps a demo.
    if let (true, server_key::Source::File(file)) = (is_new && default_dir != DEMO_DIR, source) {
        let advice = "keep a copy apart from the backups, because without it no password works";
        announce(settings.log_format, format_args!("Created the server key in {}: {advice}.", file.display()));
    }
    Ok(keys)
}

/// Returns the hasher of a command that only reads: that of a random key, which is not kept, if there is no server key yet.
pub(super) fn hasher_unchanged(settings: &Settings, default_dir: &str) -> Result<Hasher, WrongSetting> {
    let source = settings.key_source(default_dir);
    let held = source.find().and_then(|held| held.map_or_else(|| Key::random().map(HeldKeys::from), Ok));
    Ok(settings.hasher(ServerKeys::from(held.map_err(|error| unusable_key(&source, error))?)))
}

/// Rejects a server key with which the secrets of a database were not made.
async fn check_key_of(db: &Db, source: &server_key::Source) -> anyhow::Result<()> {
    let known = DatabaseKeys::read(db.read()).await?;
    if known.current.is_none() {
        return Ok(());
    }
    let held = source.find().map_err(|error| unusable_key(source, error))?;
    if held.is_none_or(|held| known.select(&held).is_none()) {
        return Err(other_key(source, &known).into());
    }
    Ok(())
}

/// Closes the database of a command that writes, with what it wrote in the chain of the audit trail.
pub(super) async fn close(db: Db) -> anyhow::Result<()> {
    sealer::seal_for_command(&db).await;
    Ok(db.close().await?)
}

/// Rejects a server key that cannot be used, before anything else happens.
pub(super) fn check_key(settings: &Settings, default_dir: &str) -> anyhow::Result<()> {
    let source = settings.key_source(default_dir);
    source.find().map_err(|error| unusable_key(&source, error))?;
    Ok(())
}

/// Names the server keys with several fingerprints.
pub(super) fn keys_with(fingerprints: &[&str]) -> String {
    let key = if fingerprints.len() == 1 { "key" } else { "keys" };
    format!("the server {key} with the fingerprint {}", fingerprints.join(" and "))
}

/// Rejects server keys among which one that the database needs is missing.
pub(super) fn other_key(source: &server_key::Source, known: &DatabaseKeys) -> WrongSetting {
    unusable_key(source, format!("{OTHER_KEY} (it needs {})", keys_with(&known.needed())))
}

pub(super) fn unusable_key(source: &server_key::Source, reason: impl fmt::Display) -> WrongSetting {
    WrongSetting(format!("{source}: {reason}"))
}
