//! The membership of a transaction in a commit group of SQLite, and what requests have seen of the groups.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use tokio::sync::{oneshot, watch};

use crate::error::cannot_work;

/// How a member of a commit group ends, and where to send the outcome.
#[derive(Debug)]
pub(in crate::db) enum Ending {
    Commit(Answer),
    RollBack(Answer),
}

pub(in crate::db) type Answer = oneshot::Sender<Result<(), DbErr>>;

/// The membership of a transaction in a commit group. Dropping it ends the member, which is rolled back.
#[derive(Debug)]
pub(in crate::db) struct Membership {
    group: GroupMark,
    ending: Option<oneshot::Sender<Ending>>,
    /// The place to note that the group's changes have been seen.
    seen: Option<SeenGroup>,
}

impl Membership {
    pub(in crate::db) fn new(group: GroupMark, ending: oneshot::Sender<Ending>, seen: Option<SeenGroup>) -> Self {
        if let Some(seen) = &seen {
            seen.open.fetch_add(1, Ordering::AcqRel);
        }
        Self { group, ending: Some(ending), seen }
    }

    /// Notes the error of a statement.
    pub(super) fn note(&self, error: &DbErr) {
        if cannot_work(error) {
            let _ = self.group.cause.set(error.clone());
        }
    }

    pub(super) async fn end(mut self, ending: fn(Answer) -> Ending) -> Result<(), DbErr> {
        let (answer, outcome) = oneshot::channel();
        let _ = self.ending.take().map(|group| group.send(ending(answer)));
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            seen.note(&self.group);
            seen.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The number of a commit group, and why what its members have committed was lost.
#[derive(Clone, Debug)]
pub(in crate::db) struct GroupMark {
    pub(in crate::db) number: u64,
    /// The first error of a statement after which SQLite may have rolled back the transaction.
    cause: Arc<OnceLock<DbErr>>,
    loss: Arc<OnceLock<DbErr>>,
}

impl GroupMark {
    pub(in crate::db) fn new(number: u64) -> Self {
        Self { number, cause: Arc::default(), loss: Arc::default() }
    }

    /// Returns why the transaction could not be ended as it should: the error of a statement, if SQLite has rolled the transaction
    /// back for it, and `error` only says that there is no transaction any more.
    pub(in crate::db) fn cause_of(&self, error: DbErr) -> DbErr {
        if cannot_work(&error) { error } else { self.cause.get().cloned().unwrap_or(error) }
    }

    /// Notes that what members have committed was lost. To be called before the group has ended.
    pub(in crate::db) fn lose(&self, cause: DbErr) {
        let _ = self.loss.set(lost(cause));
    }
}

/// The last commit group that a request was a member of. While the group is open, a member has seen changes of others that the
/// readers cannot see, and that may still be lost.
#[derive(Clone, Debug)]
pub(in crate::db) struct SeenGroup {
    last: Arc<Mutex<Option<GroupMark>>>,
    /// The number of transactions of the request that are open.
    open: Arc<AtomicUsize>,
    /// The number of the last group that has ended.
    ended: watch::Receiver<u64>,
}

impl SeenGroup {
    pub(in crate::db) fn new(ended: watch::Receiver<u64>) -> Self {
        Self { last: Arc::default(), open: Arc::default(), ended }
    }

    fn note(&self, group: &GroupMark) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| last.number < group.number) {
            *last = Some(group.clone());
        }
    }

    fn last(&self) -> Option<GroupMark> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the group has ended. Returns at once while a transaction of the request is open: that may be a later member of
    /// the group, which would wait for itself.
    ///
    /// # Errors
    /// The reason why the group was lost, and with it what the request has seen of it.
    pub(in crate::db) async fn settle(&self) -> Result<(), DbErr> {
        let Some(group) = self.last() else { return Ok(()) };
        if self.open.load(Ordering::Acquire) > 0 {
            return Ok(());
        }
        let mut ended = self.ended.clone();
        // Fails if the group will never end.
        ended.wait_for(|ended| *ended >= group.number).await.map_err(|_| closed())?;
        group.loss.get().cloned().map_or(Ok(()), Err)
    }
}

/// Returns the error for a lost transaction of a commit group: another attempt may succeed.
pub(in crate::db) fn lost(cause: DbErr) -> DbErr {
    if cannot_work(&cause) {
        return cause;
    }
    DbErr::Exec(RuntimeErr::Internal(format!("the transaction that writers shared was rolled back: {cause}")))
}

/// Returns the error of requests to a closed database.
pub(in crate::db) fn closed() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
}
