//! The task that knows whether the standby responds, and which server it is.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Connection, Executor, Row};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{NO_SERVER, Standby, StartTime};
use crate::db::target::{Initializer, SessionSetup, Target};
use crate::repeated::Repeated;

/// The pause between two checks.
const INTERVAL: Duration = Duration::from_millis(500);

const STARTED_AT: &str = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8";

/// The preparation of the connections to the standby, which must lead to the server that the task knows. Otherwise an address with
/// several servers behind it would lead to one that is behind.
#[derive(Clone)]
pub(super) struct SameServer {
    setup: SessionSetup,
    server: StartTime,
}

impl SameServer {
    pub(super) fn new(setup: SessionSetup, server: StartTime) -> Self {
        Self { setup, server }
    }
}

#[async_trait::async_trait]
impl Initializer<PgConnection> for SameServer {
    async fn initialize(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.setup.initialize(connection).await?;
        if started_at(connection).await? == self.server.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(sqlx::Error::Io(std::io::Error::other("the address of the standby leads to another server than before")))
    }
}

async fn started_at(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    Executor::fetch_one(&mut *connection, STARTED_AT).await?.try_get(0)
}

/// Watches the standby by a connection of its own.
pub(super) struct Watch {
    target: watch::Sender<Target<PgConnectOptions>>,
    setup: SessionSetup,
    server: StartTime,
    /// The maximum time to connect, or to wait for a response.
    max_wait: Duration,
    connection: Option<PgConnection>,
    failures: Repeated,
}

impl Watch {
    pub(super) fn new(
        target: watch::Sender<Target<PgConnectOptions>>,
        setup: SessionSetup,
        server: StartTime,
        max_wait: Duration,
    ) -> Self {
        Self { target, setup, server, max_wait, connection: None, failures: Repeated::new() }
    }

    /// Runs until the database is closed.
    pub(super) async fn run(mut self, standby: Weak<Standby>) {
        while standby.upgrade().is_some_and(|standby| !standby.is_closed.load(Ordering::Acquire)) {
            self.check().await;
            sleep(INTERVAL).await;
        }
    }

    async fn check(&mut self) {
        if let Some(connection) = &mut self.connection
            && matches!(timeout(self.max_wait, connection.ping()).await, Ok(Ok(())))
        {
            return;
        }
        self.connection = None;
        self.server.store(NO_SERVER, Ordering::Release);
        let opened = timeout(self.max_wait, self.open()).await;
        match opened.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))) {
            Ok((connection, started_at)) => {
                self.target.send_modify(|target| target.since = Instant::now());
                self.server.store(started_at, Ordering::Release);
                self.connection = Some(connection);
            }
            Err(cause) => {
                if let Some(times) = self.failures.count() {
                    tracing::warn!(%cause, times, "the standby cannot be reached; queries are read from the primary");
                }
            }
        }
    }

    async fn open(&self) -> Result<(PgConnection, i64), sqlx::Error> {
        let options = self.target.borrow().options.clone();
        let mut connection = options.connect().await?;
        self.setup.initialize(&mut connection).await?;
        let started_at = started_at(&mut connection).await?;
        Ok((connection, started_at))
    }
}
