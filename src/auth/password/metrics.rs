//! Metrics of the hashing threads.

use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};
use prometheus_client::registry::Registry;

use super::{Hasher, MAX_ADMITTED, thread_count};
use crate::measure::durations;

/// The metrics of the hashing threads; cheap to clone.
#[derive(Clone, Debug)]
pub struct HashMetrics {
    durations: Histogram,
    waits: Histogram,
    refused: Counter,
}

/// The hashes under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLoad {
    /// The number of permits that are in use: their hashes are computed, or about to be.
    pub running: usize,
    /// The number of callers that wait for a permit.
    pub waiting: usize,
}

impl Hasher {
    /// Returns what the hashing threads have counted.
    #[must_use]
    pub fn metrics(&self) -> &HashMetrics {
        &self.metrics
    }

    /// Returns the number of hashes under way.
    #[must_use]
    pub fn load(&self) -> HashLoad {
        let running = thread_count().saturating_sub(self.running.available_permits());
        let admitted = MAX_ADMITTED.saturating_sub(self.admitted.available_permits());
        HashLoad { running, waiting: admitted.saturating_sub(running) }
    }
}

impl Default for HashMetrics {
    fn default() -> Self {
        Self { durations: durations(), waits: durations(), refused: Counter::default() }
    }
}

impl HashMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Duration of computing password hashes, PIN hashes and the strength of passwords";
        registry.register("password_hash_duration_seconds", help, self.durations.clone());
        let help = "Time that password hashes waited for their turn";
        registry.register("password_hash_wait_seconds", help, self.waits.clone());
        let help = "Password hashes that were refused, because too many were waiting";
        registry.register("password_hashes_refused", help, self.refused.clone());
    }

    pub(super) fn computed(&self, duration: Duration) {
        self.durations.observe(duration.as_secs_f64());
    }

    pub(super) fn waited(&self, duration: Duration) {
        self.waits.observe(duration.as_secs_f64());
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }
}
