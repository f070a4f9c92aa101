//! Snapshots of the standby, for exports.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};
use tokio::time::timeout;

use super::position::{LogPosition, Replay};
use super::watch::SameServer;
use super::{Reader, Standby};
use crate::db::snapshot::SNAPSHOT;
use crate::db::target::Initializer;

/// The maximum time that a snapshot waits for the standby to catch up.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The connection for snapshots, opened when it is first needed.
pub(super) struct Snapshots {
    pool: DatabaseConnection,
}

impl Snapshots {
    pub(super) fn new(options: PgConnectOptions, same_server: SameServer, max_wait: Duration) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(max_wait)
            .after_connect(move |connection, _| {
                let same_server = same_server.clone();
                Box::pin(async move { same_server.initialize(connection).await })
            })
            .connect_lazy_with(options);
        Self { pool: pool.into() }
    }

    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let snapshot = self.pool.begin().await?;
        snapshot.execute_unprepared(SNAPSHOT).await?;
        Ok(snapshot)
    }

    pub(super) async fn close(&self) {
        if let Err(error) = self.pool.close_by_ref().await {
            tracing::debug!(%error, "failed to close a connection cleanly");
        }
    }
}

impl Standby {
    /// Begins a read-only transaction on one snapshot of the standby, once that has replayed everything that the primary has committed
    /// by now. `None` if it cannot be used.
    pub(in crate::db) async fn snapshot(&self, primary: &Reader) -> Option<DatabaseTransaction> {
        let reason = match self.connected().await {
            None => "it cannot be reached".to_owned(),
            Some(server) => match timeout(MAX_WAIT + 2 * self.max_connect, self.begin_snapshot(primary)).await {
                Ok(Ok(Ok(snapshot))) if self.server.started_at.load(Ordering::Acquire) == server => {
                    tracing::info!("reading from the standby");
                    return Some(snapshot);
                }
                Ok(Ok(Ok(_))) => "it was replaced".to_owned(),
                Ok(Ok(Err(Replay::Foreign))) => "it does not replay what the database writes".to_owned(),
                Ok(Ok(Err(_))) => "it is behind".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not respond".to_owned(),
            },
        };
        tracing::warn!(reason, "the standby cannot be used; reading from the primary");
        None
    }

    /// Begins a snapshot, unless the standby is behind.
    async fn begin_snapshot(&self, primary: &Reader) -> Result<Result<DatabaseTransaction, Replay>, DbErr> {
        let written = LogPosition::written(primary).await?;
        match self.replay(&written, MAX_WAIT).await? {
            Replay::CaughtUp => Ok(Ok(self.snapshots.begin().await?)),
            replay => Ok(Err(replay)),
        }
    }
}
