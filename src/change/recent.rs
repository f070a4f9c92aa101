//! The last changes of a license, in memory. So a subscriber whom none of them concerns needs no statement to know it.

use std::collections::VecDeque;

use super::{ChangeFilter, NodeType, Position};
use crate::scalar::Id;

/// The number of changes that are kept of each license. A subscriber who is further behind reads the trail.
const MAX_CHANGES: usize = 1_000;

/// A change of whatever fields, for every viewer.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecentChange {
    /// The number of the event.
    pub(super) seq: i64,
    pub(super) node_type: NodeType,
    pub(super) id: Id,
}

/// The last changes of a license, oldest first.
#[derive(Debug)]
pub(super) struct RecentChanges {
    /// The number of the event after which no change is missing.
    after: i64,
    changes: VecDeque<RecentChange>,
}

impl RecentChanges {
    /// Returns no changes: those up to a position are not known.
    pub(super) const fn since(position: Position) -> Self {
        Self { after: position.seq(), changes: VecDeque::new() }
    }

    /// Adds later changes, and forgets the oldest ones; returns whether there were any.
    pub(super) fn add(&mut self, later: impl Iterator<Item = RecentChange>) -> bool {
        let last = self.changes.back().map(|change| change.seq);
        self.changes.extend(later);
        while self.changes.len() > MAX_CHANGES
            && let Some(oldest) = self.changes.pop_front()
        {
            self.after = oldest.seq;
        }
        self.changes.back().map(|change| change.seq) != last
    }

    /// Returns whether an event after a position may be a change that is followed, or one of the viewer, which may have
    /// changed their rights.
    pub(super) fn may_concern(&self, after: Position, filter: &ChangeFilter, viewer: Id) -> bool {
        let concerns = |change: &RecentChange| filter.includes(change.node_type, change.id) || change.id == viewer;
        let mut later = self.changes.iter().rev().take_while(|change| change.seq > after.seq());
        after.seq() < self.after || later.any(concerns)
    }
}
