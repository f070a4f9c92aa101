//! Metrics of the sealer, and how far it is behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use prometheus_client::registry::Registry;

use super::Sealed;
use crate::audit::inbox;
use crate::db::Db;
use crate::measure::gauge_value;

/// The minimum interval at which the rows of the inbox are counted. They are not counted by a scrape, so that scrapes cost the
/// database nothing.
const COUNT_INTERVAL: Duration = Duration::from_secs(15);

/// The metrics of the sealer; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SealerMetrics {
    events: Counter,
    rejected: Gauge,
    inbox: Gauge,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The last moment at which everything that was committed had been sealed; `None` on SQLite, where it always is.
    caught_up_at: Option<Instant>,
    counted_at: Option<Instant>,
}

impl SealerMetrics {
    /// Adds the metrics to a registry, except the lag, which is a matter of the moment.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Events that the sealer of this instance added to the audit trail (PostgreSQL)";
        registry.register("audit_events_sealed", help, self.events.clone());
        let help = "Events in the inbox of the audit trail that cannot be sealed";
        registry.register("audit_events_rejected", help, self.rejected.clone());
        let help = "Events in the inbox of the audit trail, of all instances; counted every 15 seconds";
        registry.register("audit_inbox_events", help, self.inbox.clone());
    }

    /// Returns how long ago everything that was committed had been sealed; zero on SQLite.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.state().caught_up_at.map_or(Duration::ZERO, |caught_up_at| caught_up_at.elapsed())
    }

    pub(super) fn started(&self) {
        self.state().caught_up_at = Some(Instant::now());
    }

    /// Counts what was sealed.
    pub(super) fn sealed(&self, sealed: &Sealed) {
        self.events.inc_by(sealed.events);
        if !sealed.was_locked {
            self.rejected.set(gauge_value(sealed.rejected.len()));
            self.state().caught_up_at = Some(Instant::now());
        }
    }

    /// Counts the rows of the inbox, unless that was done a short while ago.
    pub(super) async fn count_inbox(&self, db: &Db) {
        if self.state().counted_at.is_some_and(|counted_at| counted_at.elapsed() < COUNT_INTERVAL) {
            return;
        }
        self.state().counted_at = Some(Instant::now());
        match inbox::count(db.read()).await {
            Ok(events) => {
                self.inbox.set(gauge_value(events));
            }
            Err(error) => tracing::debug!(error = error.for_log(), "failed to count the events in the inbox"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
