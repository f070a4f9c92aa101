//! The state of the search index, for the metrics.

use std::sync::PoisonError;
use std::time::Duration;

use super::{IndexLoad, SearchIndex};

/// The state of an index at one moment.
#[derive(Clone, Copy, Debug)]
pub struct SearchIndexStatus {
    pub users: usize,
    /// The size in bytes.
    pub bytes: usize,
    /// The time since the index had every change in the audit trail.
    pub lag: Duration,
    /// How the users were loaded. `None` before.
    pub load: Option<IndexLoad>,
}

impl SearchIndex {
    /// Returns the state at this moment. Asks no database.
    #[must_use]
    pub fn status(&self) -> SearchIndexStatus {
        let snapshot = self.0.current();
        let lag = self.0.caught_up_at.read().unwrap_or_else(PoisonError::into_inner).elapsed();
        let load = *self.0.loaded.read().unwrap_or_else(PoisonError::into_inner);
        SearchIndexStatus { users: snapshot.len(), bytes: snapshot.bytes(), lag, load }
    }
}
