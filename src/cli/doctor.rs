//! Checks of the database: its parameters, duplicate logins, the totals of lists, and weak password hashes.

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
use crate::scalar::Id;

/// The parameters of SQLite that are shown.
const PRAGMAS: [&str; 6] = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout", "cache_size", "page_count"];
/// Compares the totals of lists with their rows.
const WRONG_TOTALS: &str = include_str!("doctor/wrong_totals.sql");
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
    let mut parameters = Vec::new();
    if db.is_postgres() {
        for name in PARAMETERS {
            let row = query_one(db, DatabaseBackend::Postgres, format!("SELECT current_setting('{name}')")).await?;
            parameters.push((name, row.map(|row| row.try_get_by_index::<String>(0)).transpose()?.unwrap_or_default()));
        }
        return Ok(parameters);
    }
    let row = query_one(db, DatabaseBackend::Sqlite, "SELECT sqlite_version()".to_owned()).await?;
    parameters
        .push(("sqlite version", row.map(|row| row.try_get_by_index::<String>(0)).transpose()?.unwrap_or_default()));
    for name in PRAGMAS {
        let Some(row) = query_one(db, DatabaseBackend::Sqlite, format!("PRAGMA {name}")).await? else { continue };
        let value = row
            .try_get_by_index::<i64>(0)
            .map(|value| value.to_string())
            .or_else(|_| row.try_get_by_index::<String>(0));
        parameters.push((name, value?));
    }
    Ok(parameters)
}

/// Returns the logins that identify two users each. They exist only in directories from before usernames and email addresses were
/// one namespace.
pub async fn duplicate_logins(db: &Db) -> Result<Duplicates, Error> {
    Ok(login::find_duplicates(db.read()).await?)
}

/// Returns the number of lists whose total is not the number of their rows.
pub async fn wrong_totals(db: &Db) -> Result<i64, Error> {
    let statement = Statement::from_string(db.read().get_database_backend(), WRONG_TOTALS);
    let row = db.read().query_one_raw(statement).await?;
    Ok(row.map(|row| row.try_get("", "total")).transpose()?.unwrap_or_default())
}

async fn query_one(db: &Db, backend: DatabaseBackend, sql: String) -> Result<Option<sea_orm::QueryResult>, Error> {
    Ok(db.write().query_one_raw(Statement::from_string(backend, sql)).await?)
}

/// Describes how many weak password hashes of other systems are still stored, by family; `None` if there are none.
pub async fn weak_passwords(db: &Db) -> Result<Option<String>, Error> {
    let mut families: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut last_user_id: Option<Id> = None;
    loop {
        let rest = last_user_id.map(|id| credential::Column::UserId.gt(id));
        let hashes = credential::Entity::find()
            // The hashes that Roster makes itself are never weak, and are most of them.
            .filter(credential::Column::PasswordHash.not_like("$argon2id$%"))
            .filter(Condition::all().add_option(rest))
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
        last_user_id = Some(hash.user_id);
    }
    Ok(password::format_counts(&families))
}
