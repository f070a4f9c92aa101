//! A connection of a pool that is in use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, Connection};
use sea_orm::{ConnAcquireErr, DbErr};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::{Connections, failed};
use crate::error::is_disconnect;

/// A connection in use.
pub(super) struct PooledConnection<C: Connection + 'static> {
    pub(super) connection: Option<C>,
    pub(super) opened: Instant,
    /// How long it was idle before; `None` if it is new.
    pub(super) idle_for: Option<Duration>,
    pub(super) pool: Arc<Connections<C>>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// Whether the result was read to its end.
    pub(super) is_done: bool,
}

impl<C: Connection + 'static> PooledConnection<C> {
    /// Returns the result of a statement, or `None` if it must be retried because the database has closed the connection since
    /// its last use. The first attempt may have succeeded, so the statement must be safe to run twice.
    pub(super) fn settle<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Option<Result<T, DbErr>> {
        let outcome = self.finish(outcome);
        if self.idle_for.is_some() && outcome.as_ref().is_err_and(is_disconnect) {
            return None;
        }
        Some(outcome)
    }

    /// Returns the result of a statement.
    pub(super) fn finish<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, DbErr> {
        self.is_done = outcome.is_ok();
        let outcome = outcome.map_err(failed);
        if outcome.as_ref().is_err_and(is_disconnect) {
            self.discard();
        }
        outcome
    }

    /// Drops a connection that is closed. If the database was restarted, the other idle connections are closed as well.
    pub(super) fn discard(&mut self) {
        self.connection = None;
        self.pool.idle().clear();
    }

    pub(super) fn get(&mut self) -> Result<&mut C, DbErr> {
        self.connection.as_mut().ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }
}

impl<C: Connection + 'static> Drop for PooledConnection<C> {
    fn drop(&mut self) {
        let (Some(mut connection), opened) = (self.connection.take(), self.opened) else { return };
        if self.is_done {
            return self.pool.put_back(connection, opened);
        }
        if self.pool.source.begin.is_some() {
            // The transaction may be open, whatever the connection knows of it.
            return;
        }
        // The caller was cancelled, or the statement failed: the connection is kept if it still responds.
        let (pool, permit) = (Arc::clone(&self.pool), self.permit.take());
        tokio::spawn(async move {
            match timeout(pool.max_wait, connection.ping()).await {
                Ok(Ok(())) => pool.put_back(connection, opened),
                // If the database was restarted, the other idle connections are closed as well.
                _ => pool.idle().clear(),
            }
            drop(permit);
        });
    }
}
