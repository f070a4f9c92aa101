//! The task that follows the audit trail.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;
use crate::background::supervise;
use crate::repeated::Repeated;

/// The interval at which commits are looked for. To apply those of an interval takes hardly longer than to apply one. A search or a
/// subscription that needs those of this process does not wait for it.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The delay after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Applies changes as they are committed, until the index is stopped or no longer used. Starts again after a panic.
pub(super) async fn run(index: Weak<Shared>) {
    let task = move || follow(index.clone());
    supervise("the task that updates the search index", RETRY_DELAY, task).await;
}

async fn follow(index: Weak<Shared>) {
    let failures = Repeated::new();
    loop {
        let Some(shared) = index.upgrade().filter(|shared| !shared.is_stopped.load(Ordering::Relaxed)) else {
            return;
        };
        let followed = shared.catch_up().await;
        drop(shared);
        if let Err(error) = followed {
            if let Some(times) = failures.count() {
                let error = error.for_log();
                tracing::warn!(error, times, "failed to update the search index; searches wait for it");
            }
            sleep(RETRY_DELAY).await;
        } else {
            sleep(POLL_INTERVAL).await;
        }
    }
}
