//! The fields that are searched, and their texts in a search key.

use async_graphql::Enum;

use crate::entity::user::{Column, SEARCH_LINES};

/// A field that `searchUsers` searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum UserSearchField {
    /// The user's username.
    Username,
    /// The user's first name.
    FirstName,
    /// The user's last name.
    LastName,
    /// The user's email address.
    Email,
    /// The user's certified email address.
    CertifiedEmail,
}

use UserSearchField::{CertifiedEmail, Email, FirstName, LastName, Username};

/// The weight of a word in an email address.
pub(super) const EMAIL_WEIGHT: f64 = 0.9;

/// The lines of a search key: the field of each, and the weight of a word in it. An alternative spelling of a name counts a
/// little less than the name.
const LINES: [(UserSearchField, f64); 7] = [
    (Username, 1.0),
    (FirstName, 1.0),
    (LastName, 1.0),
    (Email, EMAIL_WEIGHT),
    (CertifiedEmail, EMAIL_WEIGHT),
    (FirstName, 0.97),
    (LastName, 0.97),
];

/// A text of a search key.
pub(super) struct SearchedText<'a> {
    pub(super) weight: f64,
    pub(super) text: &'a str,
    /// The place of the text in the search key.
    pub(super) start: usize,
    /// Whether the text is an email address.
    pub(super) is_address: bool,
}

/// Returns the texts of a search key.
pub(super) fn texts(search_key: &str) -> impl Iterator<Item = SearchedText<'_>> {
    let mut line_start = 0;
    search_key.split('\n').zip(LINES).zip(SEARCH_LINES).flat_map(move |((line, (_, weight)), column)| {
        let mut start = line_start;
        line_start += line.len() + 1;
        let is_address = matches!(column, Column::Email | Column::CertifiedEmail);
        line.split('\t').map(move |text| {
            let searched = SearchedText { weight, text, start, is_address };
            start += text.len() + 1;
            searched
        })
    })
}

/// Returns each field with its text and its weight. An alternative spelling of a name is a text of its own.
pub(super) fn lines(search_key: &str) -> impl Iterator<Item = (UserSearchField, f64, &str)> {
    let lines = search_key.split('\n').zip(LINES);
    lines.flat_map(|(line, (field, weight))| line.split('\t').map(move |text| (field, weight, text)))
}

/// Returns the weight of a line of a search key.
pub(super) fn weight_of_line(line: usize) -> f64 {
    LINES.get(line).map_or(0.0, |(_, weight)| *weight)
}
