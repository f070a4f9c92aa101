//! The standby of PostgreSQL that queries may read from.
//!
//! A request reads there only if the standby has replayed everything that the primary had committed when the request was
//! authenticated. So it sees the writes of its caller, and every right as it was then, whichever server made the changes. Otherwise,
//! and after the first failure, it reads from the primary.

mod metrics;
mod position;
mod snapshot;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::watch as channel;
use tokio::time::{sleep, timeout};

pub use self::metrics::StandbyMetrics;
use self::metrics::StandbyOutcome;
use self::position::{LogPosition, Replay};
use self::snapshot::Snapshots;
use self::watch::{SameServer, Watch};
use super::Reader;
use crate::budget::Budget;
use crate::db::pool::Connections;
use crate::db::target::{SessionSetup, Source, Target};
use crate::db::{DatabaseSettings, PoolStatus};
use crate::error::is_disconnect;
use crate::repeated::Repeated;

/// The maximum time that a request waits for the standby to catch up. In one network, it takes a few milliseconds.
const MAX_WAIT: Duration = Duration::from_millis(50);
/// The time after which a request asks the standby again.
const PAUSE: Duration = Duration::from_millis(2);
/// The maximum time that a request waits for the standby to say how far it is.
const MAX_RESPONSE: Duration = Duration::from_millis(500);
/// The time for which no request asks the standby after it was behind or could not be reached.
const REST: Duration = Duration::from_millis(500);
/// The share of the duration of a request that a statement on the standby may take, so that there is time for the primary.
const STATEMENT_SHARE: u32 = 4;
/// The start time of a server that cannot be reached.
const NO_SERVER: i64 = 0;

/// The server of the standby. All connections lead to it.
#[derive(Default)]
struct Server {
    /// The time at which it was started, in microseconds: no two servers have the same. [`NO_SERVER`] if it cannot be reached.
    started_at: AtomicI64,
    /// The last position that a request may rely on. When one of its processes crashes, a server replays the log anew from an earlier
    /// position, and its start time stays the same. No connection is opened until it is there again.
    replayed: AtomicI64,
}

/// How to connect to a standby.
pub(in crate::db) struct StandbyAddress {
    pub(in crate::db) options: PgConnectOptions,
    pub(in crate::db) setup: SessionSetup,
}

/// The connections to a standby.
pub(in crate::db) struct Standby {
    front: Arc<Connections<PgConnection>>,
    background: Arc<Connections<PgConnection>>,
    snapshots: Snapshots,
    server: Arc<Server>,
    is_closed: AtomicBool,
    /// The time until which the standby is not asked, and why.
    rest: Mutex<Option<(Instant, StandbyOutcome)>>,
    /// The maximum duration of a statement.
    max_statement: Duration,
    /// The maximum time to connect.
    max_connect: Duration,
    metrics: StandbyMetrics,
    delays: Repeated,
    failures: Repeated,
}

impl fmt::Debug for Standby {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options of the connections contain the password.
        formatter.debug_struct("Standby").finish_non_exhaustive()
    }
}

impl Standby {
    /// Starts to connect to a standby.
    pub(in crate::db) fn start(
        address: StandbyAddress,
        settings: &DatabaseSettings,
        metrics: StandbyMetrics,
    ) -> Arc<Self> {
        let (timeouts, server) = (settings.timeouts, Arc::<Server>::default());
        let StandbyAddress { options, setup } = address;
        let same_server = SameServer::new(setup.clone(), Arc::clone(&server));
        let snapshots = Snapshots::new(options.clone(), same_server.clone(), timeouts.acquire);
        let (sender, target) = channel::channel(Target::new(options));
        let connections = |most: u32| {
            let initializer = Box::new(same_server.clone());
            let source: Source<PgConnection> = Source { target: target.clone(), initializer, begin: None };
            Connections::new(source, most, timeouts.acquire)
        };
        let standby = Arc::new(Self {
            front: connections(settings.connections),
            background: connections(settings.connections.div_ceil(2)),
            snapshots,
            server: Arc::clone(&server),
            is_closed: AtomicBool::new(false),
            rest: Mutex::default(),
            max_statement: timeouts.statement.min(timeouts.caller / STATEMENT_SHARE),
            max_connect: timeouts.acquire,
            metrics,
            delays: Repeated::new(),
            failures: Repeated::new(),
        });
        let watch = Watch::new(sender, setup, server, timeouts.acquire);
        tokio::spawn(watch.run(Arc::downgrade(&standby)));
        standby
    }

    /// Returns the standby for the reading statements of one request, if it has replayed everything that the primary has committed
    /// by now.
    pub(super) async fn admit(self: &Arc<Self>, primary: &Reader, in_background: bool) -> Option<StandbyReader> {
        let server = self.server.started_at.load(Ordering::Acquire);
        let outcome = match self.resting() {
            _ if server == NO_SERVER => StandbyOutcome::Unreachable,
            Some(outcome) => outcome,
            None => self.ask(primary).await,
        };
        self.metrics.count(outcome);
        (outcome == StandbyOutcome::Read).then(|| StandbyReader {
            standby: Arc::clone(self),
            connections: Arc::clone(if in_background { &self.background } else { &self.front }),
            server,
            is_given_up: Arc::default(),
        })
    }

    /// Asks the primary and the standby for their positions.
    async fn ask(&self, primary: &Reader) -> StandbyOutcome {
        let written = match LogPosition::written(primary).await {
            Ok(written) => written,
            // The request fails as well, or the server that is used as the primary does not accept writes.
            Err(error) => return self.failed(&error.to_string()),
        };
        match timeout(MAX_RESPONSE, self.replay(&written, MAX_WAIT)).await {
            Ok(Ok(Replay::CaughtUp)) => StandbyOutcome::Read,
            Ok(Ok(Replay::Behind)) => {
                if let Some(times) = self.delays.count() {
                    tracing::warn!(times, "the standby is behind; queries are read from the primary");
                }
                self.rest(StandbyOutcome::Behind)
            }
            Ok(Ok(Replay::Foreign)) => self.failed("it does not replay what the database writes"),
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(_) => self.failed("it does not respond"),
        }
    }

    /// Waits for a while until the standby has replayed what was written up to a position.
    async fn replay(&self, written: &LogPosition, max_wait: Duration) -> Result<Replay, DbErr> {
        let mut begun = None;
        loop {
            let replay = written.replay_on(&self.front).await?;
            if replay == Replay::CaughtUp {
                self.server.replayed.fetch_max(written.bytes(), Ordering::AcqRel);
            }
            let begun = *begun.get_or_insert_with(Instant::now);
            if replay != Replay::Behind || begun.elapsed() >= max_wait {
                return Ok(replay);
            }
            sleep(PAUSE).await;
        }
    }

    fn failed(&self, cause: &str) -> StandbyOutcome {
        if let Some(times) = self.failures.count() {
            tracing::warn!(cause, times, "the standby cannot be used; queries are read from the primary");
        }
        self.rest(StandbyOutcome::Failed)
    }

    fn rest(&self, outcome: StandbyOutcome) -> StandbyOutcome {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now() + REST, outcome));
        outcome
    }

    /// Returns why the standby is not asked at the moment; `None` if it may be.
    fn resting(&self) -> Option<StandbyOutcome> {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.filter(|(until, _)| Instant::now() < *until).map(|(_, outcome)| outcome)
    }

    /// Waits until the task has connected after the start. Returns the start time of the server; `None` if it cannot be reached.
    async fn connected(&self) -> Option<i64> {
        let begun = Instant::now();
        loop {
            match self.server.started_at.load(Ordering::Acquire) {
                NO_SERVER if begun.elapsed() > self.max_connect => return None,
                NO_SERVER => sleep(PAUSE).await,
                server => return Some(server),
            }
        }
    }

    /// Checks whether the standby can be used, and says what is wrong otherwise, for `roster doctor`.
    pub(in crate::db) async fn check(&self, primary: &Reader) -> Result<(), String> {
        if self.connected().await.is_none() {
            return Err("cannot be reached; queries are read from the primary".to_owned());
        }
        let written = LogPosition::written(primary).await.map_err(|error| format!("cannot be used: {error}"))?;
        Err(match timeout(self.max_connect + MAX_RESPONSE, self.replay(&written, MAX_WAIT)).await {
            Ok(Ok(Replay::CaughtUp)) => return Ok(()),
            Ok(Ok(Replay::Behind)) => "is behind; queries are read from the primary".to_owned(),
            Ok(Ok(Replay::Foreign)) => "does not replay what the database writes: it is no standby of it".to_owned(),
            Ok(Err(error)) => format!("cannot be used: {error}"),
            Err(_) => "does not respond; queries are read from the primary".to_owned(),
        })
    }

    /// Returns the state of the pools.
    pub(in crate::db) fn pools(&self) -> [PoolStatus; 2] {
        [self.front.status("standby"), self.background.status("standby_background")]
    }

    /// Closes the connections. Requests read from the primary afterwards.
    pub(in crate::db) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.front.close().await;
        self.background.close().await;
        self.snapshots.close().await;
    }
}

/// The standby, as one request uses it: until a statement fails there, or the server is replaced. The primary has everything that
/// anybody was told of, so a request may change to the primary at any statement, but not back.
#[derive(Clone)]
pub(super) struct StandbyReader {
    standby: Arc<Standby>,
    pub(super) connections: Arc<Connections<PgConnection>>,
    /// The start time of the server that has replayed enough.
    server: i64,
    is_given_up: Arc<AtomicBool>,
}

impl StandbyReader {
    /// Runs a statement on the standby. `None` if it must be run on the primary: not if it has spent the budget of the request.
    pub(super) async fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
        budget: Option<&Budget>,
    ) -> Option<Result<T, DbErr>> {
        if self.is_given_up.load(Ordering::Relaxed) {
            return None;
        }
        match timeout(self.standby.max_statement, statement).await {
            Ok(Ok(done)) if self.standby.server.started_at.load(Ordering::Acquire) == self.server => {
                return Some(Ok(done));
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) if is_disconnect(&error) || matches!(error, DbErr::ConnectionAcquire(_)) => {
                self.standby.failed(&error.to_string());
            }
            Ok(Err(error)) if budget.is_some_and(|budget| budget.check().is_err()) => return Some(Err(error)),
            // The statement fails on the primary as well, or it conflicts with what the standby replays.
            Ok(Err(error)) => tracing::debug!(%error, "a statement failed on the standby"),
            // That is the statement of one caller, and no reason why others should leave the standby.
            Err(_) => tracing::debug!("a statement takes too long on the standby"),
        }
        self.is_given_up.store(true, Ordering::Relaxed);
        None
    }
}
