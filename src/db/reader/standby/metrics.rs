//! Metrics of the standby.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use prometheus_client::registry::Registry;

/// The metrics of the standby; cheap to clone.
#[derive(Clone, Debug)]
pub struct StandbyMetrics {
    queries: Family<OutcomeLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Where a query is read that may be read from the standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandbyOutcome {
    /// From the standby.
    Read,
    /// From the primary, because the standby is behind.
    Behind,
    /// From the primary, because the standby cannot be reached.
    Unreachable,
    /// From the primary, because of an error.
    Failed,
}

impl StandbyOutcome {
    const ALL: [Self; 4] = [Self::Read, Self::Behind, Self::Unreachable, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Behind => "behind",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
        }
    }
}

impl Default for StandbyMetrics {
    fn default() -> Self {
        let metrics = Self { queries: Family::default() };
        for outcome in StandbyOutcome::ALL {
            drop(metrics.queries.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }));
        }
        metrics
    }
}

impl StandbyMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Queries that may be read from the standby, by outcome: read, or behind, unreachable or failed, which were \
                    read from the primary";
        registry.register("standby_queries", help, self.queries.clone());
    }

    pub(super) fn count(&self, outcome: StandbyOutcome) {
        self.queries.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }
}
