//! The conditions on the texts of users.

use std::collections::HashMap;

use async_graphql::MaybeUndefined;
use sea_orm::DatabaseBackend;
use sea_orm::sea_query::{Condition, SimpleExpr};
use uuid::Uuid;

use super::{FilterCompiler, PartCondition, path_of};
use crate::db::conditions::one_of;
use crate::entity::user;
use crate::error::Error;
use crate::graphql::filter::{Normalizers, Text};
use crate::scalar::Id;
use crate::user::filter::UserFilter;
use crate::{search_index, text};

/// Minimum weight of a selective token: most runs of so many letters belong to few users. A digit counts as two letters.
const MIN_TOKEN_WEIGHT: usize = 3;
/// The same for addresses, in which almost every user has the shorter tokens, such as `com` and `org`.
const MIN_ADDRESS_TOKEN_WEIGHT: usize = 4;

/// The maximum number of users who may have a part of a text for which they are named in the statement. With more of them, a list
/// finds those of its first page soon.
const MAX_CANDIDATES: usize = 500;
/// The ID of no user.
const NOBODY: Id = Id(Uuid::nil());

/// The users who may have the tokens that a filter looks for. A token that occurs several times, as in an `or` of several
/// columns, is looked up once.
#[derive(Default)]
pub(super) struct TokenUsers(HashMap<String, Option<Vec<Id>>>);

impl TokenUsers {
    /// Returns the users who may have a token; `look_up` returns them the first time. `None` if there are too many.
    fn of(&mut self, token: &str, look_up: impl FnOnce() -> Option<Vec<Id>>) -> Option<Vec<Id>> {
        if let Some(known) = self.0.get(token) {
            return known.clone();
        }
        let users = look_up();
        self.0.insert(token.to_owned(), users.clone());
        users
    }
}

impl FilterCompiler<'_> {
    pub(super) fn texts(&mut self, path: &str, filter: &UserFilter) -> Result<PartCondition, Error> {
        let (mut condition, mut is_selective) = (Condition::all(), false);
        for (column, given) in filter.texts() {
            let Some(filter) = self.non_null(path, column, given.clone())? else { continue };
            if matches!(column, user::Column::Username | user::Column::Email | user::Column::ExternalId) {
                is_selective |= filter.eq.is_value() || filter.one_of.is_value();
            }
            for part in [&filter.contains, &filter.ends_with].into_iter().filter_map(MaybeUndefined::value) {
                if let Some(indexed) = self.in_search_index(column, part) {
                    is_selective = true;
                    condition = condition.add(indexed);
                }
            }
            let text = text_of(column, self.postgres);
            condition = condition.add(self.builder.text(&path_of(path, column), filter, &text));
        }
        Ok(PartCondition { condition, is_selective })
    }

    /// Returns a condition that follows from a part of a searched column: the IDs of the users who may have it, by the search
    /// index. `None` if the column is not searched, or if no token of the text is selective.
    fn in_search_index(&mut self, column: user::Column, part: &str) -> Option<SimpleExpr> {
        let snapshot = self.snapshot.as_ref().filter(|_| column.is_searched())?;
        let part = text::fold(part);
        let is_address = matches!(column, user::Column::Email | user::Column::CertifiedEmail);
        // Domains are compared in their DNS form, but searched as they were given.
        if (is_address || matches!(column, user::Column::Username)) && snapshot.has_international_domain() {
            return None;
        }
        let weight = |token: &str| token.chars().map(|c| if c.is_numeric() { 2 } else { 1 }).sum::<usize>();
        let token = search_index::tokens(&part).max_by_key(|token| weight(token))?;
        let is_selective = weight(token) >= if is_address { MIN_ADDRESS_TOKEN_WEIGHT } else { MIN_TOKEN_WEIGHT };
        let token = Some(token).filter(|_| is_selective)?;
        let license_id = self.viewer.license_of_lists();
        let mut users = self.token_users.of(token, || snapshot.users_with(token, license_id, MAX_CANDIDATES))?;
        if users.is_empty() {
            // SQLite uses no index for an `or` with a condition that is always false.
            users.push(NOBODY);
        }
        let backend = if self.postgres { DatabaseBackend::Postgres } else { DatabaseBackend::Sqlite };
        Some(one_of(backend, user::Column::Id, users))
    }
}

/// Returns the way in which the text of a column is compared.
fn text_of(column: user::Column, postgres: bool) -> Text {
    let login = Normalizers { value: text::canonical_login, part: text::canonical };
    let address = Normalizers { value: text::canonical_email, part: text::canonical };
    let name = Normalizers { value: text::fold, part: text::fold };
    let (key, normalizers) = match column {
        user::Column::Username => (user::Column::UsernameKey, login),
        user::Column::Email => (user::Column::EmailKey, login),
        user::Column::CertifiedEmail => (user::Column::CertifiedEmailKey, address),
        user::Column::FirstName => (user::Column::FirstNameKey, name),
        user::Column::LastName => (user::Column::LastNameKey, name),
        user::Column::Nickname => (user::Column::NicknameKey, name),
        user::Column::Position => (user::Column::PositionKey, name),
        other => return Text::plain(other, postgres),
    };
    Text::keyed(column, key, normalizers, postgres)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_looked_up_once() {
        let (mut users, mut look_ups) = (TokenUsers::default(), 0);
        let ada = Id::new();
        for (token, found) in [("ada", Some(vec![ada])), ("lovelace", None), ("zoe", Some(Vec::new()))] {
            for _ in 0..5 {
                let look_up = || {
                    look_ups += 1;
                    found.clone()
                };
                assert_eq!(users.of(token, look_up), found);
            }
        }
        assert_eq!(look_ups, 3);
    }
}
