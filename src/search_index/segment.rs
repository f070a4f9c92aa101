//! Segments: users with everything that is needed to find them. A segment does not change.

mod stored;

use std::cmp::Ordering;
use std::ops::Range;

use super::bits::Bits;
use super::class::{Class, Classes};
use super::compound::{Compounds, CompoundsBuilder};
use super::fields::{SearchedText, texts};
use super::indexed_users::{IndexedUser, IndexedUsers};
use super::request::ResultPosition;
use super::typo::{TypedWord, signature_of_whole};
use super::words::{Words, WordsBuilder};
use super::{to_u32, tokens_at};
use crate::scalar::Id;
use crate::text::is_letter;

/// Users, and the words by which they are found. A user has a number, which is the place in the order of license, last name,
/// first name and ID.
#[derive(Default)]
pub(super) struct Segment {
    ids: Box<[Id]>,
    keys: Box<str>,
    key_ends: Box<[u32]>,
    /// Each license with the end of its users, in order.
    licenses: Box<[(Id, u32)]>,
    /// The place of each user in the order of last name, first name and ID, over all licenses.
    sort_positions: Box<[u32]>,
    /// The users in the order of their IDs.
    by_id: Box<[u32]>,
    active: Bits,
    pub(super) classes: Classes,
    pub(super) letters: Words,
    /// Numbers, and signs.
    pub(super) others: Words,
    /// Whole domains of email addresses, which begin with `@`.
    pub(super) domains: Words,
    /// The signature of each domain.
    domain_signatures: Box<[u32]>,
    pub(super) compounds: Compounds,
}

impl Segment {
    /// Builds a segment.
    pub(super) fn build(users: &IndexedUsers) -> Self {
        let mut sorted: Vec<(Id, Name<'_>, bool, &str)> =
            users.iter().map(|one| (one.license_id, Name::of(one.id, one.key), one.is_active, one.key)).collect();
        sorted.sort_unstable_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let mut segment = Self { active: Bits::new(sorted.len()), ..Self::default() };
        let (mut ids, mut key_ends) = (Vec::with_capacity(sorted.len()), Vec::with_capacity(sorted.len()));
        let mut keys = String::with_capacity(users.key_bytes());
        let mut licenses: Vec<(Id, u32)> = Vec::new();
        for (number, (license, name, is_active, key)) in (0_u32..).zip(&sorted) {
            ids.push(name.id);
            keys.push_str(key);
            key_ends.push(to_u32(keys.len()));
            match licenses.last_mut().filter(|(last, _)| last == license) {
                Some((_, end)) => *end = number + 1,
                None => licenses.push((*license, number + 1)),
            }
            if *is_active {
                segment.active.insert(number);
            }
        }
        segment.by_id = order_of(&sorted, |one, other| one.1.id.cmp(&other.1.id)).into_boxed_slice();
        segment.sort_positions = sort_positions_of(&order_of(&sorted, |one, other| one.1.cmp(&other.1)));
        drop(sorted);
        segment.ids = ids.into_boxed_slice();
        segment.key_ends = key_ends.into_boxed_slice();
        segment.licenses = licenses.into_boxed_slice();
        segment.index_words(&keys);
        segment.keys = keys.into_boxed_str();
        segment
    }

    fn index_words(&mut self, keys: &str) {
        let mut index = IndexBuilder::default();
        let mut start = 0;
        for (user, end) in (0_u32..).zip(self.key_ends.iter()) {
            let key = keys.get(start..*end as usize).unwrap_or_default();
            start = *end as usize;
            index.add(user, key);
        }
        self.classes = index.classes;
        self.letters = index.letters.finish();
        self.others = index.others.finish();
        self.domains = index.domains.finish();
        self.domain_signatures = self.domains.iter().map(signature_of_whole).collect();
        self.compounds = index.compounds.finish();
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns the user with this number.
    pub(super) fn user(&self, number: u32) -> Option<IndexedUser<'_>> {
        let license = self.licenses.partition_point(|(_, end)| *end <= number);
        let id = *self.ids.get(number as usize)?;
        let license_id = self.licenses.get(license)?.0;
        Some(IndexedUser { id, license_id, is_active: self.active.contains(number), key: self.key(number) })
    }

    /// Returns the ID of a user.
    pub(super) fn id(&self, number: u32) -> Option<Id> {
        self.ids.get(number as usize).copied()
    }

    /// Returns the search key of a user.
    pub(super) fn key(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number.checked_sub(1).and_then(|before| self.key_ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.key_ends.get(number).map_or(0, |end| *end as usize);
        self.keys.get(start..end).unwrap_or_default()
    }

    pub(super) fn is_active(&self, number: u32) -> bool {
        self.active.contains(number)
    }

    /// Returns the place of a user in the order of names.
    pub(super) fn sort_position(&self, number: u32) -> u32 {
        self.sort_positions.get(number as usize).copied().unwrap_or_default()
    }

    /// Returns the number of the user with this ID.
    pub(super) fn find(&self, id: Id) -> Option<u32> {
        let id_of = |number: &u32| self.ids.get(*number as usize).copied();
        let place = self.by_id.binary_search_by(|number| id_of(number).cmp(&Some(id))).ok()?;
        self.by_id.get(place).copied()
    }

    /// Returns the users of a license, or of all licenses.
    pub(super) fn range(&self, license: Option<Id>) -> Range<u32> {
        let Some(license) = license else { return 0..to_u32(self.len()) };
        let place = self.licenses.partition_point(|(other, _)| *other < license);
        let start = place.checked_sub(1).and_then(|before| self.licenses.get(before)).map_or(0, |(_, end)| *end);
        let found = self.licenses.get(place).filter(|(other, _)| *other == license);
        found.map_or(0..0, |(_, end)| start..*end)
    }

    /// Returns the number of users whose names come before a place, or are at it.
    pub(super) fn sort_position_after(&self, place: &ResultPosition) -> u32 {
        let place = Name::new(&place.last, &place.first, place.id);
        let mut start = 0;
        let mut before = 0;
        for (_, end) in &self.licenses {
            let (mut low, mut high) = (start, *end);
            while low < high {
                let middle = low.midpoint(high);
                let is_before = self.user(middle).is_some_and(|user| Name::of(user.id, user.key) <= place);
                if is_before { low = middle + 1 } else { high = middle }
            }
            before += low - start;
            start = *end;
        }
        before
    }

    /// Returns the domains in which a typed word may be but for typos.
    pub(super) fn similar_domains<'a>(&'a self, typed: &'a TypedWord<'_>) -> impl Iterator<Item = usize> + 'a {
        let signatures = self.domain_signatures.iter().enumerate();
        signatures.filter(move |(_, signature)| typed.may_match(**signature)).map(|(domain, _)| domain)
    }

    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of_words: usize = [&self.letters, &self.others, &self.domains].map(Words::bytes).iter().sum();
        let of_domains = 4 * self.domain_signatures.len();
        self.len() * (16 + 3 * 4)
            + self.keys.len()
            + self.active.bytes()
            + of_words
            + of_domains
            + self.compounds.bytes()
    }

    #[cfg(test)]
    pub(super) fn contains_text(&self, text: &str) -> bool {
        let words = [&self.letters, &self.others, &self.domains];
        self.keys.contains(text) || words.iter().any(|words| words.text().contains(text))
    }
}

/// The order of users in a list of search results with equal scores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a> {
    last: &'a str,
    first: &'a str,
    id: Id,
}

impl<'a> Name<'a> {
    pub(super) fn new(last: &'a str, first: &'a str, id: Id) -> Self {
        Self { last, first, id }
    }

    pub(super) fn of(id: Id, key: &'a str) -> Self {
        let mut lines = key.split('\n').skip(1);
        let first = lines.next().unwrap_or_default();
        Self { last: lines.next().unwrap_or_default(), first, id }
    }

    pub(super) fn last(&self) -> &'a str {
        self.last
    }

    pub(super) fn first(&self) -> &'a str {
        self.first
    }
}

/// Returns the places of those of some ascending numbers that are in a range.
pub(super) fn within(numbers: &[u32], range: &Range<u32>) -> Range<usize> {
    // Most ranges are all users, which the two ends tell.
    let start = if range.start == 0 { 0 } else { numbers.partition_point(|number| *number < range.start) };
    let rest = numbers.get(start..).unwrap_or_default();
    let is_before_end = |number: &u32| *number < range.end;
    let count = if rest.last().is_some_and(is_before_end) { rest.len() } else { rest.partition_point(is_before_end) };
    start..start + count
}

/// Returns the places of some items in another order.
fn order_of<T>(items: &[T], compare: impl Fn(&T, &T) -> Ordering) -> Vec<u32> {
    let mut order: Vec<(&T, u32)> = items.iter().zip(0..).collect();
    order.sort_unstable_by(|(one, _), (other, _)| compare(one, other));
    order.into_iter().map(|(_, place)| place).collect()
}

/// Returns the place of each item in an order.
fn sort_positions_of(order: &[u32]) -> Box<[u32]> {
    let mut sort_positions = vec![0; order.len()];
    for (position, place) in (0..).zip(order) {
        if let Some(slot) = sort_positions.get_mut(*place as usize) {
            *slot = position;
        }
    }
    sort_positions.into_boxed_slice()
}

/// The words and compounds of a segment that is being built.
#[derive(Default)]
struct IndexBuilder<'a> {
    classes: Classes,
    letters: WordsBuilder<'a>,
    others: WordsBuilder<'a>,
    domains: WordsBuilder<'a>,
    compounds: CompoundsBuilder,
    /// The words of the current user, which are few: whether it consists of letters, its number, and its class. In the order of
    /// the search key, so that the same users always have the same segment.
    of_user: Vec<((bool, u32), Class)>,
}

impl<'a> IndexBuilder<'a> {
    fn add(&mut self, user: u32, key: &'a str) {
        let mut domains: Vec<u32> = Vec::new();
        for SearchedText { weight, text, is_address, .. } in texts(key) {
            let end = if is_address { text.rfind('@').unwrap_or(text.len()) } else { text.len() };
            let (searched, domain) = text.split_at_checked(end).unwrap_or((text, ""));
            for (start, token) in tokens_at(searched) {
                // Nearly every address has a full stop.
                if is_address && token == "." {
                    continue;
                }
                let before = text.get(..start).unwrap_or_default();
                let class = Class::of(weight, before, text.get(start + token.len()..).unwrap_or_default());
                let is_letters = token.starts_with(is_letter);
                let number = if is_letters { self.letters.number(token) } else { self.others.number(token) };
                match self.of_user.iter_mut().find(|(word, _)| *word == (is_letters, number)) {
                    Some((_, known)) => *known = known.or(class),
                    None => self.of_user.push(((is_letters, number), class)),
                }
            }
            if !domain.is_empty() {
                domains.push(self.domains.number(domain));
            }
        }
        for ((is_letters, number), class) in self.of_user.drain(..) {
            let class = self.classes.number(class);
            let words = if is_letters { &mut self.letters } else { &mut self.others };
            words.add(number, user, class);
        }
        domains.sort_unstable();
        domains.dedup();
        for domain in domains {
            self.domains.add(domain, user, 0);
        }
        self.compounds.add(user, key);
    }
}
