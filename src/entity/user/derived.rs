//! The columns derived from others: the keys by which users are compared, sorted and searched.

use sea_orm::IdenStatic;

use super::{Column, Model};
use crate::text;

/// The columns that are searched for words.
pub const SEARCHED_COLUMNS: [Column; 5] =
    [Column::Username, Column::FirstName, Column::LastName, Column::Email, Column::CertifiedEmail];

/// The column that each line of a search key is made of: the searched columns, then the first and last names in alternative
/// spellings, separated by tabs.
pub const SEARCH_LINES: [Column; 7] = [
    Column::Username,
    Column::FirstName,
    Column::LastName,
    Column::Email,
    Column::CertifiedEmail,
    Column::FirstName,
    Column::LastName,
];

/// The texts that columns are derived from.
const SOURCES: [fn(&Model) -> Option<&str>; 7] = [
    |user| user.username.as_deref(),
    |user| user.email.as_deref(),
    |user| Some(user.first_name.as_str()),
    |user| Some(user.last_name.as_str()),
    |user| user.nickname.as_deref(),
    |user| user.certified_email.as_deref(),
    |user| user.position.as_deref(),
];

impl Column {
    /// Returns whether the column is searched for words.
    #[must_use]
    pub fn is_searched(self) -> bool {
        SEARCHED_COLUMNS.iter().any(|searched| searched.as_str() == self.as_str())
    }
}

impl Model {
    /// Updates the derived columns: the keys by which values are compared, and the site access of a license administrator.
    pub fn update_derived(&mut self) {
        self.derive([true; SOURCES.len()]);
    }

    /// Updates the columns that are derived from others than before. The keys of unchanged logins must be kept: the logins of two
    /// users may have become equal by a change in case folding; one of the two then has a former key.
    pub fn update_derived_since(&mut self, before: &Self) {
        let changed = SOURCES.map(|source| source(self) != source(before));
        self.derive(changed);
    }

    fn derive(&mut self, changed: [bool; SOURCES.len()]) {
        let [username, email, first_name, last_name, nickname, certified_email, position] = changed;
        if username {
            self.username_key = self.username.as_deref().map(text::canonical_login);
        }
        if email {
            self.email_key = self.email.as_deref().map(text::canonical_login);
        }
        if first_name {
            self.first_name_key = text::fold(&self.first_name);
        }
        if last_name {
            self.last_name_key = text::fold(&self.last_name);
        }
        if nickname {
            self.nickname_key = self.nickname.as_deref().map(text::fold);
        }
        if certified_email {
            self.certified_email_key = self.certified_email.as_deref().map(text::canonical_email);
        }
        if position {
            self.position_key = self.position.as_deref().map(text::fold);
        }
        if username || email || first_name || last_name || certified_email {
            self.search_key = self.searched_lines().join("\n");
        }
        self.role_key = self.role.place();
        self.full_site_access |= self.role.includes_every_site();
    }

    /// Returns whether the user has access to every site, and not only by their role.
    #[must_use]
    pub fn has_own_full_site_access(&self) -> bool {
        self.full_site_access && !self.role.includes_every_site()
    }

    /// Returns the searched texts, folded: a line for each of [`SEARCH_LINES`], empty if there is no value.
    fn searched_lines(&self) -> [String; 7] {
        let folded = |text: Option<&str>| text.map(text::fold).unwrap_or_default();
        [
            folded(self.username.as_deref()),
            self.first_name_key.clone(),
            self.last_name_key.clone(),
            folded(self.email.as_deref()),
            folded(self.certified_email.as_deref()),
            text::spellings(&self.first_name).join("\t"),
            text::spellings_of_last(&self.first_name, &self.last_name).join("\t"),
        ]
    }
}
