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
/// The shortest interval between two batches of this process, unless a reader asks for one. A batch takes a transaction however
/// many events it has: those of a busy server are gathered.
const BATCH_INTERVAL: Duration = Duration::from_millis(10);
/// The same after a batch of [`MANY_EVENTS`].
const BUSY_BATCH_INTERVAL: Duration = Duration::from_millis(30);
/// The number of events of a batch that shows a busy server: of several hundred writes in a second.
const MANY_EVENTS: u64 = 8;
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
const fn pause_after(events: u64) -> Duration {
    match events {
        0 => Duration::ZERO,
        1..MANY_EVENTS => BATCH_INTERVAL,
        MANY_EVENTS.. => BUSY_BATCH_INTERVAL,
    }
}

async fn seal_until_stopped(db: Db, metrics: SealerMetrics, mut stopped: watch::Receiver<bool>) {
    let (mut log, mut commits) = (Log::default(), db.committed());
    let mut is_busy = false;
    loop {
        commits.mark_unchanged();
        let is_last = *stopped.borrow() || stopped.has_changed().is_err();
        let sealed =
            if is_busy { seal_unsealed(&db, IfLocked::Return).await } else { seal(&db, IfLocked::Return).await };
        is_busy = sealed.as_ref().is_ok_and(|sealed| sealed.events >= MANY_EVENTS);
        let (pause, delay) = match sealed {
            Ok(sealed) => {
                metrics.sealed(&sealed);
                log.rejected(sealed.rejected);
                (pause_after(sealed.events), if sealed.was_locked { LOCKED_DELAY } else { POLL_INTERVAL })
            }
            Err(error) => {
                log.failure(&error);
                (Duration::ZERO, RETRY_DELAY)
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
        let _ = timeout(delay, woken).await;
    }
}
