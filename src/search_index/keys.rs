//! Keys by which a word is found.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Condition, Expr};

use super::tokens;
use crate::db::conditions;
use crate::entity::search_key::Column;
use crate::text::is_letter;

/// The first character of a key that is the word itself, an inner part to the end, or the beginning of the word without up to two
/// letters.
const WORD: char = '^';
const SUFFIX: char = '*';
const WITH_DELETIONS: char = '~';
/// The maximum number of characters of a word that a key has.
const MAX_KEY_LENGTH: usize = 24;
/// The number of letters of a word within which an inner part must begin to be found.
const MAX_SUFFIX_START: usize = 64;
/// The number of letters from the beginning in which typos are looked for, as in the `SymSpell` algorithm. It is more than two
/// typos, so that two words that differ by at most two have a form in common.
const TYPO_PREFIX_LENGTH: usize = 7;

/// Returns the number of typos that are allowed in a word with this number of letters.
#[must_use]
pub fn allowed_typos(letters: usize) -> usize {
    match letters {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// Returns the condition for the keys of words that begin with a token.
#[must_use]
pub fn begins(token: &str) -> Condition {
    conditions::starts_with(Expr::col(Column::Key), &key(WORD, token))
}

/// Returns the condition for the keys of words that have a token inside, not at the beginning.
#[must_use]
pub fn inside(token: &str) -> Condition {
    conditions::starts_with(Expr::col(Column::Key), &key(SUFFIX, token))
}

/// Returns the keys of words that may equal a token but for the allowed number of typos. Empty if no typo is allowed.
#[must_use]
pub fn typo_variants(token: &str) -> Vec<String> {
    let letters = token.chars().count();
    let allowed = if token.chars().all(is_letter) { allowed_typos(letters) } else { 0 };
    if allowed == 0 {
        Vec::new()
    } else {
        deletions(token, allowed).into_iter().map(|variant| key(WITH_DELETIONS, &variant)).collect()
    }
}

/// Returns all keys of a word.
pub(super) fn keys_of_word(word: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::from([key(WORD, word)]);
    keys.extend(
        word.char_indices()
            .take(MAX_SUFFIX_START)
            .skip(1)
            .filter_map(|(at, _)| word.get(at..))
            .map(|rest| key(SUFFIX, rest)),
    );
    for run in tokens(word).filter(|run| run.chars().all(is_letter)) {
        let variants = match run.chars().count() {
            0..=2 => continue,
            3..=5 => deletions(run, 1),
            _ => deletions(run, 2),
        };
        keys.extend(variants.into_iter().map(|variant| key(WITH_DELETIONS, &variant)));
    }
    keys
}

fn key(kind: char, text: &str) -> String {
    std::iter::once(kind).chain(text.chars().take(MAX_KEY_LENGTH)).collect()
}

/// Returns the beginning of a word without up to `count` of its letters, in every way.
fn deletions(word: &str, count: usize) -> BTreeSet<String> {
    let mut variants = BTreeSet::from([word.chars().take(TYPO_PREFIX_LENGTH).collect::<String>()]);
    for _ in 0..count {
        let shorter: Vec<String> = variants.iter().flat_map(|text| without_one(text)).collect();
        variants.extend(shorter);
    }
    variants
}

fn without_one(text: &str) -> impl Iterator<Item = String> {
    (0..text.chars().count())
        .map(|deleted| text.chars().enumerate().filter(|(at, _)| *at != deleted).map(|(_, c)| c).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_keys_for_its_beginning_its_inner_parts_and_typos() {
        let keys = keys_of_word("anna");
        let expected = ["*a", "*na", "*nna", "^anna", "~ana", "~ann", "~anna", "~nna"];
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(keys_of_word("42").into_iter().collect::<Vec<_>>(), ["*2", "^42"]);
    }

    #[test]
    fn a_word_with_typos_has_a_key_in_common_with_the_right_word() {
        for (typed, expected) in [
            ("jonh", "john"),
            ("smyth", "smith"),
            ("ohn", "john"),
            ("jhon", "john"),
            ("katharrina", "katarina"),
            ("shmidtt", "schmidt"),
            ("mihcaeljon", "michaeljohn"),
        ] {
            let keys = keys_of_word(expected);
            let is_found = typo_variants(typed).iter().any(|key| keys.contains(key));
            assert_eq!(is_found, typed.len() > 3, "{typed} {expected}");
        }
    }
}
