//! Connections for reading, without the pool of sqlx: it tests a connection after every use, which costs as much as a small
//! statement.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Database, Executor, IntoArguments, Row};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Value,
    Values,
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{ACQUIRE_TIMEOUT, StatementCounter};
use crate::budget::{Budget, Limit};
use crate::error::{Error, is_disconnect};
use crate::share::{Share, ShareLimits, Shares, Who};

const LIMIT: &str = " LIMIT ";
/// The timeout of waiting for other statements of the same caller. A request also has its own deadline.
const PATIENCE_OF_ONE: Duration = Duration::from_secs(10);
/// The maximum number of waiting statements of one caller. A request has only few statements that do not depend on one another.
const MAX_WAITING_OF_ONE: usize = 1_000;
/// The maximum time that a connection may be idle before it is replaced.
const MAX_IDLE: Duration = Duration::from_mins(10);

/// A handle to the connections for reading; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: Pool,
    meter: StatementCounter,
    /// The number of connections that each caller may use at once: half of them, so that others can read while one caller asks
    /// for much.
    shares: Shares<Who>,
    /// The budget and the caller of the request; `None` if statements are not limited.
    request: Option<(Budget, Who)>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Reader").field(&self.get_database_backend()).finish()
    }
}

#[derive(Clone)]
enum Pool {
    Sqlite(Arc<Connections<SqliteConnection>>),
    Postgres(Arc<Connections<PgConnection>>),
}

impl Reader {
    /// Returns a reader with up to `most` connections to SQLite, each opened when it is first needed.
    pub(super) fn sqlite(options: SqliteConnectOptions, most: u32, meter: StatementCounter) -> Self {
        Self::new(Pool::Sqlite(Connections::new(options.disable_statement_logging(), most)), most, meter)
    }

    /// Returns a reader with up to `most` connections to PostgreSQL, each opened when it is first needed.
    pub(super) fn postgres(options: PgConnectOptions, most: u32, meter: StatementCounter) -> Self {
        Self::new(Pool::Postgres(Connections::new(options.disable_statement_logging(), most)), most, meter)
    }

    fn new(pool: Pool, most: u32, meter: StatementCounter) -> Self {
        let at_once = (most as usize / 2).max(1);
        let limits = ShareLimits { at_once, waiting: MAX_WAITING_OF_ONE, patience: PATIENCE_OF_ONE };
        Self { pool, meter, shares: Shares::new(limits), request: None }
    }

    /// Returns a handle for one request, limited by its budget and the share of its caller.
    pub(super) fn within(&self, budget: Budget, who: Who) -> Self {
        Self { request: Some((budget, who)), ..self.clone() }
    }

    /// Charges a statement to the budget and takes it from the caller's share; `None` if statements are not limited.
    async fn place(&self) -> Result<Option<Share<Who>>, DbErr> {
        let Some((budget, who)) = &self.request else { return Ok(None) };
        budget.charge(Limit::Statements, 1).map_err(spent(Limit::Statements)).map_err(failed)?;
        let share = self.shares.take(*who).await;
        share.map(Some).ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
    }

    /// Waits until no connection is in use, for at most a given time. No connection can be used until the returned permit is
    /// dropped.
    pub(super) async fn pause(&self, most: Duration) -> Option<OwnedSemaphorePermit> {
        let (places, count) = match &self.pool {
            Pool::Sqlite(connections) => (Arc::clone(&connections.places), connections.most),
            Pool::Postgres(connections) => (Arc::clone(&connections.places), connections.most),
        };
        timeout(most, places.acquire_many_owned(count)).await.ok()?.ok()
    }

    /// Closes the connections. Statements fail afterwards.
    pub(super) async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(connections) => connections.close().await,
            Pool::Postgres(connections) => connections.close().await,
        }
    }
}

/// Runs a statement on the database of the reader, counts and traces it.
macro_rules! run {
    ($reader:expr, $method:ident, $statement:expr $(, $more:expr)?) => {{
        let _place = $reader.place().await?;
        let Reader { pool, meter, .. } = $reader;
        let (begun, sql) = (Instant::now(), StatementCounter::text(&$statement));
        let done = match pool {
            Pool::Sqlite(connections) => connections.$method($statement $(, $more)?).await,
            Pool::Postgres(connections) => connections.$method($statement $(, $more)?).await,
        };
        meter.note(begun.elapsed(), &sql);
        done
    }};
}

/// Charges a budget, if there is one. Once it is spent, the request fails, whatever the caller does with the error.
fn charge(budget: Option<&Budget>, limit: Limit, count: usize) -> Result<(), sqlx::Error> {
    budget.map_or(Ok(()), |budget| budget.charge(limit, count)).map_err(spent(limit))
}

fn spent(limit: Limit) -> impl Fn(Error) -> sqlx::Error {
    move |_| sqlx::Error::Decode(format!("too many {}", limit.name()).into())
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DatabaseBackend {
        match self.pool {
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
        run!(self, one, statement)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        run!(self, all, statement, self.request.as_ref().map(|(budget, _)| budget))
    }
}

/// A pool of connections to one type of database.
struct Connections<C: Connection> {
    options: C::Options,
    most: u32,
    /// One permit per connection of the pool.
    places: Arc<Semaphore>,
    /// The idle connections and when they were last used, the most recent last.
    idle: Mutex<Vec<(C, Instant)>>,
}

impl<C: Connection + 'static> Connections<C> {
    fn new(options: C::Options, most: u32) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(most as usize));
        Arc::new(Self { options, most, places, idle: Mutex::default() })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(C, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, connection: C) {
        if !self.places.is_closed() {
            self.idle().push((connection, Instant::now()));
        }
    }

    async fn lend(self: &Arc<Self>) -> Result<PooledConnection<C>, DbErr> {
        let timed_out = |_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.places).acquire_owned())
                .await
                .map_err(timed_out)?
                .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?,
        };
        let kept = self.idle().pop().filter(|(_, since)| since.elapsed() < MAX_IDLE);
        let is_new = kept.is_none();
        let connection = match kept {
            Some((connection, _)) => connection,
            // A firewall or proxy may have dropped a connection that was idle for longer.
            None => timeout(ACQUIRE_TIMEOUT, self.options.connect())
                .await
                .map_err(timed_out)?
                .map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))?,
        };
        Ok(PooledConnection {
            connection: Some(connection),
            is_new,
            from: Arc::clone(self),
            place: Some(place),
            is_done: false,
        })
    }

    async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for (connection, _) in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "failed to close a connection cleanly");
            }
        }
    }
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
    async fn all(self: &Arc<Self>, statement: Statement, budget: Option<&Budget>) -> Result<Vec<QueryResult>, DbErr> {
        loop {
            let mut lent = self.lend().await?;
            let outcome = rows(lent.connection()?, statement.clone(), budget).await;
            if let Some(done) = lent.settle(outcome) {
                return done;
            }
        }
    }

    async fn one(self: &Arc<Self>, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        loop {
            let mut lent = self.lend().await?;
            let outcome = lent.connection()?.fetch_optional(query(statement.clone())).await;
            if let Some(done) = lent.settle(outcome) {
                return Ok(done?.map(QueryResult::from));
            }
        }
    }

    async fn execute(self: &Arc<Self>, statement: Statement) -> Result<ExecResult, DbErr> {
        loop {
            let mut lent = self.lend().await?;
            let outcome = lent.connection()?.execute(query(statement.clone())).await;
            if let Some(done) = lent.settle(outcome) {
                return done.map(ExecResult::from);
            }
        }
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
    let statement = with_its_limits(statement);
    // Safe: sea-query writes the text, and all data is in the values.
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or(Values(Vec::new()))))
}

/// Returns the statement with the limits of itself and its subqueries written into the text. A limit that is a value influences
/// the plan: SQLite prepares such a statement anew each time, and PostgreSQL plans it anew.
fn with_its_limits(statement: Statement) -> Statement {
    match statement.values.as_ref().and_then(|values| limits_written(&statement.sql, values)) {
        Some((sql, values)) => Statement { sql, values: Some(values), ..statement },
        None => statement,
    }
}

/// Returns the text with the limits written into it, and the remaining values; `None` if there is no limit, or if the
/// placeholders are not in the order of the values, such as one that is used twice.
fn limits_written(sql: &str, values: &Values) -> Option<(String, Values)> {
    sql.contains(LIMIT).then_some(())?;
    let (mut text, mut rest) = (String::with_capacity(sql.len()), sql);
    let (mut given, mut left) = (values.0.iter().enumerate(), Vec::with_capacity(values.0.len()));
    while let Some(at) = rest.find(['?', '$', '"', '\'']) {
        let (before, from) = rest.split_at_checked(at)?;
        text.push_str(before);
        let sign = from.chars().next()?;
        let after = from.get(1..)?;
        if matches!(sign, '"' | '\'') {
            let (quoted, others) = from.split_at_checked(after.find(sign)? + 2)?;
            text.push_str(quoted);
            rest = others;
            continue;
        }
        let number = after.split(|c: char| !c.is_ascii_digit()).next()?;
        rest = after.get(number.len()..)?;
        let (place, value) = given.next()?;
        let is_in_turn = if sign == '$' { number.parse() == Ok(place + 1) } else { number.is_empty() };
        if !is_in_turn {
            return None;
        }
        match value {
            Value::BigUnsigned(Some(most)) if text.ends_with(LIMIT) => text.push_str(&most.to_string()),
            value => {
                left.push(value.clone());
                text.push(sign);
                if sign == '$' {
                    text.push_str(&left.len().to_string());
                }
            }
        }
    }
    text.push_str(rest);
    Some((text, Values(left)))
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// A connection in use.
struct PooledConnection<C: Connection + 'static> {
    connection: Option<C>,
    is_new: bool,
    from: Arc<Connections<C>>,
    place: Option<OwnedSemaphorePermit>,
    /// Whether the result was read to its end.
    is_done: bool,
}

impl<C: Connection + 'static> PooledConnection<C> {
    /// Returns the result of a statement, or `None` if it must be retried because the database has closed the connection since
    /// its last use. The retry is safe, as the statement only reads.
    fn settle<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Option<Result<T, DbErr>> {
        self.is_done = outcome.is_ok();
        let outcome = outcome.map_err(failed);
        if !self.is_new && outcome.as_ref().is_err_and(is_disconnect) {
            // If the database was restarted, the other idle connections are closed as well.
            self.from.idle().clear();
            return None;
        }
        Some(outcome)
    }

    fn connection(&mut self) -> Result<&mut C, DbErr> {
        self.connection.as_mut().ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }
}

impl<C: Connection + 'static> Drop for PooledConnection<C> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.is_done {
            return self.from.keep(connection);
        }
        // The caller was cancelled, or the statement failed: the connection is kept if it still responds.
        let (from, place) = (Arc::clone(&self.from), self.place.take());
        tokio::spawn(async move {
            match timeout(ACQUIRE_TIMEOUT, connection.ping()).await {
                Ok(Ok(())) => from.keep(connection),
                // If the database was restarted, the other idle connections are closed as well.
                _ => from.idle().clear(),
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};

    use super::*;

    #[test]
    fn limits_stand_in_the_text() {
        for backend in [DatabaseBackend::Sqlite, DatabaseBackend::Postgres] {
            let mut rows = Query::select();
            rows.column(Alias::new("a$1"))
                .from(Alias::new("t"))
                .and_where(Expr::col(Alias::new("a$1")).eq("x LIMIT ?"));
            let unlimited = backend.build(&rows);
            assert_eq!(with_its_limits(unlimited.clone()), unlimited);
            let limited = with_its_limits(backend.build(rows.limit(51)));
            assert_eq!(limited.sql, format!("{} LIMIT 51", unlimited.sql));
            assert_eq!(limited.values, unlimited.values);
            let mut outer = Query::select();
            outer.column(Alias::new("a")).from_subquery(rows, Alias::new("r"));
            let outer = with_its_limits(backend.build(outer.and_where(Expr::col(Alias::new("b")).eq("y")).limit(7)));
            let (first, second) = if backend == DatabaseBackend::Postgres { ("$1", "$2") } else { ("?", "?") };
            let inner = format!("(SELECT \"a$1\" FROM \"t\" WHERE \"a$1\" = {first} LIMIT 51)");
            assert_eq!(outer.sql, format!("SELECT \"a\" FROM {inner} AS \"r\" WHERE \"b\" = {second} LIMIT 7"));
            assert_eq!(outer.values, Some(Values(vec!["x LIMIT ?".into(), "y".into()])));
        }
    }
}
