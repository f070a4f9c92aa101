//! PostgreSQL: options of the connections, and requirements of the database.

use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Statement};

use super::{DatabaseSettings, DatabaseTimeouts, Reader};
use crate::error::Error;

/// A connection that has been idle for this long is tested before it is used.
const TESTED_WHEN_IDLE_FOR: Duration = Duration::from_secs(1);

pub(super) fn pool(settings: &DatabaseSettings) -> ConnectOptions {
    let timeouts = settings.timeouts;
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(settings.connections)
        .acquire_timeout(timeouts.acquire)
        .connect_timeout(timeouts.acquire)
        .connect_lazy(true)
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(TESTED_WHEN_IDLE_FOR)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(move |options| tuned(options, timeouts));
    options
}

pub(super) fn tuned(options: PgConnectOptions, timeouts: DatabaseTimeouts) -> PgConnectOptions {
    let statement_timeout = format!("{}ms", timeouts.statement.as_millis());
    options.application_name("roster").options([
        ("statement_timeout", statement_timeout.as_str()),
        ("idle_in_transaction_session_timeout", "10s"),
        ("timezone", "UTC"),
        // Transactions choose their locks for this level; with a stricter default of the database they would fail.
        ("default_transaction_isolation", "read committed"),
        // Frequently read pages are in memory, where random access costs no more than sequential access.
        ("random_page_cost", "1.1"),
    ])
}

/// Checks that the encoding of the database can represent every name.
///
/// # Errors
/// `Internal` for another encoding than UTF-8; `Unavailable` with the reason if the database cannot be reached.
pub(super) async fn check_encoding(reader: &Reader) -> Result<(), Error> {
    let shown = Statement::from_string(DatabaseBackend::Postgres, "SELECT current_setting('server_encoding')");
    let row = reader.query_one_raw(shown).await?;
    let encoding: String = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::internal(format!(
        "the encoding of the database is {encoding}, expected UTF8: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
    )))
}

/// Returns whether another attempt to connect may succeed: the database does not respond, or it is starting.
#[must_use]
pub fn is_unreachable(error: &Error) -> bool {
    let Error::Unavailable(cause) = error else { return false };
    match cause.downcast_ref() {
        Some(DbErr::ConnectionAcquire(_)) => true,
        Some(DbErr::Conn(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) => {
            match error.as_ref() {
                // A proxy without a database behind it may close the connection in the middle of the handshake.
                sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
                sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
                _ => false,
            }
        }
        _ => false,
    }
}

/// The statement that lists all our tables, for `ANALYZE`.
pub(super) const LIST_TABLES: &str = "\
SELECT coalesce(string_agg(format('%I.%I', schemaname, tablename), ', '), '') FROM pg_tables
WHERE schemaname = current_schema() AND pg_has_role(tableowner, 'USAGE')";
