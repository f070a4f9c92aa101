//! The columns derived from others: the keys by which users are compared, sorted and searched.

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

impl Model {
    /// Keeps the keys of logins that have not changed. The logins of two users may have become equal by a change in case folding;
    /// one of the two then has a former key.
    pub fn keep_login_keys(&mut self, before: &Self) {
        if self.username == before.username {
            self.username_key.clone_from(&before.username_key);
        }
        if self.email == before.email {
            self.email_key.clone_from(&before.email_key);
        }
    }

    /// Updates the derived columns: the keys by which values are compared, and the site access of a license administrator.
    pub fn update_derived(&mut self) {
        self.username_key = self.username.as_deref().map(text::canonical_login);
        self.email_key = self.email.as_deref().map(text::canonical_login);
        self.first_name_key = text::fold(&self.first_name);
        self.last_name_key = text::fold(&self.last_name);
        self.nickname_key = self.nickname.as_deref().map(text::fold);
        self.certified_email_key = self.certified_email.as_deref().map(text::canonical_email);
        self.position_key = self.position.as_deref().map(text::fold);
        self.role_key = self.role.place();
        self.search_key = self.searched_lines().join("\n");
        self.full_site_access |= self.role.includes_every_site();
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
