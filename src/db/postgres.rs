//! PostgreSQL: connections, their settings, and requirements of the database.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, RuntimeErr, Statement};
use tokio::sync::watch;

use super::hosts::{Pooler, Servers};
use super::pool::Connections;
use super::primary::Primary;
use super::reader::{Standby, StandbyAddress, StandbyMetrics};
use super::target::{Initializer, SessionSetup, Source, Target};
use super::{DatabaseSettings, DatabaseTimeouts, Reader, StatementCounter};
use crate::error::{Error, describe};

/// A connection that has been idle for this long is tested before it is used.
const TESTED_WHEN_IDLE_FOR: Duration = Duration::from_secs(1);
/// Frequently read pages are in memory, where random access costs no more than sequential access.
const RANDOM_PAGE_COST: &str = "1.1";
const DROPPED_SETTINGS: &str = "the settings of the connection do not reach the database, as behind a connection pooler: add \
                                pooler=session or pooler=transaction to the URL";

/// The connections to PostgreSQL.
pub(super) struct Connected {
    pub(super) reader: Reader,
    pub(super) background: Reader,
    /// The connections for transactions.
    pub(super) pool: DatabaseConnection,
    /// The connections for single statements that write; `None` behind a connection pooler that gives each transaction another one.
    pub(super) single: Option<Arc<Connections<PgConnection>>>,
    /// Follows the server that accepts writes, if there may be another one.
    pub(super) primary: Option<Arc<Primary>>,
    /// The statements with which each transaction begins, after its isolation level.
    pub(super) transaction_settings: Option<Arc<str>>,
}

/// Connects to the server of a URL, or to the first one of several that accepts writes.
pub(super) async fn connect(settings: &DatabaseSettings, meter: &StatementCounter) -> Result<Connected, Error> {
    let timeouts = settings.timeouts;
    let mut servers = Servers::parse(&settings.url).map_err(Error::internal)?;
    let pooler = servers.pooler;
    servers.hosts = servers.hosts.into_iter().map(|options| tuned(options, timeouts, pooler)).collect();
    let setup = SessionSetup { settings: session_settings(timeouts, pooler), only_writable: servers.only_writable };
    let transaction_settings = transaction_settings(timeouts, pooler);

    let found = Primary::find(servers.hosts, setup.clone(), timeouts.acquire).await;
    let (primary, watched) = found.map_err(explain)?;
    let source = || {
        let begin = transaction_settings.as_ref().map(|set| format!("BEGIN; {READ_COMMITTED}; {set}").into());
        Source { target: primary.target(), initializer: Box::new(setup.clone()), begin }
    };
    let reader = |most: u32| Reader::postgres(source(), most, timeouts, meter.clone());
    let (reader, background) = (reader(settings.connections), reader(settings.connections.div_ceil(2)));
    let single = || Connections::new(source(), settings.connections, timeouts.acquire);
    let single = transaction_settings.is_none().then(single);
    check_encoding(&reader, pooler).await.map_err(explain)?;
    let pool = pool(settings, &setup, primary.target());
    let primary = Arc::new(primary);
    let is_followed = setup.only_writable;
    if is_followed {
        tokio::spawn(Primary::follow(Arc::downgrade(&primary), pool.clone(), watched));
    }
    let pool = DatabaseConnection::from(pool);
    Ok(Connected { reader, background, pool, single, primary: is_followed.then_some(primary), transaction_settings })
}

/// Returns the standby that queries may read from, if there is the URL of one.
pub(super) fn standby(settings: &DatabaseSettings, metrics: &StandbyMetrics) -> Result<Option<Arc<Standby>>, Error> {
    let (Some(url), timeouts) = (&settings.read_url, settings.timeouts) else { return Ok(None) };
    let Servers { hosts, pooler, .. } = Servers::parse(url).map_err(Error::internal)?;
    let host = hosts.into_iter().next().ok_or_else(|| Error::internal("the URL of the standby has no host"))?;
    let address = StandbyAddress {
        options: tuned(host, timeouts, pooler),
        setup: SessionSetup { settings: session_settings(timeouts, pooler), only_writable: false },
    };
    Ok(Some(Standby::start(address, settings, metrics.clone())))
}

/// Returns the pool of the connections for transactions.
fn pool(
    settings: &DatabaseSettings,
    setup: &SessionSetup,
    target: watch::Receiver<Target<PgConnectOptions>>,
) -> sqlx::PgPool {
    let (setup, options) = (setup.clone(), target.borrow().options.clone());
    PgPoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(settings.timeouts.acquire)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let setup = setup.clone();
            Box::pin(async move { setup.initialize(connection).await })
        })
        .before_acquire(move |connection, metadata| {
            let is_current = target.borrow().since.elapsed() >= metadata.age;
            Box::pin(async move {
                // A firewall or proxy may have dropped a connection that was idle for longer.
                if is_current && metadata.idle_for > TESTED_WHEN_IDLE_FOR {
                    connection.ping().await?;
                }
                Ok(is_current)
            })
        })
        .connect_lazy_with(options)
}

/// The isolation level for which transactions choose their locks. With a stricter default of the database they would fail.
pub(super) const READ_COMMITTED: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

fn tuned(options: PgConnectOptions, timeouts: DatabaseTimeouts, pooler: Option<Pooler>) -> PgConnectOptions {
    let options = options.application_name("roster");
    match pooler {
        None => options.options(parameters(timeouts)).options([("default_transaction_isolation", "read committed")]),
        // A pooler refuses most parameters at the start of a connection.
        Some(Pooler::Session) => options.extra_float_digits(None::<i8>),
        Some(Pooler::Transaction) => options.extra_float_digits(None::<i8>).statement_cache_capacity(0),
    }
}

/// Returns the settings of each connection or transaction.
fn parameters(timeouts: DatabaseTimeouts) -> [(&'static str, String); 4] {
    [
        ("statement_timeout", format!("{}ms", timeouts.statement.as_millis())),
        ("idle_in_transaction_session_timeout", "10s".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("random_page_cost", RANDOM_PAGE_COST.to_owned()),
    ]
}

/// Returns the statements that set the parameters of a session, if a pooler shares sessions.
fn session_settings(timeouts: DatabaseTimeouts, pooler: Option<Pooler>) -> Option<Arc<str>> {
    let set = parameters(timeouts).map(|(name, value)| format!("SET {name} = '{value}'")).join("; ");
    let settings = || format!("{set}; SET default_transaction_isolation = 'read committed'").into();
    (pooler == Some(Pooler::Session)).then(settings)
}

/// Returns the statements that set the parameters of a transaction, if a pooler shares transactions.
fn transaction_settings(timeouts: DatabaseTimeouts, pooler: Option<Pooler>) -> Option<Arc<str>> {
    let set = parameters(timeouts).map(|(name, value)| format!("SET LOCAL {name} = '{value}'")).join("; ");
    // Statements that are prepared in a transaction have names, which another client has used on the same connection.
    (pooler == Some(Pooler::Transaction)).then(|| format!("{set}; DEALLOCATE ALL").into())
}

/// Adds a hint to the error of a connection pooler that refuses the settings of a connection.
fn explain(error: impl Into<Error>) -> Error {
    match error.into() {
        Error::Unavailable(cause) if cause.to_string().contains("unsupported startup parameter") => {
            Error::internal(format!("{}: {DROPPED_SETTINGS}", describe(&*cause)))
        }
        error => error,
    }
}

/// Checks that the encoding of the database can represent every name, and that the settings of the connections reach it.
///
/// # Errors
/// `Internal` for another encoding than UTF-8, or without the settings; `Unavailable` with the reason if the database cannot be
/// reached.
async fn check_encoding(reader: &Reader, pooler: Option<Pooler>) -> Result<(), Error> {
    let shown = "SELECT current_setting('server_encoding'), current_setting('random_page_cost')";
    let row = reader.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, shown)).await?;
    let shown: Option<(String, String)> =
        row.map(|row| Ok::<_, DbErr>((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).transpose()?;
    let (encoding, cost) = shown.unwrap_or_default();
    if encoding != "UTF8" {
        return Err(Error::internal(format!(
            "the encoding of the database is {encoding}, expected UTF8: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )));
    }
    if pooler.is_none() && cost != RANDOM_PAGE_COST {
        return Err(Error::internal(DROPPED_SETTINGS));
    }
    Ok(())
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
