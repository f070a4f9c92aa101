//! The contents of a database: the facts that the manifest of its backup states.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use sea_orm::{ConnectionTrait, DatabaseBackend, QueryResult, Statement};

use crate::audit;
use crate::startup::{self, AppliedMigration};

/// The tables whose rows are counted: all but those of which a backup has no rows, and those that follow from others.
const COUNTED: [&str; 19] = [
    "api_keys",
    "attribute_definitions",
    "attribute_values",
    "audit_events",
    "audit_inbox",
    "avatars",
    "credentials",
    "erased_references",
    "groups",
    "institutions",
    "invitations",
    "licenses",
    "mails",
    "memberships",
    "pins",
    "site_access",
    "tombstones",
    "trusted_documents",
    "users",
];

/// The contents of a database, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) postgres_schema: Option<String>,
    pub(super) migrations: Vec<AppliedMigration>,
    pub(super) schema_version: String,
    pub(super) key_fingerprint: Option<String>,
    pub(super) old_key_fingerprint: Option<String>,
    pub(super) last_event: i64,
    pub(super) last_hash: String,
    pub(super) counts: BTreeMap<String, u64>,
}

impl Contents {
    /// Reads what the database contains. The tables may be those of an earlier version.
    pub(super) async fn read(connection: &impl ConnectionTrait) -> anyhow::Result<Self> {
        let tables = tables(connection).await?;
        let migrations = startup::applied_migrations(connection).await?;
        let last = migrations.last().context("the database has no tables of Roster")?;
        let schema_version = last.name.clone();
        let mut counts = BTreeMap::new();
        let counted: Vec<&str> = COUNTED.into_iter().filter(|table| tables.contains(*table)).collect();
        for table in counted {
            let row = query(connection, &format!("SELECT count(*) FROM \"{table}\"")).await?;
            let count: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
            counts.insert(table.to_owned(), u64::try_from(count).unwrap_or_default());
        }
        let (last_event, last_hash) = if tables.contains("audit_head") {
            let head = audit::Head::current(connection).await?;
            (head.seq, hex::encode(head.hash))
        } else {
            (0, String::new())
        };
        Ok(Self {
            postgres_schema: postgres_schema(connection).await?,
            migrations,
            schema_version,
            key_fingerprint: if tables.contains("server_key") { fingerprint(connection).await? } else { None },
            old_key_fingerprint: if tables.contains("other_server_keys") { old_key(connection).await? } else { None },
            last_event,
            last_hash,
            counts,
        })
    }
}

async fn query(connection: &impl ConnectionTrait, sql: &str) -> anyhow::Result<Option<QueryResult>> {
    Ok(connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql)).await?)
}

/// Returns the names of the tables of the database; on PostgreSQL, of its current schema.
pub(super) async fn tables(connection: &impl ConnectionTrait) -> anyhow::Result<BTreeSet<String>> {
    let backend = connection.get_database_backend();
    let list = if backend == DatabaseBackend::Postgres {
        "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    };
    let rows = connection.query_all_raw(Statement::from_string(backend, list)).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

async fn fingerprint(connection: &impl ConnectionTrait) -> anyhow::Result<Option<String>> {
    let row = query(connection, "SELECT fingerprint FROM server_key").await?;
    let fingerprint: Option<Vec<u8>> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(fingerprint.map(hex::encode))
}

/// Returns the fingerprint of the server key that was replaced and still verifies.
async fn old_key(connection: &impl ConnectionTrait) -> anyhow::Result<Option<String>> {
    let row = query(connection, "SELECT fingerprint FROM other_server_keys WHERE state = 'OLD'").await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Returns the schema of PostgreSQL that holds the tables.
pub(super) async fn postgres_schema(connection: &impl ConnectionTrait) -> anyhow::Result<Option<String>> {
    if connection.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(None);
    }
    let row = query(connection, "SELECT current_schema()::text").await?;
    let schema: Option<Option<String>> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(Some(schema.flatten().context("no schema of search_path exists in the database")?))
}
