//! Transactions that read several statements from one snapshot.

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, IsolationLevel, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use super::Db;
use super::writer::retry;
use crate::error::Error;

/// The statement that makes a transaction of PostgreSQL a snapshot.
pub(super) const SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

impl Db {
    /// Begins a read-only transaction on one snapshot of the database. It does not block writers.
    ///
    /// # Errors
    /// `Unavailable` if no connection becomes available in time.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction, Error> {
        let writer = &self.writer.connections;
        if let Some(settings) = &writer.transaction_settings {
            let snapshot = retry(writer.max, || self.shared.snapshots.begin()).await?;
            snapshot.execute_unprepared(&format!("{SNAPSHOT}; {settings}")).await?;
            return Ok(snapshot);
        }
        let options = || {
            if self.is_postgres() {
                TransactionOptions {
                    isolation_level: Some(IsolationLevel::RepeatableRead),
                    access_mode: Some(AccessMode::ReadOnly),
                    ..TransactionOptions::default()
                }
            } else {
                TransactionOptions {
                    sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
                    ..TransactionOptions::default()
                }
            }
        };
        Ok(retry(writer.max, || self.shared.snapshots.begin_with_options(options())).await?)
    }
}
