//! Checks of the database: its parameters, duplicate logins and weak password hashes.

use std::collections::BTreeMap;

use sea_orm::sea_query::Condition;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};

use crate::auth::password;
use crate::db::Db;
use crate::entity::credential;
use crate::error::Error;
use crate::login::{self, Duplicates};

/// The parameters of SQLite that are shown.
const PRAGMAS: [&str; 6] = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout", "cache_size", "page_count"];
/// The number of stored hashes that one statement reads.
const HASHES_AT_ONCE: u64 = 5_000;
/// The parameters of PostgreSQL that are shown.
const PARAMETERS: [&str; 8] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "max_connections",
    "server_encoding",
];

/// Returns the relevant parameters of the live connection, by name.
pub async fn parameters(db: &Db) -> Result<Vec<(&'static str, String)>, Error> {
    let mut found = Vec::new();
    if db.is_postgres() {
        for name in PARAMETERS {
            let row = ask(db, DatabaseBackend::Postgres, format!("SELECT current_setting('{name}')")).await?;
            found.push((name, row.map(|row| row.try_get_by_index::<String>(0)).transpose()?.unwrap_or_default()));
        }
        return Ok(found);
    }
    let row = ask(db, DatabaseBackend::Sqlite, "SELECT sqlite_version()".to_owned()).await?;
    found.push(("sqlite version", row.map(|row| row.try_get_by_index::<String>(0)).transpose()?.unwrap_or_default()));
    for name in PRAGMAS {
        let Some(row) = ask(db, DatabaseBackend::Sqlite, format!("PRAGMA {name}")).await? else { continue };
        let value = row
            .try_get_by_index::<i64>(0)
            .map(|value| value.to_string())
            .or_else(|_| row.try_get_by_index::<String>(0));
        found.push((name, value?));
    }
    Ok(found)
}

/// Returns the logins that identify two users each. They exist only in directories from before usernames and email addresses were
/// one namespace.
pub async fn duplicate_logins(db: &Db) -> Result<Duplicates, Error> {
    Ok(login::duplicates(db.read()).await?)
}

async fn ask(db: &Db, backend: DatabaseBackend, sql: String) -> Result<Option<sea_orm::QueryResult>, Error> {
    Ok(db.write().query_one_raw(Statement::from_string(backend, sql)).await?)
}

/// Describes how many weak password hashes of other systems are still stored, by family, and what to do about them.
pub async fn weak_passwords(db: &Db) -> Result<String, Error> {
    let mut families: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut last = None;
    loop {
        let hashes = credential::Entity::find()
            // Hashes made here are most of all, and are never weak.
            .filter(credential::Column::PasswordHash.not_like("$argon2id$%"))
            .filter(last.map_or_else(Condition::all, |last| Condition::all().add(credential::Column::UserId.gt(last))))
            .order_by_asc(credential::Column::UserId)
            .limit(HASHES_AT_ONCE)
            .all(db.read())
            .await?;
        for hash in &hashes {
            if let Some(family) = password::weakness(&hash.password_hash) {
                *families.entry(family).or_default() += 1;
            }
        }
        let Some(hash) = hashes.last() else { break };
        last = Some(hash.user_id);
    }
    Ok(match password::counted(&families) {
        None => "none".to_owned(),
        Some(counts) => format!(
            "{counts}; each is replaced when its user signs in. Send password resets to users who do not sign in, or deactivate them."
        ),
    })
}
