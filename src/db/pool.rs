//! A pool of connections, each of which runs one statement at a time. Unlike the pool of sqlx, it does not test a connection after
//! every use, which costs as much as a small statement.

mod limits;
mod pooled;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use prometheus_client::metrics::gauge::Gauge;
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Database, Executor, IntoArguments, Row};
use sea_orm::{ConnAcquireErr, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Values};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use self::limits::with_inlined_limits;
use self::pooled::PooledConnection;
use super::PoolStatus;
use super::target::Source;
use crate::budget::{Budget, Limit};
use crate::error::Error;
use crate::measure::UnderWay;

/// The maximum time that a connection may be idle before it is replaced.
const MAX_IDLE: Duration = Duration::from_mins(10);
/// The time for which a connection may be idle before it is tested for a statement that must not be repeated.
const MAX_UNTESTED: Duration = Duration::from_millis(100);

/// A pool of connections to one type of database.
pub(super) struct Connections<C: Connection> {
    source: Source<C>,
    max: u32,
    /// The maximum time to wait for a connection to become free, to be opened, or to respond to a ping.
    max_wait: Duration,
    /// One permit per connection of the pool.
    permits: Arc<Semaphore>,
    /// The idle connections, the most recently used last.
    idle: Mutex<Vec<Idle<C>>>,
    /// The number of callers that wait for a connection.
    waiting: Gauge,
}

/// A connection that nobody uses.
struct Idle<C> {
    connection: C,
    opened: Instant,
    /// When it was last used.
    since: Instant,
}

impl<C: Connection + 'static> Connections<C> {
    pub(super) fn new(source: Source<C>, max: u32, max_wait: Duration) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(max as usize));
        Arc::new(Self { source, max, max_wait, permits, idle: Mutex::default(), waiting: Gauge::default() })
    }

    /// Returns the state of the pool, with a name.
    pub(super) fn status(&self, name: &'static str) -> PoolStatus {
        let (max, idle) = (self.max as usize, self.idle().len());
        let used = max.saturating_sub(self.permits.available_permits());
        let waiting = usize::try_from(self.waiting.get()).unwrap_or(0);
        // For a moment, a connection that is given back is both idle and in use.
        PoolStatus { name, max, open: (used + idle).min(max), idle, waiting }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, connection: C, opened: Instant) {
        if !self.permits.is_closed() {
            self.idle().push(Idle { connection, opened, since: Instant::now() });
        }
    }

    async fn acquire(self: &Arc<Self>) -> Result<PooledConnection<C>, DbErr> {
        let permit = if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            permit
        } else {
            let _waiting = UnderWay::in_gauge(&self.waiting);
            timeout(self.max_wait, Arc::clone(&self.permits).acquire_owned())
                .await
                .map_err(timed_out)?
                .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?
        };
        let (target_since, now) = (self.source.target.borrow().since, Instant::now());
        let idle = self.idle().pop();
        // A firewall or proxy may have dropped a connection that was idle for longer.
        let idle = idle.filter(|idle| idle.since.elapsed() < MAX_IDLE && idle.opened >= target_since);
        let idle_for = idle.as_ref().map(|idle| idle.since.elapsed());
        let (connection, opened) = match idle {
            Some(idle) => (idle.connection, idle.opened),
            None => (self.open().await?, now),
        };
        Ok(PooledConnection {
            connection: Some(connection),
            opened,
            idle_for,
            pool: Arc::clone(self),
            permit: Some(permit),
            is_done: false,
        })
    }

    /// Returns a connection that has just been used, opened or tested.
    async fn acquire_tested(self: &Arc<Self>) -> Result<PooledConnection<C>, DbErr> {
        loop {
            let mut connection = self.acquire().await?;
            if connection.idle_for.is_none_or(|idle_for| idle_for < MAX_UNTESTED) {
                return Ok(connection);
            }
            let is_open = matches!(timeout(self.max_wait, connection.get()?.ping()).await, Ok(Ok(())));
            if is_open {
                return Ok(connection);
            }
            connection.discard();
        }
    }

    async fn open(&self) -> Result<C, DbErr> {
        let options = self.source.target.borrow().options.clone();
        let opened = async {
            let mut connection = options.connect().await?;
            self.source.initializer.initialize(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let opened = timeout(self.max_wait, opened).await.map_err(timed_out)?;
        opened.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))
    }

    /// Waits until no connection is in use. None can be used until the returned permit is dropped. `None` once the pool is closed.
    pub(super) async fn pause(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_many_owned(self.max).await.ok()
    }

    /// Closes the idle connections. No connection can be acquired afterwards.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            if let Err(error) = idle.connection.close().await {
                tracing::debug!(%error, "failed to close a connection cleanly");
            }
        }
    }
}

/// Waits for the outcome of a statement, which runs in a transaction of its own if there are statements to begin one.
macro_rules! in_transaction {
    ($pool:ident, $connection:ident, $run:expr) => {{
        let Some(begin) = &$pool.source.begin else { return $run.await };
        let mut transaction = $connection.begin_with(AssertSqlSafe(Arc::clone(begin))).await?;
        let $connection = &mut *transaction;
        let done = $run.await?;
        transaction.commit().await?;
        Ok(done)
    }};
}

impl<C, D> Connections<C>
where
    C: Connection<Database = D> + 'static,
    D: Database<Connection = C>,
    for<'c> &'c mut C: Executor<'c, Database = D>,
    SqlxValues: IntoArguments<D>,
    QueryResult: From<D::Row>,
    ExecResult: From<D::QueryResult>,
{
    pub(super) async fn query_all(
        self: &Arc<Self>,
        statement: Statement,
        budget: Option<&Budget>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        loop {
            let mut connection = self.acquire().await?;
            let outcome = self.run_all(connection.get()?, statement.clone(), budget).await;
            if let Some(done) = connection.settle(outcome) {
                return done;
            }
        }
    }

    pub(super) async fn query_one(self: &Arc<Self>, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        loop {
            let mut connection = self.acquire().await?;
            let outcome = self.run_one(connection.get()?, statement.clone()).await;
            if let Some(done) = connection.settle(outcome) {
                return Ok(done?.map(QueryResult::from));
            }
        }
    }

    pub(super) async fn execute(self: &Arc<Self>, statement: Statement) -> Result<ExecResult, DbErr> {
        loop {
            let mut connection = self.acquire().await?;
            let outcome = self.run_execute(connection.get()?, statement.clone()).await;
            if let Some(done) = connection.settle(outcome) {
                return done.map(ExecResult::from);
            }
        }
    }

    /// Runs a statement that must not be repeated. If the connection is closed meanwhile, the outcome is unknown.
    pub(super) async fn execute_once(self: &Arc<Self>, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut connection = self.acquire_tested().await?;
        let outcome = self.run_execute(connection.get()?, statement).await;
        connection.finish(outcome).map(ExecResult::from)
    }

    async fn run_all(
        &self,
        connection: &mut C,
        statement: Statement,
        budget: Option<&Budget>,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        in_transaction!(self, connection, rows(connection, statement, budget))
    }

    async fn run_one(&self, connection: &mut C, statement: Statement) -> Result<Option<D::Row>, sqlx::Error> {
        in_transaction!(self, connection, connection.fetch_optional(query(statement)))
    }

    async fn run_execute(&self, connection: &mut C, statement: Statement) -> Result<D::QueryResult, sqlx::Error> {
        in_transaction!(self, connection, connection.execute(query(statement)))
    }
}

/// Returns the rows of a statement, and charges their values to a budget.
async fn rows<C, D>(
    connection: &mut C,
    statement: Statement,
    budget: Option<&Budget>,
) -> Result<Vec<QueryResult>, sqlx::Error>
where
    C: Connection<Database = D>,
    D: Database<Connection = C>,
    for<'c> &'c mut C: Executor<'c, Database = D>,
    SqlxValues: IntoArguments<D>,
    QueryResult: From<D::Row>,
{
    let mut rows = Vec::new();
    let mut steps = connection.fetch_many(query(statement));
    while let Some(step) = steps.try_next().await? {
        if let Some(row) = step.right() {
            charge(budget, Limit::Values, row.len())?;
            rows.push(QueryResult::from(row));
        }
        if rows.len() == 1 {
            // SQLite sends rows from another thread: a reader that polls for the next row at once would have to be woken for
            // each.
            tokio::task::yield_now().await;
        }
    }
    Ok(rows)
}

fn query<'q, D: Database>(statement: Statement) -> Query<'q, D, SqlxValues>
where
    SqlxValues: IntoArguments<D>,
{
    let statement = with_inlined_limits(statement);
    // Safe: sea-query writes the text, and all data is in the values.
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or(Values(Vec::new()))))
}

/// Charges a budget, if there is one. Once it is spent, the request fails, whatever the caller does with the error.
fn charge(budget: Option<&Budget>, limit: Limit, count: usize) -> Result<(), sqlx::Error> {
    budget.map_or(Ok(()), |budget| budget.charge(limit, count)).map_err(spent(limit))
}

/// Returns the error of a statement that a budget has no room for.
pub(super) fn spent(limit: Limit) -> impl Fn(Error) -> sqlx::Error {
    move |_| sqlx::Error::Decode(format!("too many {}", limit.name()).into())
}

/// Returns the error of a statement that has failed.
pub(super) fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// Returns the error of a caller who has waited too long.
fn timed_out(_: Elapsed) -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
}
