//! The manifest of a backup: what it is a backup of, and how to recognise that it is complete.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use crate::error::Error;
use crate::startup::{AppliedMigration, RecordedKind, SchemaState};

/// The version of the format of backups that this program writes.
pub(super) const FORMAT: u32 = 1;

/// The kind of database that was backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl DatabaseKind {
    /// Returns the name of the kind, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Returns the name of the part of a backup that holds the database.
    #[must_use]
    pub const fn part(self) -> &'static str {
        match self {
            Self::Sqlite => "roster.db",
            Self::Postgres => "roster.dump",
        }
    }
}

/// A part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    /// The length in bytes.
    pub size: u64,
    /// The SHA-256 of the part, in hexadecimal.
    pub sha256: String,
}

/// The manifest of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The version of Roster that made the backup.
    pub roster: String,
    /// When the backup was begun.
    pub created_at: DateTime<Utc>,
    pub database: DatabaseKind,
    /// The schema of PostgreSQL that holds the tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_schema: Option<String>,
    /// The last migration that had been applied.
    pub schema_version: String,
    /// All migrations that had been applied, with what the database says of each. Earlier versions did not write them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<AppliedMigration>,
    /// The fingerprint of the server key, in hexadecimal. It does not reveal the key. `None` if the database has no key yet.
    pub key_fingerprint: Option<String>,
    /// The fingerprint of the server key that was replaced and was still needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_key_fingerprint: Option<String>,
    /// The number of the last audit event, which is also the position of the changes; 0 if there is none.
    pub last_event: i64,
    /// The hash of the last audit event, in hexadecimal.
    pub last_hash: String,
    /// The number of rows, by table.
    pub counts: BTreeMap<String, u64>,
    pub parts: Vec<Part>,
}

impl Manifest {
    pub(super) fn new(kind: DatabaseKind, created_at: DateTime<Utc>, contents: Contents, part: Part) -> Self {
        Self {
            format: FORMAT,
            roster: env!("CARGO_PKG_VERSION").to_owned(),
            created_at,
            database: kind,
            postgres_schema: contents.postgres_schema,
            schema_version: contents.schema_version,
            migrations: contents.migrations,
            key_fingerprint: contents.key_fingerprint,
            old_key_fingerprint: contents.old_key_fingerprint,
            last_event: contents.last_event,
            last_hash: contents.last_hash,
            counts: contents.counts,
            parts: vec![part],
        }
    }

    /// Returns the number of rows of a table; 0 if it is not counted.
    #[must_use]
    pub fn count(&self, table: &str) -> u64 {
        self.counts.get(table).copied().unwrap_or_default()
    }

    /// Returns the fingerprints of the server keys that the backup needs, the current one first.
    #[must_use]
    pub fn needed_keys(&self) -> Vec<&str> {
        self.key_fingerprint.as_deref().into_iter().chain(self.old_key_fingerprint.as_deref()).collect()
    }

    /// Checks that this program works with the tables of the backup, as with those of a database.
    ///
    /// # Errors
    /// Those of [`SchemaState::check`].
    pub(super) fn check_schema(&self) -> Result<(), Error> {
        let mut applied = self.migrations.clone();
        if applied.iter().all(|migration| migration.name != self.schema_version) {
            applied.push(AppliedMigration { name: self.schema_version.clone(), kind: RecordedKind::Unrecorded });
        }
        SchemaState::of(applied).check()
    }

    /// Parses a manifest, and checks that this program can read the rest of the backup.
    pub(super) fn parse(json: &[u8]) -> anyhow::Result<Self> {
        let value: serde_json::Value = serde_json::from_slice(json).context("its manifest is not valid JSON")?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) if format > u64::from(FORMAT) => {
                bail!("a newer version of Roster made it (format {format}); restore it with that version")
            }
            _ => bail!("its manifest has no valid format number"),
        }
        let manifest: Self = serde_json::from_value(value).context("its manifest is incomplete")?;
        let names: Vec<&str> = manifest.parts.iter().map(|part| part.name.as_str()).collect();
        let expected = manifest.database.part();
        ensure!(names == [expected], "its manifest lists the parts {names:?}, expected {expected:?}");
        Ok(manifest)
    }

    /// Returns the differences between what the manifest says and what a restored database contains.
    pub(super) fn differences(&self, restored: &Contents) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, expected: &dyn std::fmt::Display, actual: &dyn std::fmt::Display| {
            let (expected, actual) = (expected.to_string(), actual.to_string());
            if expected != actual {
                found.push(format!("{what}: the manifest says {expected}, the restored database has {actual}"));
            }
        };
        let key = |key: &Option<String>| key.clone().unwrap_or_else(|| "none".to_owned());
        compare("schema version", &self.schema_version, &restored.schema_version);
        compare("key fingerprint", &key(&self.key_fingerprint), &key(&restored.key_fingerprint));
        compare("old key fingerprint", &key(&self.old_key_fingerprint), &key(&restored.old_key_fingerprint));
        compare("last audit event", &self.last_event, &restored.last_event);
        compare("hash of the last audit event", &self.last_hash, &restored.last_hash);
        for (table, expected) in &self.counts {
            compare(table, expected, &restored.counts.get(table).copied().unwrap_or_default());
        }
        found
    }
}
