//! Counting and tracing of statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::Statement;

use crate::trace;

/// A counter of statements, which also traces them.
#[derive(Clone, Debug, Default)]
pub(super) struct StatementCounter {
    count: Arc<AtomicU64>,
    /// Whether the statements are neither counted nor traced.
    is_silent: bool,
}

impl StatementCounter {
    /// Returns a counter that ignores statements.
    pub(super) fn silent() -> Self {
        Self { is_silent: true, ..Self::default() }
    }

    pub(super) fn note(&self, elapsed: Duration, sql: &str) {
        if self.is_silent {
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        trace::record_statement(sql, elapsed);
        // The text has placeholders for the values, never the values.
        tracing::trace!(target: "roster::sql", ?elapsed, sql);
    }

    /// Returns the text of a statement before the statement is moved; empty if it is neither logged nor recorded.
    pub(super) fn text(statement: &Statement) -> String {
        if trace::is_recorded() || tracing::enabled!(target: "roster::sql", tracing::Level::TRACE) {
            statement.sql.clone()
        } else {
            String::new()
        }
    }

    /// Returns the number of statements.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
