//! Transactions that may write.

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseExecutor, DatabaseTransaction, DbErr, ExecResult, IntoDatabaseExecutor,
    QueryResult, Statement,
};
use tokio::sync::watch;

/// A transaction that may write, as [`Db::begin`](super::Db::begin) returns it. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    /// The number of commits, which wakes whoever waits for them.
    commits: watch::Sender<u64>,
}

impl Transaction {
    pub(super) fn new(inner: DatabaseTransaction, commits: watch::Sender<u64>) -> Self {
        Self { inner, commits }
    }

    /// Commits the transaction, and wakes the receivers of [`Db::committed`](super::Db::committed).
    ///
    /// # Errors
    /// That the database cannot be reached, or has no room; nothing is saved then.
    #[expect(clippy::disallowed_methods, reason = "this is the transaction that others commit")]
    pub async fn commit(self) -> Result<(), DbErr> {
        self.inner.commit().await?;
        self.commits.send_modify(|commits| *commits += 1);
        Ok(())
    }

    /// Rolls the transaction back. Dropping it does the same, but later.
    ///
    /// # Errors
    /// That the database cannot be reached.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.inner.rollback().await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}

/// Migrations run in a transaction of SeaORM.
impl<'t> IntoDatabaseExecutor<'t> for &'t Transaction {
    fn into_database_executor(self) -> DatabaseExecutor<'t> {
        DatabaseExecutor::Transaction(&self.inner)
    }
}
