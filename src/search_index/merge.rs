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
/// The maximum number of segments before a thread merges some of them.
const MAX_PARTS: usize = 12;
/// The number of times by which a segment must be larger than all younger ones together for that thread to leave it out: a new user
/// is merged a few times, not each time with everybody else.
const RATIO_TO_YOUNGER: usize = 2;
/// The part of all users who may be removed.
const MAX_REMOVED_SHARE: usize = 8;
/// The niceness of the threads that merge all segments and save them.
pub(super) const NICENESS: i32 = 10;

/// A merge of many users, which another thread makes.
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
            let segment = merged(&merged_parts);
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
    let mut younger = 0;
    let left_out = parts.iter().rposition(|part| {
        let is_large = younger > 0 && part.len() > younger * RATIO;
        younger += part.len();
        is_large || younger > MAX_AT_ONCE || is_frozen(part)
    });
    let start = left_out.map_or(0, |place| place + 1);
    if parts.len() - start > 1 {
        let young = parts.split_off(start);
        parts.push(Part::new(merged(&young)));
    }
}

/// Returns a segment of the users of several parts who are not removed.
pub(super) fn merged(parts: &[Part]) -> Segment {
    let mut users = IndexedUsers::default();
    for part in parts {
        part.users().for_each(|(_, user)| users.push(user));
    }
    Segment::build(&users)
}

impl Snapshot {
    /// Returns the youngest parts that should be merged, which takes long; none if there is no need.
    pub(super) fn fragments(&self) -> &[Part] {
        let removed: usize = self.parts().map(Part::removed_count).sum();
        if removed > (self.len() / MAX_REMOVED_SHARE).max(2 * MAX_AT_ONCE) {
            return &self.parts;
        }
        if self.parts.len() <= MAX_PARTS {
            return &[];
        }
        let mut younger = self.len();
        let start = self.parts.iter().position(|part| {
            younger -= part.len();
            part.len() <= younger * RATIO_TO_YOUNGER
        });
        start.and_then(|start| self.parts.get(start..)).unwrap_or_default()
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
        let is_merged = |part: &Part| merged.iter().any(|merged| part.is_of(&merged.segment));
        let older = self.parts.iter().take_while(|part| !is_merged(part)).count();
        self.parts.retain(|part| !is_merged(part));
        if new.len() > 0 {
            self.parts.insert(older, new);
        }
    }
}
