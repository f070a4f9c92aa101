//! Connections that only read. Each goes from one statement straight to the next: the pool of sqlx asks the database after
//! every use whether a connection is still well, which costs as much as a small statement.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Database, Executor, IntoArguments};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Value,
    Values,
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{ACQUIRE_TIMEOUT, Meter};
use crate::error::is_disconnect;

const LIMIT: &str = " LIMIT ";
/// How long a connection may lie unused.
const LONGEST_IDLE: Duration = Duration::from_mins(10);

/// A handle to the connections that only read; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: Pool,
    meter: Meter,
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
    pub(super) fn sqlite(options: SqliteConnectOptions, most: u32, meter: Meter) -> Self {
        Self { pool: Pool::Sqlite(Connections::new(options.disable_statement_logging(), most)), meter }
    }

    /// The same to PostgreSQL.
    pub(super) fn postgres(options: PgConnectOptions, most: u32, meter: Meter) -> Self {
        Self { pool: Pool::Postgres(Connections::new(options.disable_statement_logging(), most)), meter }
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
    ($reader:expr, $method:ident, $statement:expr) => {{
        let Reader { pool, meter } = $reader;
        let (begun, sql) = (Instant::now(), Meter::text(&$statement));
        let done = match pool {
            Pool::Sqlite(connections) => connections.$method($statement).await,
            Pool::Postgres(connections) => connections.$method($statement).await,
        };
        meter.note(begun.elapsed(), &sql);
        done
    }};
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
        run!(self, all, statement)
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

    async fn lend(self: &Arc<Self>) -> Result<Lent<C>, DbErr> {
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
        Ok(Lent { connection: Some(connection), is_new, from: Arc::clone(self), place: Some(place), is_done: false })
    }

    async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for (connection, _) in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a connection did not close in good order");
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
    async fn all(self: &Arc<Self>, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(statement, async |connection, statement| {
            let mut rows = Vec::new();
            let mut steps = connection.fetch_many(query(statement));
            while let Some(step) = steps.try_next().await? {
                rows.extend(step.right().map(QueryResult::from));
                if rows.len() == 1 {
                    // SQLite sends from another thread: who asks for the next row at once has to be woken for each.
                    tokio::task::yield_now().await;
                }
            }
            Ok(rows)
        })
        .await
    }

    async fn one(self: &Arc<Self>, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let row = self.run(statement, async |connection, statement| connection.fetch_optional(query(statement)).await);
        Ok(row.await?.map(QueryResult::from))
    }

    async fn execute(self: &Arc<Self>, statement: Statement) -> Result<ExecResult, DbErr> {
        let result = self.run(statement, async |connection, statement| connection.execute(query(statement)).await);
        result.await.map(ExecResult::from)
    }

    /// Runs a statement; once more where the database has closed the connection since it was last used. It only reads, so that it
    /// may be run twice.
    async fn run<T>(
        self: &Arc<Self>,
        statement: Statement,
        run: impl AsyncFn(&mut C, Statement) -> Result<T, sqlx::Error>,
    ) -> Result<T, DbErr> {
        loop {
            let mut lent = self.lend().await?;
            match run(lent.connection()?, statement.clone()).await {
                Ok(done) => {
                    lent.is_done = true;
                    return Ok(done);
                }
                Err(error) => {
                    let (error, is_new) = (failed(error), lent.is_new);
                    if is_new || !is_disconnect(&error) {
                        return Err(error);
                    }
                    // Neither do the others answer, if the database was started again.
                    self.idle().clear();
                }
            }
        }
    }
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
struct Lent<C: Connection + 'static> {
    connection: Option<C>,
    is_new: bool,
    from: Arc<Connections<C>>,
    place: Option<OwnedSemaphorePermit>,
    /// Whether the answer was read to its end.
    is_done: bool,
}

impl<C: Connection + 'static> Lent<C> {
    fn connection(&mut self) -> Result<&mut C, DbErr> {
        self.connection.as_mut().ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }
}

impl<C: Connection + 'static> Drop for Lent<C> {
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
