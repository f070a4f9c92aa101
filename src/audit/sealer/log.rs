//! Messages of the sealer in the log.

use std::collections::BTreeSet;

use super::RejectedEvent;
use crate::error::Error;
use crate::repeated::Repeated;

/// The messages that the sealer has logged.
#[derive(Default)]
pub(super) struct Log {
    rejected: BTreeSet<i64>,
    failures: Repeated,
}

impl Log {
    /// Logs each event that cannot be sealed, once.
    pub(super) fn rejected(&mut self, events: Vec<RejectedEvent>) {
        for RejectedEvent { number, reason } in events {
            if self.rejected.insert(number) {
                tracing::error!(
                    number,
                    reason,
                    "an event of the audit trail cannot be sealed; it stays in audit_inbox"
                );
            }
        }
    }

    /// Logs a failure, at most once a minute.
    pub(super) fn failure(&self, error: &Error) {
        let Some(times) = self.failures.count() else { return };
        match error {
            Error::Unavailable(cause) => tracing::warn!(%cause, times, "failed to seal the audit trail"),
            error => tracing::error!(error = error.for_log(), times, "failed to seal the audit trail"),
        }
    }
}
