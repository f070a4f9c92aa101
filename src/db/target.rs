//! The source of the connections of a pool: the server, and the preparation of each connection before it is used.

use std::sync::Arc;
use std::time::Instant;

use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::sqlite::SqliteConnection;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, Row};
use tokio::sync::watch;

/// The server that a pool connects to.
#[derive(Clone)]
pub(super) struct Target<O> {
    pub(super) options: O,
    /// Connections that were opened earlier are replaced.
    pub(super) since: Instant,
}

impl<O> Target<O> {
    pub(super) fn new(options: O) -> Self {
        Self { options, since: Instant::now() }
    }
}

/// The source of the connections for reading.
pub(super) struct Source<C: Connection> {
    pub(super) target: watch::Receiver<Target<C::Options>>,
    pub(super) initializer: Box<dyn Initializer<C>>,
    /// The statements that begin a transaction, if each statement runs in one of its own.
    pub(super) begin: Option<Arc<str>>,
}

/// Prepares new connections.
#[async_trait::async_trait]
pub(super) trait Initializer<C>: Send + Sync {
    /// Prepares a new connection. If that fails, the connection is not used.
    async fn initialize(&self, connection: &mut C) -> Result<(), sqlx::Error>;
}

/// Leaves connections as they are.
pub(super) struct NoInitialization;

#[async_trait::async_trait]
impl Initializer<SqliteConnection> for NoInitialization {
    async fn initialize(&self, _: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

/// The preparation of new connections to PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct SessionSetup {
    /// The statements that set the parameters of the session, if they cannot be sent at its start.
    pub(super) settings: Option<Arc<str>>,
    /// Whether the server must accept writes.
    pub(super) only_writable: bool,
}

#[async_trait::async_trait]
impl Initializer<PgConnection> for SessionSetup {
    async fn initialize(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if let Some(settings) = &self.settings {
            Executor::execute(&mut *connection, AssertSqlSafe(Arc::clone(settings))).await?;
        }
        if self.only_writable && !is_writable(connection).await? {
            return Err(sqlx::Error::Io(std::io::Error::other("the server does not accept writes")));
        }
        Ok(())
    }
}

/// Returns whether the transactions of a connection may write: not on a standby, nor if the database is set to be read-only.
pub(super) async fn is_writable(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = Executor::fetch_one(&mut *connection, "SHOW transaction_read_only").await?;
    Ok(row.try_get::<String, _>(0)? == "off")
}
