//! The standby of PostgreSQL, as the handles to the database use it.

use std::sync::Arc;

use sea_orm::DatabaseTransaction;

use super::hosts::{Pooler, Servers};
use super::reader::{Reader, Standby, StandbyMetrics};
use super::{DatabaseSettings, Db, PoolStatus, check_url, is_postgres, postgres};
use crate::error::Error;

/// Validates the URL of a standby, which must lead to a single server of PostgreSQL, and returns it in the form in which it is used.
/// Behind a connection pooler in transaction mode, each statement may run on another server, or on one that was restarted.
///
/// # Errors
/// The error and the expected format, without the password.
pub fn check_read_url(url: &str) -> Result<String, String> {
    if !is_postgres(url) {
        return Err("expected postgres://user:password@host/database, a standby of PostgreSQL".to_owned());
    }
    let url = check_url(url)?;
    let Ok(Servers { hosts, pooler, .. }) = Servers::parse(&url) else { return Ok(url) };
    if hosts.len() > 1 {
        return Err("expected one host".to_owned());
    }
    if pooler == Some(Pooler::Transaction) {
        return Err("pooler=transaction: expected connections that lead to one server, without a pooler or with \
                    pooler=session"
            .to_owned());
    }
    Ok(url)
}

/// The standby, if there is one, and whether a handle reads from it.
#[derive(Clone, Debug, Default)]
pub(super) struct StandbyUse {
    connected: Arc<ConnectedStandby>,
    /// Whether the handle is for a request in the background.
    in_background: bool,
    /// The connections for reading of a request that reads from the standby.
    reader: Option<Reader>,
}

/// The standby, if there is one, and its metrics.
#[derive(Debug, Default)]
struct ConnectedStandby {
    standby: Option<Arc<Standby>>,
    metrics: StandbyMetrics,
}

impl StandbyUse {
    /// Starts to connect to the standby of PostgreSQL, if the settings name one.
    pub(super) fn start(settings: &DatabaseSettings) -> Result<Self, Error> {
        let metrics = StandbyMetrics::default();
        let connected = ConnectedStandby { standby: postgres::standby(settings, &metrics)?, metrics };
        Ok(Self { connected: Arc::new(connected), ..Self::default() })
    }

    /// Returns the same for a request in the background.
    pub(super) fn in_background(&self) -> Self {
        Self { in_background: true, ..self.clone() }
    }

    /// Returns the same for a handle that does not read from the standby.
    pub(super) fn unused(&self) -> Self {
        Self { reader: None, ..self.clone() }
    }

    fn standby(&self) -> Option<&Arc<Standby>> {
        self.connected.standby.as_ref()
    }

    /// Returns the state of the pools.
    pub(super) fn pools(&self) -> impl Iterator<Item = PoolStatus> {
        self.standby().into_iter().flat_map(|standby| standby.pools())
    }

    pub(super) async fn close(&self) {
        if let Some(standby) = self.standby() {
            standby.close().await;
        }
    }
}

impl Db {
    /// Returns the connections for reading.
    #[must_use]
    pub fn read(&self) -> &Reader {
        self.standby.reader.as_ref().unwrap_or(&self.reader)
    }

    /// Returns the connections for reading that never lead to a standby.
    #[must_use]
    pub fn read_primary(&self) -> &Reader {
        &self.reader
    }

    /// Returns the handle of a request that reads from the standby, if that has replayed everything that is committed by now.
    /// Otherwise, and without a standby, returns the same handle.
    #[must_use]
    pub async fn on_standby(self) -> Self {
        let Some(standby) = self.standby.standby().cloned() else { return self };
        let reader = self.reader.on_standby(&standby, &self.shared.front, self.standby.in_background).await;
        Self { standby: StandbyUse { reader, ..self.standby }, ..self }
    }

    /// Begins a read-only transaction as [`snapshot`](Self::snapshot) does, on the standby if that soon has everything that is
    /// committed by now.
    ///
    /// # Errors
    /// `Unavailable` if no connection becomes available in time.
    pub async fn snapshot_on_standby(&self) -> Result<DatabaseTransaction, Error> {
        if let Some(standby) = self.standby.standby()
            && let Some(snapshot) = standby.snapshot(&self.shared.front).await
        {
            return Ok(snapshot);
        }
        self.snapshot().await
    }

    /// Returns the metrics of the standby.
    #[must_use]
    pub fn standby_metrics(&self) -> &StandbyMetrics {
        &self.standby.connected.metrics
    }

    /// Checks whether the standby can be used, and says what is wrong otherwise; `None` if there is none.
    pub async fn check_standby(&self) -> Option<Result<(), String>> {
        match self.standby.standby() {
            Some(standby) => Some(standby.check(&self.shared.front).await),
            None => None,
        }
    }
}
