//! What writers have asked for, and what of it was acknowledged.

use std::collections::HashMap;

use roster::scalar::Id;

use super::change::Change;

/// What a writer has asked for.
#[derive(Default)]
pub(super) struct Log {
    /// The changes of each kind and object.
    counts: HashMap<(&'static str, Id), Count>,
    /// The number of requests to create something without a response: the IDs are not known.
    lost_creations: usize,
}

/// How many changes were requested, and how many of them acknowledged.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    requested: usize,
    acknowledged: usize,
}

impl Log {
    /// Notes a change that is about to be requested.
    pub(super) fn request(&mut self, kind: &'static str, id: Id) {
        self.counts.entry((kind, id)).or_default().requested += 1;
    }

    /// Notes that a requested change was acknowledged.
    pub(super) fn acknowledge(&mut self, kind: &'static str, id: Id) {
        self.counts.entry((kind, id)).or_default().acknowledged += 1;
    }

    /// Notes that something was created.
    pub(super) fn create(&mut self, id: Id) {
        self.request("CREATED", id);
        self.acknowledge("CREATED", id);
    }

    /// Notes that a request to create something had no response.
    pub(super) fn lose_creation(&mut self) {
        self.lost_creations += 1;
    }
}

/// Checks that all acknowledged changes are recorded, and no others than were requested, each once.
pub(super) fn check<'a>(changes: &[Change], logs: impl Iterator<Item = &'a Log>) {
    let mut recorded: HashMap<(&str, Id), usize> = HashMap::new();
    for change in changes {
        *recorded.entry((change.shape.kind.as_str(), change.id)).or_default() += 1;
    }
    let (mut counts, mut lost_creations) = (HashMap::<(&str, Id), Count>::new(), 0);
    for log in logs {
        lost_creations += log.lost_creations;
        for (change, count) in &log.counts {
            let sum = counts.entry(*change).or_default();
            sum.requested += count.requested;
            sum.acknowledged += count.acknowledged;
        }
    }
    for (change, Count { requested, acknowledged }) in counts {
        let number = recorded.remove(&change).unwrap_or_default();
        let is_right = (acknowledged..=requested).contains(&number);
        assert!(is_right, "{change:?} is recorded {number} times, of {requested} with {acknowledged} acknowledged");
    }
    // Those whose response was lost.
    let is_creation = |((kind, _), count): (&(&str, Id), &usize)| *kind == "CREATED" && *count == 1;
    let is_right = recorded.len() <= lost_creations && recorded.iter().all(is_creation);
    assert!(is_right, "nobody requested {recorded:#?}; {lost_creations} creations had no response");
}
