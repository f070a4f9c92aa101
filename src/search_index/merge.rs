//! Merging of segments. Each search looks at every segment, so there must be few; and users who are removed take memory.

use tokio::sync::oneshot;

use super::file::PendingSave;
use super::indexed_users::IndexedUsers;
use super::segment::Segment;
use super::snapshot::{Part, Snapshot};
use crate::background::lower_priority;

/// The number of times by which a segment must be larger than the next one.
const RATIO: usize = 4;
/// The maximum number of users of segments that are merged while others wait for the change: a few milliseconds' work.
const MAX_AT_ONCE: usize = 2_048;
/// The number of segments from which all are merged.
const MAX_PARTS: usize = 12;
/// The part of all users who may be outside of the largest segment, or removed.
const MAX_SHARE: usize = 8;
/// The niceness of the threads that merge all segments and save them.
pub(super) const NICENESS: i32 = 10;

/// A merge of all segments, which another thread makes.
pub(super) struct MergeTask {
    pub(super) parts: Vec<Part>,
    pub(super) segment: oneshot::Receiver<Segment>,
}

impl MergeTask {
    /// Starts to merge parts in a thread of low priority, and to save the merged segment. `None` if the system cannot start one.
    pub(super) fn start(parts: Vec<Part>, save: Option<PendingSave>) -> Option<Self> {
        let (sender, segment) = oneshot::channel();
        let merged_parts = parts.clone();
        let merge = move || {
            lower_priority(NICENESS);
            let parts: Vec<&Part> = merged_parts.iter().collect();
            let segment = merged(&parts);
            if let Some(save) = save {
                save.write(&segment);
            }
            let _ = sender.send(segment);
        };
        match std::thread::Builder::new().name("search-index".to_owned()).spawn(merge) {
            Ok(_) => Some(Self { parts, segment }),
            Err(error) => {
                tracing::warn!(%error, "failed to start a thread that merges the search index");
                None
            }
        }
    }
}

/// Merges the youngest segments, which are small, so that each is larger than the next one by a multiple.
pub(super) fn merge_small(parts: &mut Vec<Part>, is_frozen: impl Fn(&Part) -> bool) {
    while let [.., older, newer] = parts.as_slice() {
        let (size, is_large) = (older.len() + newer.len(), older.len() > newer.len() * RATIO);
        if is_large || size > MAX_AT_ONCE || is_frozen(older) || is_frozen(newer) {
            return;
        }
        let merged = Part::new(merged(&[older, newer]));
        parts.truncate(parts.len().saturating_sub(2));
        parts.push(merged);
    }
}

/// Returns a segment of the users of several parts who are not removed.
pub(super) fn merged(parts: &[&Part]) -> Segment {
    let mut users = IndexedUsers::default();
    for part in parts {
        part.users().for_each(|(_, user)| users.push(user));
    }
    Segment::build(&users)
}

impl Snapshot {
    /// Returns whether its segments should be merged into one, which takes long.
    pub(super) fn is_fragmented(&self) -> bool {
        let largest = self.parts().map(Part::len).max().unwrap_or_default();
        let removed: usize = self.parts().map(Part::removed_count).sum();
        let limit = (self.len() / MAX_SHARE).max(2 * MAX_AT_ONCE);
        self.parts.len() > MAX_PARTS || self.len() - largest > limit || removed > limit
    }

    /// Returns whether the memory of the index has users who are removed.
    pub(super) fn has_removed(&self) -> bool {
        self.parts().any(|part| part.removed_count() > 0)
    }

    /// Replaces parts by the segment that they were merged into. Users who were removed meanwhile are removed from it as well.
    pub(super) fn replace(&mut self, merged: &[Part], segment: Segment) {
        let mut new = Part::new(segment);
        for before in merged {
            let now = self.parts.iter().find(|part| part.is_of(&before.segment));
            for (number, user) in before.users() {
                if now.is_none_or(|now| now.removed.contains(number))
                    && let Some(number) = new.segment.find(user.id)
                {
                    new.remove(number);
                }
            }
        }
        self.parts.retain(|part| !merged.iter().any(|merged| part.is_of(&merged.segment)));
        if new.len() > 0 {
            self.parts.insert(0, new);
        }
    }
}
