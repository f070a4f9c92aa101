//! Connections that only read. Each goes from one statement straight to the next: the pool of sqlx asks the database after
//! every use whether a connection is still well, which costs as much as a small statement.

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
/// How long a statement waits for others of its caller; a request has a deadline of its own.
const PATIENCE_OF_ONE: Duration = Duration::from_secs(10);
/// How many statements of one caller wait; those of a request that need nothing of one another are few.
const MOST_WAITING_OF_ONE: usize = 1_000;
/// How long a connection may lie unused.
const LONGEST_IDLE: Duration = Duration::from_mins(10);

/// A handle to the connections that only read; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: Pool,
    meter: StatementCounter,
    /// The connections that each caller has at once: half of them, so that others read beside one who asks for much.
    shares: Shares<Who>,
    /// What the request may take by whose hand this is, and who asks; none where nobody counts.
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
    /// So many connections to SQLite, each made when it is first needed.
    pub(super) fn sqlite(options: SqliteConnectOptions, most: u32, meter: StatementCounter) -> Self {
        Self::new(Pool::Sqlite(Connections::new(options.disable_statement_logging(), most)), most, meter)
    }

    /// The same to PostgreSQL.
    pub(super) fn postgres(options: PgConnectOptions, most: u32, meter: StatementCounter) -> Self {
        Self::new(Pool::Postgres(Connections::new(options.disable_statement_logging(), most)), most, meter)
    }

    fn new(pool: Pool, most: u32, meter: StatementCounter) -> Self {
        let at_once = (most as usize / 2).max(1);
        let limits = ShareLimits { at_once, waiting: MOST_WAITING_OF_ONE, patience: PATIENCE_OF_ONE };
        Self { pool, meter, shares: Shares::new(limits), request: None }
    }

    /// A handle for one request, which takes from a budget and from the share of its caller.
    pub(super) fn within(&self, budget: Budget, who: Who) -> Self {
        Self { request: Some((budget, who)), ..self.clone() }
    }

    /// A place for one statement; none where nobody counts.
    async fn place(&self) -> Result<Option<Share<Who>>, DbErr> {
        let Some((budget, who)) = &self.request else { return Ok(None) };
        budget.charge(Limit::Statements, 1).map_err(spent(Limit::Statements)).map_err(failed)?;
        let share = self.shares.take(*who).await;
        share.map(Some).ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
    }

    /// Waits until nobody reads, at most for so long; until the returned permit is dropped nobody begins to.
    pub(super) async fn pause(&self, most: Duration) -> Option<OwnedSemaphorePermit> {
        let (places, count) = match &self.pool {
            Pool::Sqlite(connections) => (Arc::clone(&connections.places), connections.most),
            Pool::Postgres(connections) => (Arc::clone(&connections.places), connections.most),
        };
        timeout(most, places.acquire_many_owned(count)).await.ok()?.ok()
    }

    /// Ends the connections; nothing can be read any more.
    pub(super) async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(connections) => connections.close().await,
            Pool::Postgres(connections) => connections.close().await,
        }
    }
}

/// Runs a statement on whichever database it is, and notes it.
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

/// Takes from a budget, if there is one. The answer is given up once it is spent, whatever becomes of the error.
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

/// Connections to one kind of database.
struct Connections<C: Connection> {
    options: C::Options,
    most: u32,
    /// For each connection that there may be.
    places: Arc<Semaphore>,
    /// Those that nobody uses, since when, the last one last.
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
        let kept = self.idle().pop().filter(|(_, since)| since.elapsed() < LONGEST_IDLE);
        let is_new = kept.is_none();
        let connection = match kept {
            Some((connection, _)) => connection,
            // Whatever lies between may have forgotten it.
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

/// The rows of a statement, whose values are taken from a budget.
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
            // SQLite sends from another thread: who asks for the next row at once has to be woken for each.
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
    // What is not a value is ours: sea-query writes it.
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or(Values(Vec::new()))))
}

/// The statement with the numbers of rows that it and its parts end with in its text. As values they are part of what the planner
/// looks at: SQLite prepares such a statement anew each time, and PostgreSQL plans it anew.
fn with_its_limits(statement: Statement) -> Statement {
    match statement.values.as_ref().and_then(|values| limits_written(&statement.sql, values)) {
        Some((sql, values)) => Statement { sql, values: Some(values), ..statement },
        None => statement,
    }
}

/// The text with the limits in it and the values that are left; none where there is no limit, or where a value has several places.
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
    /// Whether the answer was read to its end.
    is_done: bool,
}

impl<C: Connection + 'static> PooledConnection<C> {
    /// What became of a statement; nothing where it is to be run once more, because the database has closed the connection since
    /// it was last used. It only reads, so that it may be run twice.
    fn settle<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Option<Result<T, DbErr>> {
        self.is_done = outcome.is_ok();
        let outcome = outcome.map_err(failed);
        if !self.is_new && outcome.as_ref().is_err_and(is_disconnect) {
            // Neither do the others answer, if the database was started again.
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
        // Its caller has gone, or it failed: it is of use again if it still answers.
        let (from, place) = (Arc::clone(&self.from), self.place.take());
        tokio::spawn(async move {
            match timeout(ACQUIRE_TIMEOUT, connection.ping()).await {
                Ok(Ok(())) => from.keep(connection),
                // Neither do the others, if the database was started again.
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
