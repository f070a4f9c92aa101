//! Metrics of the backups that a server makes by itself.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use crate::measure::gauge_value;

const SUCCESS: OutcomeLabel = OutcomeLabel { outcome: "success" };
const FAILURE: OutcomeLabel = OutcomeLabel { outcome: "failure" };

/// The metrics of scheduled backups; cheap to clone.
#[derive(Clone, Debug)]
pub struct BackupMetrics {
    backups: Family<OutcomeLabel, Counter>,
    last_success: Gauge,
    last_size: Gauge,
    interval: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl BackupMetrics {
    /// Creates the metrics of a schedule with an interval.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        let metrics = Self {
            backups: Family::default(),
            last_success: Gauge::default(),
            last_size: Gauge::default(),
            interval: Gauge::default(),
        };
        metrics.interval.set(gauge_value(interval.as_secs()));
        for outcome in [SUCCESS, FAILURE] {
            drop(metrics.backups.get_or_create(&outcome));
        }
        metrics
    }

    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Backups that the schedule of this instance made or failed to make, by outcome: success or failure";
        registry.register("backups", help, self.backups.clone());
        let help = "Time of the newest backup in the directory, since 1970; 0 if there is none";
        registry.register("backup_last_success_timestamp_seconds", help, self.last_success.clone());
        let help = "Size of the newest backup in the directory; 0 if there is none";
        registry.register("backup_last_success_size_bytes", help, self.last_size.clone());
        let help = "Interval of the schedule of backups";
        registry.register("backup_interval_seconds", help, self.interval.clone());
    }

    /// Counts a backup that was made.
    pub fn count_success(&self) {
        self.backups.get_or_create(&SUCCESS).inc();
    }

    /// Counts a backup that could not be made.
    pub fn count_failure(&self) {
        self.backups.get_or_create(&FAILURE).inc();
    }

    /// Sets the time of the newest backup, and its size in bytes.
    pub fn set_last_success(&self, at: DateTime<Utc>, size: u64) {
        self.last_size.set(gauge_value(size));
        self.last_success.set(at.timestamp());
    }
}
