//! Parameters of the writing connections while many rows are loaded.

use sea_orm::ConnectionTrait;

use super::Db;
use crate::error::Error;

/// The parameters of SQLite's writing connection during a load: it waits for the disk only at checkpoints, has a page cache for
/// the pages that a large transaction changes, and sorts in files. A power cut may lose the last transactions, but never a part of
/// one.
const BULK_PRAGMAS: &str = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 32768; PRAGMA cache_size = -8192; \
    PRAGMA temp_store = FILE";
/// The parameters in normal operation.
const NORMAL_PRAGMAS: &str = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -4096; \
    PRAGMA temp_store = MEMORY";
/// The maximum number of transactions that a load has open at a time.
const MAX_TRANSACTIONS: u32 = 3;

impl Db {
    /// Prepares SQLite for loading many rows in large transactions. Does nothing on PostgreSQL. What the load has committed is
    /// durable with the first commit after [`end_load`](Self::end_load).
    pub async fn begin_load(&self) -> Result<(), Error> {
        let Some(log) = &self.writer.connections.log else { return Ok(()) };
        log.grow();
        self.writer.execute_unprepared(BULK_PRAGMAS).await?;
        Ok(())
    }

    /// Restores the parameters of normal operation.
    pub async fn end_load(&self) -> Result<(), Error> {
        let Some(log) = &self.writer.connections.log else { return Ok(()) };
        log.shrink();
        self.writer.execute_unprepared(NORMAL_PRAGMAS).await?;
        Ok(())
    }

    /// Returns the number of transactions that a load can have open at a time. SQLite has one writer.
    #[must_use]
    pub fn transactions_of_load(&self) -> usize {
        let most = if self.is_postgres() { MAX_TRANSACTIONS.min(self.writer.connections.max) } else { 1 };
        usize::try_from(most).unwrap_or(1)
    }
}
