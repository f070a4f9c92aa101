//! The task that knows whether the standby responds, and which server it is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Connection, Executor, Row};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{NO_SERVER, Server, Standby};
use crate::db::target::{Initializer, SessionSetup, Target};
use crate::repeated::Repeated;

/// The pause between two checks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Reads when the server was started, and the position up to which it has replayed the log.
const STATE: &str = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8, \
                     coalesce((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8, 0)";

/// The preparation of the connections to the standby, which must lead to the server that the task knows. Otherwise an address with
/// several servers behind it would lead to one that is behind.
#[derive(Clone)]
pub(super) struct SameServer {
    setup: SessionSetup,
    server: Arc<Server>,
}

impl SameServer {
    pub(super) fn new(setup: SessionSetup, server: Arc<Server>) -> Self {
        Self { setup, server }
    }
}

#[async_trait::async_trait]
impl Initializer<PgConnection> for SameServer {
    async fn initialize(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.setup.initialize(connection).await?;
        let (started_at, replayed) = state(connection).await?;
        let reason = if started_at != self.server.started_at.load(Ordering::Acquire) {
            "the address of the standby leads to another server than before"
        } else if replayed < self.server.replayed.load(Ordering::Acquire) {
            "the standby replays the log anew"
        } else {
            return Ok(());
        };
        Err(sqlx::Error::Io(std::io::Error::other(reason)))
    }
}

async fn state(connection: &mut PgConnection) -> Result<(i64, i64), sqlx::Error> {
    let row = Executor::fetch_one(&mut *connection, STATE).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Watches the standby by a connection of its own.
pub(super) struct Watch {
    target: watch::Sender<Target<PgConnectOptions>>,
    setup: SessionSetup,
    server: Arc<Server>,
    /// The start time of the last server that could be reached.
    last_started_at: i64,
    /// The maximum time to connect, or to wait for a response.
    max_wait: Duration,
    connection: Option<PgConnection>,
    failures: Repeated,
}

impl Watch {
    pub(super) fn new(
        target: watch::Sender<Target<PgConnectOptions>>,
        setup: SessionSetup,
        server: Arc<Server>,
        max_wait: Duration,
    ) -> Self {
        let (last_started_at, failures) = (NO_SERVER, Repeated::new());
        Self { target, setup, server, last_started_at, max_wait, connection: None, failures }
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
        self.server.started_at.store(NO_SERVER, Ordering::Release);
        let opened = timeout(self.max_wait, self.open()).await;
        match opened.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))) {
            Ok((connection, started_at)) => {
                self.target.send_modify(|target| target.since = Instant::now());
                if self.last_started_at != started_at {
                    // No request relies on another server.
                    self.server.replayed.store(0, Ordering::Release);
                    self.last_started_at = started_at;
                }
                self.server.started_at.store(started_at, Ordering::Release);
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
        let (started_at, _) = state(&mut connection).await?;
        Ok((connection, started_at))
    }
}
