//! The task that follows the audit trail.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Shared;
use crate::background::supervise;
use crate::repeated::Repeated;

/// The interval at which commits of other processes are looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The time for which commits of this process are gathered, unless a search waits for them. To apply many takes hardly longer than
/// to apply one.
const GATHER_INTERVAL: Duration = Duration::from_millis(25);
/// The delay after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Applies changes as they are committed, until the index is stopped or no longer used. Starts again after a panic.
pub(super) async fn run(index: Weak<Shared>, commits: watch::Receiver<u64>) {
    let task = move || follow(index.clone(), commits.clone());
    supervise("the task that updates the search index", RETRY_DELAY, task).await;
}

async fn follow(index: Weak<Shared>, mut commits: watch::Receiver<u64>) {
    let failures = Repeated::new();
    loop {
        // Before the trail is read, so that a commit during it ends the pause.
        commits.mark_unchanged();
        let Some(shared) = index.upgrade().filter(|shared| !shared.is_stopped.load(Ordering::Relaxed)) else {
            return;
        };
        let followed = shared.catch_up().await;
        drop(shared);
        if let Err(error) = followed {
            if let Some(times) = failures.count() {
                tracing::warn!(?error, times, "failed to update the search index; searches wait for it");
            }
            sleep(RETRY_DELAY).await;
        } else if timeout(POLL_INTERVAL, commits.changed()).await.is_ok() {
            sleep(GATHER_INTERVAL).await;
        }
    }
}
