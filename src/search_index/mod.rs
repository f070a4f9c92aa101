//! Search index: the names and addresses of all users, in memory, so that a search needs no database query.
//!
//! [`SearchIndex`] loads the users once, from the database or a file (`file`), and then follows the audit trail (`follow`). A
//! search works on a [`Snapshot`], which never changes. A snapshot consists of segments (`segment`), which do not change either:
//! users who change are marked as removed, and added to a small new segment. Small segments are merged into larger ones
//! (`snapshot`, `merge`).
//!
//! A segment has the words of its users (`words`), and for each word the users who have it, with the scores that follow from
//! where they have it (`class`). The words of a directory are few, so a search looks for the query in each of them (`lookup`),
//! compares those that may match it with typos (`prefix`, `typo`), and then adds up the scores of the users (`evaluate`). The
//! results are those of [`score::score`] for each user, as a test verifies.
//!
//! The index only finds users. The database decides which of them are shown: a page is read with the conditions of `access`.

mod admission;
mod bits;
mod class;
mod compound;
mod evaluate;
mod fields;
mod file;
mod follow;
mod indexed_users;
mod lookup;
mod merge;
mod prefix;
mod request;
pub mod score;
mod segment;
mod snapshot;
mod trail;
mod typo;
mod words;

#[cfg(test)]
mod tests;

pub use self::fields::UserSearchField;
pub use self::file::SearchIndexFile;
pub use self::follow::{IndexLoad, IndexSource, SearchIndex, SearchIndexStatus};
pub use self::indexed_users::{IndexedUser, IndexedUsers};
pub use self::request::{Found, Hit, ResultPosition, SearchRequest};
pub use self::snapshot::Snapshot;
use crate::text::is_letter;

/// Returns the number of typos that are allowed in a word with this number of letters.
#[must_use]
pub fn allowed_typos(letters: usize) -> usize {
    match letters {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// Splits a text into tokens: runs of letters, runs of digits, and each other sign by itself.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    tokens_at(text).map(|(_, token)| token)
}

/// Returns the [`tokens`] of a text, each with its place in it.
fn tokens_at(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let start = text.len() - rest.len();
        let first = rest.chars().next()?;
        let end =
            rest.char_indices().find(|(at, c)| *at > 0 && !is_same_run(first, *c)).map_or(rest.len(), |(at, _)| at);
        let (token, remainder) = rest.split_at_checked(end)?;
        rest = remainder;
        Some((start, token))
    })
}

/// Returns whether a text is a single token.
fn is_token(text: &str) -> bool {
    let mut tokens = tokens(text);
    tokens.next().is_some_and(|token| token.len() == text.len())
}

fn is_same_run(first: char, next: char) -> bool {
    (is_letter(first) && is_letter(next)) || (first.is_numeric() && next.is_numeric())
}

/// Returns the same as `partition_point`, in less time if the place is near the beginning.
fn partition_point_near<T>(items: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let mut end = 1_usize;
    while items.get(end - 1).is_some_and(&is_before) {
        end *= 2;
    }
    let start = end / 2;
    let unknown = items.get(start..end.min(items.len())).unwrap_or_default();
    start + unknown.partition_point(is_before)
}

/// Returns a number as the index stores it. No index has as many users, words or bytes of names as would not fit.
fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
