//! The pools of connections, for the metrics.

use sea_orm::DatabaseConnection;

use super::Db;

/// The connections of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// The purpose of the pool: `read`, `background` or `write`; `write_single` on PostgreSQL, for single statements that write;
    /// `standby` and `standby_background` if there is a standby.
    pub name: &'static str,
    /// The number of connections that may be open.
    pub max: usize,
    pub open: usize,
    /// The number of open connections that nobody uses.
    pub idle: usize,
    /// The number of callers that wait for a connection. Of the pool for writing, also those whose transaction is just beginning.
    pub waiting: usize,
}

impl Db {
    /// Returns the state of the pools. It needs no statement.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolStatus> {
        let writer = &self.writer.connections;
        let (open, idle) = self.open_and_idle(&writer.pool);
        let max = if self.is_postgres() { writer.max as usize } else { 1 };
        let waiting = usize::try_from(writer.waiting.get()).unwrap_or(0);
        let write = PoolStatus { name: "write", max, open, idle, waiting };
        let of_primary = [self.shared.front.status("read"), self.shared.background.status("background"), write];
        let single = writer.single.as_ref().map(|single| single.connections.status("write_single"));
        of_primary.into_iter().chain(single).chain(self.standby.pools()).collect()
    }

    /// Returns the number of open connections of a pool of sqlx, and of those that are idle.
    fn open_and_idle(&self, pool: &DatabaseConnection) -> (usize, usize) {
        if self.is_postgres() {
            let pool = pool.get_postgres_connection_pool();
            (pool.size() as usize, pool.num_idle())
        } else {
            let pool = pool.get_sqlite_connection_pool();
            (pool.size() as usize, pool.num_idle())
        }
    }
}
