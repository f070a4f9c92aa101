//! The task of a server that seals what is committed, by this process and by others that have ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{IfLocked, RETRY_DELAY, RejectedEvent, seal};
use crate::db::Db;
use crate::error::Error;

/// The interval at which the sealer looks for events that another process left behind.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The shortest interval between two batches of this process, unless a reader asks for one. A batch takes a transaction however
/// many events it has: those of a busy server are gathered.
const BATCH_INTERVAL: Duration = Duration::from_millis(10);
/// The delay while another process seals events.
const LOCKED_DELAY: Duration = Duration::from_millis(10);
/// The minimum interval between two failures that are logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Seals events as they are committed, and those that another process left behind, until `stopped`. What is committed by then is
/// sealed as well. Returns at once on SQLite.
pub async fn run(db: Db, stopped: watch::Receiver<bool>) {
    if !db.is_postgres() {
        return;
    }
    loop {
        // Aborted together with this future.
        let mut sealer = JoinSet::new();
        sealer.spawn(seal_until_stopped(db.clone(), stopped.clone()));
        match sealer.join_next().await {
            Some(Err(error)) => tracing::error!(%error, "the sealer of the audit trail failed; starting another one"),
            Some(Ok(())) | None => return,
        }
        sleep(RETRY_DELAY).await;
    }
}

async fn seal_until_stopped(db: Db, mut stopped: watch::Receiver<bool>) {
    let (mut log, mut commits) = (Log::default(), db.committed());
    loop {
        commits.mark_unchanged();
        let is_last = *stopped.borrow() || stopped.has_changed().is_err();
        let (pause, delay) = match seal(&db, IfLocked::Return).await {
            Ok(sealed) => {
                log.rejected(sealed.rejected);
                let pause = if sealed.events > 0 { BATCH_INTERVAL } else { Duration::ZERO };
                (pause, if sealed.was_locked { LOCKED_DELAY } else { POLL_INTERVAL })
            }
            Err(error) => {
                log.failure(&error);
                (Duration::ZERO, RETRY_DELAY)
            }
        };
        if is_last {
            return;
        }
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

/// What the sealer has logged.
#[derive(Default)]
struct Log {
    rejected: BTreeSet<i64>,
    last_failure: Option<Instant>,
}

impl Log {
    /// Logs each event that cannot be sealed, once.
    fn rejected(&mut self, events: Vec<RejectedEvent>) {
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

    /// Logs a failure, unless one was logged a short while ago.
    fn failure(&mut self, error: &Error) {
        if self.last_failure.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            self.last_failure = Some(Instant::now());
            match error {
                Error::Unavailable(cause) => tracing::warn!(%cause, "failed to seal the audit trail"),
                error => tracing::error!(?error, "failed to seal the audit trail"),
            }
        }
    }
}
