//! Users to be indexed.

use super::to_u32;
use crate::scalar::Id;

/// Users to be indexed. Their search keys are one text, because a text for each would take more memory.
#[derive(Default)]
pub struct IndexedUsers {
    keys: String,
    rows: Vec<Row>,
    /// Whether a username or address may have an international domain, which is searched as it was given, but compared in its DNS
    /// form.
    pub(super) has_international_domain: bool,
}

/// A user to be indexed.
struct Row {
    id: Id,
    license_id: Id,
    is_active: bool,
    key_end: u32,
}

/// A user to be indexed, with the search key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedUser<'a> {
    pub id: Id,
    pub license_id: Id,
    pub is_active: bool,
    pub key: &'a str,
}

impl IndexedUsers {
    /// Returns no users yet, of whom some may have an international domain.
    pub(super) fn new(has_international_domain: bool) -> Self {
        Self { has_international_domain, ..Self::default() }
    }

    /// Adds a user.
    pub fn push(&mut self, user: IndexedUser<'_>) {
        let IndexedUser { id, license_id, is_active, key } = user;
        self.keys.push_str(key);
        self.rows.push(Row { id, license_id, is_active, key_end: to_u32(self.keys.len()) });
    }

    /// Returns the users, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = IndexedUser<'_>> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let end = row.key_end as usize;
            let key = self.keys.get(start..end).unwrap_or_default();
            start = end;
            IndexedUser { id: row.id, license_id: row.license_id, is_active: row.is_active, key }
        })
    }

    /// Returns the number of bytes of all search keys.
    pub(super) fn key_bytes(&self) -> usize {
        self.keys.len()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
