//! The rows that this process has changed, for those who keep a copy of rows in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::scalar::Id;

/// The maximum number of events that a listener has not forgotten. Beyond it, all are forgotten.
const MAX_EVENTS: usize = 10_000;

/// The IDs of rows that are changed, for each who listens; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ChangedRows(Arc<Mutex<Vec<Weak<Mutex<Pending>>>>>);

/// The IDs of changed rows that a listener has not dealt with.
#[derive(Debug)]
pub struct PendingRows(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    /// The number of changes so far.
    count: u64,
    /// The number of changes that are dealt with.
    finished: u64,
    /// Each row with the number of its last change.
    rows: BTreeMap<Id, u64>,
    /// Each event with the number of changes at its commit.
    events: HashMap<Id, u64>,
}

impl ChangedRows {
    /// Records rows whose changes are committed, and the events that tell of these changes, or of others that concern no listener.
    pub fn record(&self, ids: &[Id], events: &[Id]) {
        if ids.is_empty() && events.is_empty() {
            return;
        }
        lock(&self.0).retain(|listener| {
            let Some(pending) = listener.upgrade() else { return false };
            let mut pending = lock(&pending);
            if !ids.is_empty() {
                pending.count += 1;
            }
            let count = pending.count;
            pending.rows.extend(ids.iter().map(|id| (*id, count)));
            if pending.events.len() > MAX_EVENTS {
                pending.events.clear();
            }
            pending.events.extend(events.iter().map(|id| (*id, count)));
            true
        });
    }

    /// Returns the rows that are changed from now on.
    pub(super) fn listen(&self) -> PendingRows {
        let pending = Arc::default();
        lock(&self.0).push(Arc::downgrade(&pending));
        PendingRows(pending)
    }
}

impl PendingRows {
    /// Returns the number of changes so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        lock(&self.0).count
    }

    /// Returns the number of changes so far, and the rows that are pending.
    #[must_use]
    pub fn pending(&self) -> (u64, BTreeSet<Id>) {
        let pending = lock(&self.0);
        (pending.count, pending.rows.keys().copied().collect())
    }

    /// Removes the rows whose last change is one of the first `count`.
    pub fn finish(&self, count: u64) {
        let mut pending = lock(&self.0);
        pending.finished = count;
        pending.rows.retain(|_, last| *last > count);
    }

    /// Forgets an event. Returns whether it is one of this process whose changes are dealt with.
    #[must_use]
    pub fn forget_event(&self, id: Id) -> bool {
        let mut pending = lock(&self.0);
        let finished = pending.finished;
        pending.events.remove(&id).is_some_and(|count| count <= finished)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_pending_until_its_last_change_is_dealt_with() {
        let (rows, [one, other]) = (ChangedRows::default(), [Id::new(), Id::new()]);
        rows.record(&[one], &[]);
        let listener = rows.listen();
        rows.record(&[one, other], &[]);
        let (count, pending) = listener.pending();
        assert_eq!((count, pending), (1, BTreeSet::from([one, other])));
        rows.record(&[other], &[]);
        listener.finish(count);
        assert_eq!(listener.pending(), (2, BTreeSet::from([other])));
        listener.finish(2);
        assert_eq!(listener.pending(), (2, BTreeSet::new()));
    }

    #[test]
    fn an_event_is_known_once_its_changes_are_dealt_with() {
        let (rows, [row, early, late, empty]) = (ChangedRows::default(), [Id::new(), Id::new(), Id::new(), Id::new()]);
        let listener = rows.listen();
        rows.record(&[row], &[early]);
        listener.finish(1);
        rows.record(&[], &[empty]);
        rows.record(&[row], &[late]);
        assert_eq!(listener.count(), 2, "an event without changes is no change");
        assert_eq!([early, empty, late].map(|event| listener.forget_event(event)), [true, true, false]);
        listener.finish(2);
        assert!(![early, late].iter().any(|event| listener.forget_event(*event)), "both are forgotten");
    }
}
