//! The server of PostgreSQL that accepts writes, which may be another one after the promotion of a standby.

use std::fmt;
use std::sync::Weak;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, PgPool};
use sea_orm::{DbErr, RuntimeErr};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::target::{Initializer, SessionSetup, Target, is_writable};
use crate::error::{is_disconnect, is_read_only};
use crate::repeated::Repeated;

/// The pause between two checks whether the server still accepts writes.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause after a search for another server, however many requests have failed meanwhile.
const PAUSE_AFTER_SEARCH: Duration = Duration::from_millis(100);

/// The hosts of a database, and the one of them that is used.
pub(super) struct Primary {
    hosts: Vec<PgConnectOptions>,
    setup: SessionSetup,
    /// The maximum time that opening a connection and its first statements may take.
    max_wait: Duration,
    target: watch::Sender<Target<PgConnectOptions>>,
    /// Wakes the check of the server after an error.
    check_now: Notify,
}

impl fmt::Debug for Primary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options contain the password.
        formatter.debug_struct("Primary").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}

impl Primary {
    /// Finds the first of the hosts that accepts writes, and returns a connection to it as well. A single host that need not accept
    /// writes is not connected to.
    pub(super) async fn find(
        hosts: Vec<PgConnectOptions>,
        setup: SessionSetup,
        max_wait: Duration,
    ) -> Result<(Self, Option<PgConnection>), DbErr> {
        let (options, connection) = match hosts.as_slice() {
            [] => return Err(DbErr::Custom("the URL of the database has no host".to_owned())),
            [first, ..] if !setup.only_writable => (first.clone(), None),
            hosts => {
                let found = first_writable(hosts, &setup, max_wait).await;
                let found = found.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))?;
                (found.0, Some(found.1))
            }
        };
        let (target, _) = watch::channel(Target::new(options));
        Ok((Self { hosts, setup, max_wait, target, check_now: Notify::new() }, connection))
    }

    /// Returns the server that connections are opened to.
    pub(super) fn target(&self) -> watch::Receiver<Target<PgConnectOptions>> {
        self.target.subscribe()
    }

    /// Has the server checked at once if an error says that it is gone, or has become read-only.
    pub(super) fn check_after(&self, error: &DbErr) {
        if is_disconnect(error) || is_read_only(error) {
            self.check_now.notify_one();
        }
    }

    /// Follows the server that accepts writes until the database is closed.
    pub(super) async fn follow(primary: Weak<Self>, pool: PgPool, mut watched: Option<PgConnection>) {
        let failures = Repeated::new();
        while let Some(primary) = primary.upgrade() {
            let is_urgent = timeout(PAUSE, primary.check_now.notified()).await.is_ok();
            if pool.is_closed() {
                return;
            }
            if !is_urgent
                && let Some(connection) = &mut watched
                && matches!(timeout(primary.max_wait, is_writable(connection)).await, Ok(Ok(true)))
            {
                continue;
            }
            watched = primary.search(&pool, &failures).await;
            tokio::time::sleep(PAUSE_AFTER_SEARCH).await;
        }
    }

    /// Returns the hosts, first the one that is used. It stays as long as it accepts writes, even if another one does so as well, such
    /// as a former primary that was started again.
    fn current_first(&self) -> Vec<PgConnectOptions> {
        let address = |options: &PgConnectOptions| {
            (options.get_host().to_owned(), options.get_port(), options.get_socket().cloned())
        };
        let current = address(&self.target.borrow().options);
        let mut hosts = self.hosts.clone();
        hosts.sort_by_key(|host| address(host) != current);
        hosts
    }

    /// Finds the server that accepts writes now, and has all connections replaced. Returns a connection to it.
    async fn search(&self, pool: &PgPool, failures: &Repeated) -> Option<PgConnection> {
        match first_writable(&self.current_first(), &self.setup, self.max_wait).await {
            Ok((options, connection)) => {
                tracing::info!(host = options.get_host(), port = options.get_port(), "connecting to the database anew");
                pool.set_connect_options(options.clone());
                self.target.send_replace(Target::new(options));
                Some(connection)
            }
            Err(cause) => {
                if let Some(times) = failures.count() {
                    tracing::warn!(%cause, times, "no server of the database accepts writes");
                }
                self.target.send_modify(|target| target.since = Instant::now());
                None
            }
        }
    }
}

/// Connects to all hosts, and returns the first in their order that accepts writes.
async fn first_writable(
    hosts: &[PgConnectOptions],
    setup: &SessionSetup,
    max_wait: Duration,
) -> Result<(PgConnectOptions, PgConnection), sqlx::Error> {
    let mut attempts = FuturesOrdered::new();
    for options in hosts {
        attempts.push_back(open(options, setup, max_wait));
    }
    let mut last_error = sqlx::Error::PoolClosed;
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok((options, connection)) => return Ok((options.clone(), connection)),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

async fn open<'o>(
    options: &'o PgConnectOptions,
    setup: &SessionSetup,
    max_wait: Duration,
) -> Result<(&'o PgConnectOptions, PgConnection), sqlx::Error> {
    let opened = async {
        let mut connection = options.connect().await?;
        setup.initialize(&mut connection).await?;
        Ok::<_, sqlx::Error>((options, connection))
    };
    timeout(max_wait, opened).await.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
