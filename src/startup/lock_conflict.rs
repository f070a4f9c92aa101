//! Migrations and the locks of transactions that run at the same time, on PostgreSQL: a migration gives way, and is retried.

use std::time::Duration;

use backon::ExponentialBuilder;
use sea_orm::DbErr;

use crate::error::{self, Error};

/// Limits how long a step waits for the lock of a table. Whoever needs the table meanwhile waits behind it.
pub(super) const LIMIT_WAITS: &str = "SET LOCAL lock_timeout = '2s'";
/// Lets a transaction wait for locks of rows, behind which nobody else waits.
pub(super) const ALLOW_WAITS: &str = "SET LOCAL lock_timeout = 0";

/// The pauses between two attempts, in which those who have waited for a table go on. With the waits, they take a few minutes.
pub(super) const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(Duration::from_secs(2))
    .with_jitter()
    .with_max_times(40);

/// Returns whether a migration was rolled back because of the locks of other transactions.
pub(super) fn is_lock_conflict(error: &Error) -> bool {
    cause(error).is_some()
}

/// Logs that a migration is retried.
pub(super) fn log(error: &Error, pause: Duration) {
    if let Some(cause) = cause(error) {
        tracing::warn!(%cause, ?pause, "the migration is retried: other transactions hold locks that it needs");
    }
}

/// Adds a hint to the error of the last attempt.
pub(super) fn explain(error: Error) -> Error {
    match cause(&error) {
        Some(cause) => Error::internal(format!(
            "{cause}: other transactions hold locks that the migration needs; nothing was changed. Try again when less is \
             written and no backup is made, or end long transactions (pg_stat_activity)"
        )),
        None => error,
    }
}

fn cause(error: &Error) -> Option<&DbErr> {
    let (Error::Unavailable(cause) | Error::Internal(cause)) = error else { return None };
    cause.downcast_ref::<DbErr>().filter(|cause| error::is_lock_conflict(cause))
}
