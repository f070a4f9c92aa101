//! Connections for writing single statements. Several statements belong in a transaction ([`super::Db::begin`]).

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::metrics::gauge::Gauge;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult, QueryResult,
    Statement, TransactionTrait,
};
use tokio::sync::watch;

use super::changed::ChangedRows;
use super::pool::Connections;
use super::postgres::READ_COMMITTED;
use super::primary::Primary;
use super::sqlite::{CommitGroups, WriteAheadLog};
use super::transaction::SeenGroup;
use super::{DatabaseSettings, StatementCounter, Transaction};
use crate::error::is_disconnect;
use crate::measure::UnderWay;

/// A handle to the connections for writing; cheap to clone.
///
/// On SQLite, a statement is a member of a commit group, as a transaction is; behind a connection pooler that gives each transaction
/// another connection, it is a transaction of its own. Otherwise, on PostgreSQL, it is retried on another connection
/// if the database has closed its connection. The first attempt may have succeeded, so every statement must be safe to run twice,
/// except those of [`Writer::execute_once`].
#[derive(Clone, Debug)]
pub struct Writer {
    pub(super) connections: Arc<WriteConnections>,
    /// The commit group that a request has seen, on SQLite; `None` outside a request.
    pub(super) seen: Option<SeenGroup>,
}

/// The connections that all handles for writing share.
#[derive(Debug)]
pub(super) struct WriteConnections {
    /// The connections for transactions.
    pub(super) pool: DatabaseConnection,
    /// The connections for single statements, on PostgreSQL; `None` behind a connection pooler that gives each transaction another
    /// connection.
    pub(super) single: Option<SingleStatements>,
    /// The write-ahead log of SQLite.
    pub(super) log: Option<Arc<WriteAheadLog>>,
    /// The commit groups of SQLite.
    pub(super) groups: Option<CommitGroups>,
    /// The number of connections of the pool, and of that for single statements: so many may have been closed.
    pub(super) max: u32,
    /// The number of commits: of transactions, of [`Writer::execute_once`], and of SQLite's commit groups.
    pub(super) commits: watch::Sender<u64>,
    /// The number of callers that wait for a connection or their turn, or whose transaction is just beginning.
    pub(super) waiting: Gauge,
    /// The rows that transactions change.
    pub(super) changed: ChangedRows,
    /// Follows the server of PostgreSQL that accepts writes, if there may be another one.
    pub(super) primary: Option<Arc<Primary>>,
    /// The statements with which each transaction begins, behind a connection pooler that gives each of them another connection.
    pub(super) transaction_settings: Option<Arc<str>>,
}

impl WriteConnections {
    pub(super) fn new(pool: DatabaseConnection, log: Option<Arc<WriteAheadLog>>, settings: &DatabaseSettings) -> Self {
        let commits = watch::Sender::new(0);
        let is_sqlite = pool.get_database_backend() == DatabaseBackend::Sqlite;
        let timeout = settings.timeouts.acquire;
        let groups = is_sqlite.then(|| CommitGroups::start(pool.clone(), log.clone(), commits.clone(), timeout));
        let (max, changed) = (settings.connections, ChangedRows::default());
        let (waiting, single, primary, transaction_settings) = (Gauge::default(), None, None, None);
        Self { pool, single, log, groups, max, commits, waiting, changed, primary, transaction_settings }
    }

    async fn begin(&self, seen: Option<&SeenGroup>) -> Result<Transaction, DbErr> {
        let _waiting = UnderWay::in_gauge(&self.waiting);
        if let Some(groups) = &self.groups {
            return Ok(groups.begin(seen).await?.recording(self.changed.clone()));
        }
        let begun = retry(self.max, || self.begin_on_postgres()).await;
        let inner = begun.inspect_err(|error| check_after(self.primary.as_deref(), error))?;
        let transaction = Transaction::new(inner, self.commits.clone());
        Ok(transaction.recording(self.changed.clone()).checking(self.primary.clone()))
    }

    async fn begin_on_postgres(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.pool.begin().await?;
        if let Some(settings) = &self.transaction_settings {
            transaction.execute_unprepared(&format!("{READ_COMMITTED}; {settings}")).await?;
        }
        Ok(transaction)
    }
}

impl Writer {
    pub(super) fn new(connections: WriteConnections) -> Self {
        Self { connections: Arc::new(connections), seen: None }
    }

    /// Returns a handle for what has seen a commit group of SQLite, or none.
    pub(super) fn seeing(&self, seen: Option<SeenGroup>) -> Self {
        Self { connections: Arc::clone(&self.connections), seen }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DbErr> {
        self.connections.begin(self.seen.as_ref()).await
    }

    /// Returns whether [`execute_once`](Self::execute_once) saves round trips to the database. Then it is available.
    #[must_use]
    pub fn can_execute_once(&self) -> bool {
        self.connections.single.is_some()
    }

    /// Runs a statement that is a whole transaction and must not run twice. If it has written rows, wakes the receivers of
    /// [`Db::committed`](super::Db::committed). Returns the number of rows.
    ///
    /// # Errors
    /// The violation of a constraint, or that the database cannot be reached; nothing is saved then, unless the connection was lost:
    /// then the outcome is unknown, as when it is lost during a commit.
    pub async fn execute_once(&self, statement: Statement) -> Result<u64, DbErr> {
        let WriteConnections { single, commits, primary, .. } = &*self.connections;
        let single = single.as_ref().ok_or_else(|| DbErr::Custom("no connections for single statements".to_owned()))?;
        let (begun, sql) = (Instant::now(), StatementCounter::text(&statement));
        let done = single.connections.execute_once(statement).await;
        single.meter.note(begun.elapsed(), &sql);
        let rows = done.inspect_err(|error| check_after(primary.as_deref(), error))?.rows_affected();
        if rows > 0 {
            commits.send_modify(|commits| *commits += 1);
        }
        Ok(rows)
    }

    /// Returns the record of the rows that are changed. They are recorded after the commit.
    #[must_use]
    pub fn changed_rows(&self) -> ChangedRows {
        self.connections.changed.clone()
    }
}

/// Has the server checked after an error.
pub(super) fn check_after(primary: Option<&Primary>, error: &DbErr) {
    if let Some(primary) = primary {
        primary.check_after(error);
    }
}

/// Connections to PostgreSQL for single statements.
pub(super) struct SingleStatements {
    pub(super) connections: Arc<Connections<PgConnection>>,
    pub(super) meter: StatementCounter,
}

impl fmt::Debug for SingleStatements {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SingleStatements").finish_non_exhaustive()
    }
}

/// Does `work` with a pool, and retries it once for each connection of the pool if the database has closed the connection.
pub(super) async fn retry<T, F: Future<Output = Result<T, DbErr>>>(
    connections: u32,
    work: impl Fn() -> F,
) -> Result<T, DbErr> {
    for _ in 0..connections {
        match work().await {
            Err(error) if is_disconnect(&error) => tracing::debug!(%error, "replacing a closed connection"),
            done => return done,
        }
    }
    work().await
}

/// Runs a statement in a transaction of its own.
macro_rules! run {
    ($writer:expr, $method:ident, $run:ident, $statement:expr $(, $more:expr)?) => {{
        if let Some(SingleStatements { connections, meter }) = &$writer.connections.single {
            let (begun, sql) = (Instant::now(), StatementCounter::text(&$statement));
            let done = connections.$run($statement $(, $more)?).await;
            meter.note(begun.elapsed(), &sql);
            done
        } else {
            let transaction = $writer.begin().await?;
            let done = transaction.$method($statement).await?;
            commit(transaction, done).await
        }
    }};
}

/// Commits the transaction of a statement, and returns its result.
#[expect(clippy::disallowed_methods, reason = "whoever writes a single statement has no event")]
async fn commit<T>(transaction: Transaction, done: T) -> Result<T, DbErr> {
    transaction.commit().await?;
    Ok(done)
}

#[async_trait::async_trait]
impl ConnectionTrait for Writer {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.connections.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        run!(self, execute_raw, execute, statement)
    }

    /// Runs statements; on SQLite between two groups, because some, such as `VACUUM`, cannot run in a transaction.
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let WriteConnections { pool, groups, max, .. } = &*self.connections;
        let _alone = match groups {
            Some(groups) => Some(groups.alone().await?),
            None => None,
        };
        retry(*max, || pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        run!(self, query_one_raw, query_one, statement)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        run!(self, query_all_raw, query_all, statement, None)
    }
}
