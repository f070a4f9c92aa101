//! How the database is set, as it says itself.

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use crate::db::Db;
use crate::error::Error;

/// What SQLite is asked for.
const PRAGMAS: [&str; 6] = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout", "cache_size", "page_count"];
/// What PostgreSQL is asked for.
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

/// The parameters of the live connection that matter here, by name.
///
/// # Errors
/// Whatever the database says.
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

async fn ask(db: &Db, backend: DatabaseBackend, sql: String) -> Result<Option<sea_orm::QueryResult>, Error> {
    Ok(db.write().query_one_raw(Statement::from_string(backend, sql)).await?)
}
