//! Metrics of the operations of trusted documents, by name. The names are those that the operator of the server has
//! published: a client can choose among them, and add none.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::outcome::{OK, OTHER};
use crate::measure::coarse_durations;

/// Maximum number of names with metrics of their own, which stay in memory and in every scrape.
const MAX_NAMES: usize = 500;
/// The label of operations without a name.
const UNNAMED: &str = "unnamed";

/// The metrics of the operations of trusted documents; cheap to clone.
#[derive(Clone, Debug)]
pub struct TrustedOperations {
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabel, Histogram>,
    /// The names with metrics of their own.
    names: Arc<Mutex<HashSet<Arc<str>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: Arc<str>,
}

impl Default for TrustedOperations {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(coarse_durations as fn() -> Histogram),
            names: Arc::default(),
        };
        for operation in [UNNAMED, OTHER].map(Arc::<str>::from) {
            drop(metrics.durations.get_or_create(&OperationLabel { operation: Arc::clone(&operation) }));
            drop(metrics.requests.get_or_create(&RequestLabels { operation, outcome: OK }));
        }
        metrics
    }
}

impl TrustedOperations {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "HTTP requests for trusted documents, by name of the operation, and by outcome";
        registry.register("trusted_operations", help, self.requests.clone());
        let help = "Duration of HTTP requests for trusted documents, by name of the operation";
        registry.register("trusted_operation_duration_seconds", help, self.durations.clone());
    }

    /// Counts a request for an operation.
    pub fn count(&self, name: Option<&str>, outcome: &'static str, duration: Duration) {
        let operation = name.map_or_else(|| Arc::<str>::from(UNNAMED), |name| self.label_of(name));
        let label = OperationLabel { operation: Arc::clone(&operation) };
        self.durations.get_or_create(&label).observe(duration.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { operation, outcome }).inc();
    }

    /// Returns the label for a name: the name itself, unless there are too many already.
    fn label_of(&self, name: &str) -> Arc<str> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return Arc::clone(known);
        }
        if names.len() >= MAX_NAMES {
            return Arc::from(OTHER);
        }
        let label = Arc::<str>::from(name);
        names.insert(Arc::clone(&label));
        label
    }
}
