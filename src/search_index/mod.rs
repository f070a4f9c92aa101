//! Search index: the words of each user, and the keys by which a word is found if it is typed in part or with a typo.
//!
//! A directory has far fewer words than users. A search therefore looks for words first, and then for users among those who have
//! the words. Both are ranges of ordinary indexes, which take the same short time for any number of users, and are the same on
//! every database.

mod keys;
mod rebuild;
mod update;

use std::collections::BTreeSet;

use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Condition, Query, SimpleExpr, UnionType};

use crate::entity::user::{Column, SEARCH_LINES};
use crate::entity::{search_hit, search_key};
use crate::scalar::Id;
use crate::text::is_letter;

pub use self::keys::{allowed_typos, begins, inside, typo_variants};
pub use self::rebuild::rebuild;
pub use self::update::{Changes, Posting, postings, update};

/// Returns the distinct words of a search key.
#[must_use]
pub fn words(search_key: &str) -> BTreeSet<&str> {
    let mut words = BTreeSet::new();
    for (line, column) in search_key.split('\n').zip(SEARCH_LINES) {
        if !matches!(column, Column::Email | Column::CertifiedEmail) {
            words.extend(tokens(line));
            continue;
        }
        // A domain is one word, because many users share all of it. Full stops are skipped, because every address has one.
        let at = line.rfind('@').unwrap_or(line.len());
        let (local, domain) = line.split_at_checked(at).unwrap_or((line, ""));
        words.extend(tokens(local).filter(|token| *token != "."));
        words.extend(Some(domain).filter(|domain| !domain.is_empty()));
    }
    words
}

/// Splits a text into tokens: runs of letters, runs of digits, and each other sign by itself.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let end =
            rest.char_indices().find(|(at, c)| *at > 0 && !is_same_run(first, *c)).map_or(rest.len(), |(at, _)| at);
        let (token, remainder) = rest.split_at_checked(end)?;
        rest = remainder;
        Some(token)
    })
}

fn is_same_run(first: char, next: char) -> bool {
    (is_letter(first) && is_letter(next)) || (first.is_numeric() && next.is_numeric())
}

/// Returns the condition that a user has a word with a token in it. The license only makes the statement faster.
#[must_use]
pub fn users_with(token: &str, license_id: Option<Id>) -> SimpleExpr {
    let words = |keys: Condition| {
        Query::select().column(search_key::Column::WordId).from(search_key::Entity).cond_where(keys).to_owned()
    };
    let all = words(begins(token)).union(UnionType::All, words(inside(token))).to_owned();
    let mut users = Query::select();
    users.column(search_hit::Column::UserId).from(search_hit::Entity);
    users.and_where(search_hit::Column::WordId.in_subquery(all));
    users.and_where_option(license_id.map(|id| search_hit::Column::License.eq(short(id))));
    Column::Id.in_subquery(users)
}

/// Returns the short form of a license's ID by which rows of `search_hits` are grouped. Two licenses with the same short form
/// cost each other time, and nothing else: the rows of `users` decide which users a viewer sees.
#[must_use]
pub fn short(license_id: Id) -> i32 {
    let [.., a, b, c, d] = license_id.0.into_bytes();
    i32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_into_runs_of_letters_runs_of_digits_and_signs() {
        let all = |text| tokens(text).collect::<Vec<_>>();
        assert_eq!(all("o'brien smith42_b"), ["o", "'", "brien", "smith", "42", "_", "b"]);
        assert_eq!(all(" 小明\t王"), ["小明", "王"]);
        assert_eq!(all(""), [""; 0]);
    }

    #[test]
    fn the_domain_of_an_address_is_one_word() {
        let key = "ann.s\nann\nsmith-lee\nann.smith7@mail.example.org\n\n\nsmithlee";
        let expected = ["-", ".", "7", "@mail.example.org", "ann", "lee", "s", "smith", "smithlee"];
        assert_eq!(words(key).into_iter().collect::<Vec<_>>(), expected);
    }
}
