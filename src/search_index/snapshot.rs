//! Snapshots: the users as they were at one moment.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::bits::Bits;
use super::indexed_users::{IndexedUser, IndexedUsers};
use super::merge;
use super::segment::Segment;
use crate::scalar::Id;

/// The users as they were at one moment, in segments. Cheap to clone.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// The largest and oldest segment comes first.
    pub(super) parts: Vec<Part>,
    has_international_domain: bool,
}

/// A segment, and those of its users who have changed or no longer exist.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) segment: Arc<Segment>,
    pub(super) removed: Arc<Bits>,
    removed_count: usize,
}

impl Part {
    pub(super) fn new(segment: Segment) -> Self {
        let removed = Arc::new(Bits::new(segment.len()));
        Self { segment: Arc::new(segment), removed, removed_count: 0 }
    }

    /// Returns the number of users who are not removed.
    pub(super) fn len(&self) -> usize {
        self.segment.len() - self.removed_count
    }

    pub(super) fn removed_count(&self) -> usize {
        self.removed_count
    }

    /// Returns whether two parts have the same segment.
    pub(super) fn is_of(&self, segment: &Arc<Segment>) -> bool {
        Arc::ptr_eq(&self.segment, segment)
    }

    /// Returns the users who are not removed, with their numbers.
    pub(super) fn users(&self) -> impl Iterator<Item = (u32, IndexedUser<'_>)> {
        let numbers = 0..super::to_u32(self.segment.len());
        let present = numbers.filter(move |number| !self.removed.contains(*number));
        present.filter_map(move |number| Some((number, self.segment.user(number)?)))
    }

    /// Marks a user as removed.
    pub(super) fn remove(&mut self, number: u32) {
        if Arc::make_mut(&mut self.removed).insert(number) {
            self.removed_count += 1;
        }
    }

    /// Returns the number of a user who is not removed.
    fn find(&self, id: Id) -> Option<u32> {
        self.segment.find(id).filter(|number| !self.removed.contains(*number))
    }
}

impl Snapshot {
    /// Returns a snapshot of some users.
    #[must_use]
    pub fn of(users: &IndexedUsers) -> Self {
        let parts = if users.is_empty() { Vec::new() } else { vec![Part::new(Segment::build(users))] };
        Self { parts, has_international_domain: users.has_international_domain }
    }

    /// Returns a snapshot of the users of a segment.
    pub(super) fn of_segment(segment: Segment, has_international_domain: bool) -> Self {
        Self { parts: vec![Part::new(segment)], has_international_domain }
    }

    /// Returns the segment that has all users and none who was removed, if there is one.
    pub(super) fn only_segment(&self) -> Option<Arc<Segment>> {
        match self.parts.as_slice() {
            [only] if only.removed_count == 0 => Some(Arc::clone(&only.segment)),
            _ => None,
        }
    }

    /// Applies changes: `ids` are the users who may have changed, and `rows` those of them who exist. Returns whether a user was
    /// removed.
    pub fn apply(&mut self, ids: &BTreeSet<Id>, rows: &IndexedUsers) -> bool {
        self.apply_beside(ids, rows, &[])
    }

    /// As [`apply`](Self::apply), while the segments of some parts are being merged elsewhere.
    pub(super) fn apply_beside(&mut self, ids: &BTreeSet<Id>, rows: &IndexedUsers, frozen: &[Part]) -> bool {
        self.has_international_domain |= rows.has_international_domain;
        let mut rows: HashMap<Id, IndexedUser<'_>> = rows.iter().map(|row| (row.id, row)).collect();
        let (mut added, mut has_removed) = (IndexedUsers::default(), false);
        for id in ids {
            let row = rows.remove(id);
            let known = self.parts.iter_mut().find_map(|part| Some((part.find(*id)?, part)));
            if let Some((number, part)) = known {
                if part.segment.user(number) == row {
                    continue;
                }
                part.remove(number);
                has_removed |= row.is_none();
            }
            if let Some(row) = row {
                added.push(row);
            }
        }
        let is_frozen = |part: &Part| frozen.iter().any(|frozen| part.is_of(&frozen.segment));
        self.parts.retain(|part| part.len() > 0 || is_frozen(part));
        if !added.is_empty() {
            self.parts.push(Part::new(Segment::build(&added)));
            merge::merge_small(&mut self.parts, is_frozen);
        }
        has_removed
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter()
    }

    /// Returns every user, in no particular order.
    pub fn users(&self) -> impl Iterator<Item = IndexedUser<'_>> {
        self.parts.iter().flat_map(Part::users).map(|(_, user)| user)
    }

    /// Returns the number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a username or address may have an international domain, which is searched as it was given, but compared in
    /// its DNS form.
    #[must_use]
    pub fn has_international_domain(&self) -> bool {
        self.has_international_domain
    }

    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.segment.bytes() + part.removed.bytes()).sum()
    }

    /// Returns whether the memory of the index has a text, of a user who is removed or not.
    #[cfg(test)]
    pub(super) fn contains_text(&self, text: &str) -> bool {
        self.parts.iter().any(|part| part.segment.contains_text(text))
    }
}
