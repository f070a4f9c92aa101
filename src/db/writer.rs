//! Connections for writing single statements. Several statements belong in a transaction ([`super::Db::begin`]).

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, ExecResult, QueryResult, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::watch;

use super::Transaction;
use super::sqlite::WriteAheadLog;
use crate::error::is_disconnect;

/// A handle to the connections for writing; cheap to clone.
///
/// A statement is retried on another connection if the database has closed its connection. The first attempt may have succeeded,
/// so every statement must be safe to run twice.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(super) pool: DatabaseConnection,
    /// The write-ahead log of SQLite.
    pub(super) log: Option<Arc<WriteAheadLog>>,
    /// The number of connections of the pool: so many may have been closed.
    pub(super) connections: u32,
    /// The number of commits of transactions.
    pub(super) commits: watch::Sender<u64>,
}

impl Writer {
    pub(super) async fn begin(&self) -> Result<Transaction, DbErr> {
        let options = || TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = self.run(|| self.pool.begin_with_options(options())).await?;
        Ok(Transaction::new(inner, self.commits.clone()))
    }

    /// Empties the write-ahead log of SQLite if it is too long.
    async fn make_room(&self) -> Result<(), DbErr> {
        if let Some(log) = self.log.as_ref().filter(|log| log.is_long()) {
            log.empty(&self.pool).await?;
        }
        Ok(())
    }

    /// Sends a statement, and retries it once for each connection of the pool if the database has closed its connection.
    pub(super) async fn run<T, F: Future<Output = Result<T, DbErr>>>(&self, send: impl Fn() -> F) -> Result<T, DbErr> {
        self.make_room().await?;
        retry(self.connections, send).await
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

#[async_trait::async_trait]
impl ConnectionTrait for Writer {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(|| self.pool.execute_raw(statement.clone())).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(|| self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(|| self.pool.query_one_raw(statement.clone())).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(|| self.pool.query_all_raw(statement.clone())).await
    }
}
