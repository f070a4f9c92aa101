//! Connections for reading.

mod standby;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::{ConnAcquireErr, ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

pub use self::standby::StandbyMetrics;
use self::standby::StandbyReader;
pub(super) use self::standby::{Standby, StandbyAddress};
use super::pool::{Connections, failed, spent};
use super::target::{NoInitialization, Source, Target};
use super::transaction::SeenGroup;
use super::{DatabaseTimeouts, PoolStatus, StatementCounter};
use crate::budget::{Budget, Limit};
use crate::share::{Requester, Share, ShareLimits, Shares};

/// The maximum number of waiting statements of one caller. A request has only few statements that do not depend on one another.
const MAX_WAITING_OF_CALLER: usize = 1_000;

/// A handle to the connections for reading; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<ReadConnections>,
    /// The budget and the caller of the request; `None` if statements are not limited.
    request: Option<(Budget, Requester)>,
    /// The commit group of SQLite whose changes the request has seen.
    seen: Option<SeenGroup>,
    /// The standby of PostgreSQL, if the request reads there.
    standby: Option<StandbyReader>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Reader").field(&self.get_database_backend()).finish()
    }
}

/// The connections that all handles for reading share.
struct ReadConnections {
    pool: Pool,
    meter: StatementCounter,
    /// The number of connections that each caller may use at once: half of them, so that others can read while one caller asks
    /// for much.
    shares: Shares<Requester>,
}

#[derive(Clone)]
enum Pool {
    Sqlite(Arc<Connections<SqliteConnection>>),
    Postgres(Arc<Connections<PgConnection>>),
}

impl Reader {
    /// Returns a reader with up to `most` connections to SQLite, each opened when it is first needed.
    pub(super) fn sqlite(
        options: SqliteConnectOptions,
        most: u32,
        timeouts: DatabaseTimeouts,
        meter: StatementCounter,
    ) -> Self {
        let (_, target) = watch::channel(Target::new(options.disable_statement_logging()));
        let source = Source { target, initializer: Box::new(NoInitialization), begin: None };
        let connections = Connections::new(source, most, timeouts.acquire);
        Self::new(Pool::Sqlite(connections), most, timeouts, meter)
    }

    /// Returns a reader with up to `most` connections to PostgreSQL, each opened when it is first needed.
    pub(super) fn postgres(
        source: Source<PgConnection>,
        most: u32,
        timeouts: DatabaseTimeouts,
        meter: StatementCounter,
    ) -> Self {
        let connections = Connections::new(source, most, timeouts.acquire);
        Self::new(Pool::Postgres(connections), most, timeouts, meter)
    }

    fn new(pool: Pool, most: u32, timeouts: DatabaseTimeouts, meter: StatementCounter) -> Self {
        let at_once = (most as usize / 2).max(1);
        let limits = ShareLimits { at_once, waiting: MAX_WAITING_OF_CALLER, max_wait: timeouts.caller, rest: 0 };
        let shared = ReadConnections { pool, meter, shares: Shares::new(limits) };
        Self { shared: Arc::new(shared), request: None, seen: None, standby: None }
    }

    /// Returns a handle for one request, limited by its budget and the share of its caller. It reads nothing older than what the
    /// request has seen.
    pub(super) fn within(&self, budget: Budget, who: Requester, seen: Option<SeenGroup>) -> Self {
        Self { shared: Arc::clone(&self.shared), request: Some((budget, who)), seen, standby: self.standby.clone() }
    }

    /// Returns a handle that reads nothing older than what has been seen.
    pub(super) fn after(&self, seen: Option<SeenGroup>) -> Self {
        Self { seen, ..self.clone() }
    }

    /// Returns a handle that reads from a standby, if that has replayed everything that `primary` has committed by now.
    pub(super) async fn on_standby(&self, standby: &Arc<Standby>, primary: &Self, in_background: bool) -> Option<Self> {
        let standby = standby.admit(primary, in_background).await?;
        Some(Self { standby: Some(standby), ..self.clone() })
    }

    /// Returns a handle whose statements are neither counted nor traced.
    pub(super) fn silent(&self) -> Self {
        let ReadConnections { pool, shares, .. } = &*self.shared;
        let (pool, meter, shares) = (pool.clone(), StatementCounter::silent(), shares.clone());
        Self { shared: Arc::new(ReadConnections { pool, meter, shares }), ..self.clone() }
    }

    fn budget(&self) -> Option<&Budget> {
        self.request.as_ref().map(|(budget, _)| budget)
    }

    /// Charges a statement to the budget and takes it from the caller's share; `None` if statements are not limited.
    async fn admit(&self) -> Result<Option<Share<Requester>>, DbErr> {
        if let Some(seen) = &self.seen {
            seen.settle().await?;
        }
        let Some((budget, who)) = &self.request else { return Ok(None) };
        budget.charge(Limit::Statements, 1).map_err(spent(Limit::Statements)).map_err(failed)?;
        let share = self.shared.shares.take(*who).await;
        share.map(Some).ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
    }

    /// Waits until no connection is in use, for at most a given time. No connection can be used until the returned permit is
    /// dropped.
    pub(super) async fn pause(&self, most: Duration) -> Option<OwnedSemaphorePermit> {
        let paused = async {
            match &self.shared.pool {
                Pool::Sqlite(connections) => connections.pause().await,
                Pool::Postgres(connections) => connections.pause().await,
            }
        };
        timeout(most, paused).await.ok()?
    }

    /// Returns the state of the pool, with a name.
    pub(super) fn status(&self, name: &'static str) -> PoolStatus {
        match &self.shared.pool {
            Pool::Sqlite(connections) => connections.status(name),
            Pool::Postgres(connections) => connections.status(name),
        }
    }

    /// Closes the connections. Statements fail afterwards.
    pub(super) async fn close(&self) {
        match &self.shared.pool {
            Pool::Sqlite(connections) => connections.close().await,
            Pool::Postgres(connections) => connections.close().await,
        }
    }
}

/// Runs a statement on the database of the reader, or on the standby, counts and traces it.
macro_rules! run {
    ($reader:expr, $method:ident, $statement:expr $(, $more:expr)?) => {{
        let _share = $reader.admit().await?;
        let ReadConnections { pool, meter, .. } = &*$reader.shared;
        let (begun, sql) = (Instant::now(), StatementCounter::text(&$statement));
        let of_standby = match &$reader.standby {
            Some(standby) => {
                let statement = standby.connections.$method($statement.clone() $(, $more)?);
                standby.run(statement, $reader.budget()).await
            }
            None => None,
        };
        let done = match (of_standby, pool) {
            (Some(done), _) => done,
            (None, Pool::Sqlite(connections)) => connections.$method($statement $(, $more)?).await,
            (None, Pool::Postgres(connections)) => connections.$method($statement $(, $more)?).await,
        };
        meter.note(begun.elapsed(), &sql);
        done
    }};
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DatabaseBackend {
        match self.shared.pool {
            Pool::Sqlite(_) => DatabaseBackend::Sqlite,
            Pool::Postgres(_) => DatabaseBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        run!(self, execute, statement)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(self.get_database_backend(), sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        run!(self, query_one, statement)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        run!(self, query_all, statement, self.budget())
    }
}
