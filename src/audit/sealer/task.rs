//! The task of a server that seals what is committed, by this process and by others that have ended.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::log::Log;
use super::{IfLocked, RETRY_DELAY, SealerMetrics, seal, seal_unsealed};
use crate::background;
use crate::db::Db;

/// The interval at which the sealer looks for events that another process left behind.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The shortest pause between two batches of this process, unless a reader asks for one, and the longest.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(40);
/// The pause for each event of the batch before. A batch takes a transaction however many events it has: those of a server with more
/// than 400 writes in a second are gathered, and those of others are sealed at once.
const PAUSE_PER_EVENT: Duration = Duration::from_micros(2_500);
/// The delay while another process seals events.
const LOCKED_DELAY: Duration = Duration::from_millis(10);

/// Seals events as they are committed, and those that another process left behind, until `stopped`. What is committed by then is
/// sealed as well. Returns at once on SQLite.
pub async fn run(db: Db, metrics: SealerMetrics, stopped: watch::Receiver<bool>) {
    if !db.is_postgres() {
        return;
    }
    metrics.started();
    let seal = || seal_until_stopped(db.clone(), metrics.clone(), stopped.clone());
    background::supervise("the sealer of the audit trail", RETRY_DELAY, seal).await;
}

/// Returns the time to wait after a batch of some events.
fn pause_after(events: u64) -> Duration {
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    PAUSE_PER_EVENT.saturating_mul(events).clamp(MIN_PAUSE, MAX_PAUSE)
}

async fn seal_until_stopped(db: Db, metrics: SealerMetrics, mut stopped: watch::Receiver<bool>) {
    let (mut log, mut commits) = (Log::default(), db.committed());
    // Another process may have left events behind, but one that has just committed some need not look whether there are any.
    let mut has_committed = false;
    loop {
        let commits_before = *commits.borrow_and_update();
        let is_last = *stopped.borrow() || stopped.has_changed().is_err();
        let sealed =
            if has_committed { seal_unsealed(&db, IfLocked::Return).await } else { seal(&db, IfLocked::Return).await };
        let (pause, delay, own_commits) = match sealed {
            Ok(sealed) => {
                metrics.sealed(&sealed);
                log.rejected(sealed.rejected);
                let delay = if sealed.was_locked { LOCKED_DELAY } else { POLL_INTERVAL };
                (pause_after(sealed.events), delay, u64::from(sealed.events > 0))
            }
            Err(error) => {
                log.failure(&error);
                (Duration::ZERO, RETRY_DELAY, 0)
            }
        };
        if is_last {
            return;
        }
        metrics.count_inbox(&db).await;
        let _ = timeout(pause, stopped.wait_for(|stopped| *stopped)).await;
        let woken = async {
            tokio::select! {
                _ = commits.changed() => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        };
        let is_woken = timeout(delay, woken).await.is_ok();
        has_committed = is_woken && commits.borrow().wrapping_sub(commits_before) > own_commits;
    }
}
