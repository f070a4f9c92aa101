//! Keys by which a word is found.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Condition, Expr};

use super::tokens;
use crate::db::conditions;
use crate::entity::search_key::Column;
use crate::text::is_letter;

/// The first character of a key that is the word itself, an inner part, or what is left of the word without the letters of a
/// typo.
const BEGIN: char = '^';
const INSIDE: char = '*';
const SLIPPED: char = '~';
/// The maximum number of characters of a word that a key has.
const MAX_KEY_LENGTH: usize = 24;
/// The number of letters of a word within which an inner part must begin to be found.
const LETTERS: usize = 64;
/// The number of letters from the beginning in which typos are looked for, as in the `SymSpell` algorithm. It is more than two
/// typos, so that two words that differ by at most two have a form in common.
const SLIPS_WITHIN: usize = 7;

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
pub fn begins(piece: &str) -> Condition {
    conditions::starts_with(Expr::col(Column::Key), &key(BEGIN, piece))
}

/// Returns the condition for the keys of words that have a token inside, not at the beginning.
#[must_use]
pub fn inside(piece: &str) -> Condition {
    conditions::starts_with(Expr::col(Column::Key), &key(INSIDE, piece))
}

/// Returns the keys of words that may equal a token but for the allowed number of typos. Empty if no typo is allowed.
#[must_use]
pub fn typo_variants(piece: &str) -> Vec<String> {
    let letters = piece.chars().count();
    let allowed = if piece.chars().all(is_letter) { allowed_typos(letters) } else { 0 };
    if allowed == 0 {
        Vec::new()
    } else {
        deletions(piece, allowed).into_iter().map(|left| key(SLIPPED, &left)).collect()
    }
}

/// Returns all keys of a word.
pub(super) fn of_word(word: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::from([key(BEGIN, word)]);
    keys.extend(
        word.char_indices().take(LETTERS).skip(1).filter_map(|(at, _)| word.get(at..)).map(|rest| key(INSIDE, rest)),
    );
    for run in tokens(word).filter(|run| run.chars().all(is_letter)) {
        let slipped = match run.chars().count() {
            0..=2 => continue,
            3..=5 => deletions(run, 1),
            _ => deletions(run, 2),
        };
        keys.extend(slipped.into_iter().map(|left| key(SLIPPED, &left)));
    }
    keys
}

fn key(kind: char, text: &str) -> String {
    std::iter::once(kind).chain(text.chars().take(MAX_KEY_LENGTH)).collect()
}

/// Returns what is left of the beginning of a word without up to `count` of its letters.
fn deletions(word: &str, count: usize) -> BTreeSet<String> {
    let mut left = BTreeSet::from([word.chars().take(SLIPS_WITHIN).collect::<String>()]);
    for _ in 0..count {
        let shorter: Vec<String> = left.iter().flat_map(|text| without_one(text)).collect();
        left.extend(shorter);
    }
    left
}

fn without_one(text: &str) -> impl Iterator<Item = String> {
    (0..text.chars().count())
        .map(|gone| text.chars().enumerate().filter(|(at, _)| *at != gone).map(|(_, c)| c).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_by_its_beginning_what_is_inside_and_what_a_slip_leaves() {
        let keys = of_word("anna");
        let expected = ["*a", "*na", "*nna", "^anna", "~ana", "~ann", "~anna", "~nna"];
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(of_word("42").into_iter().collect::<Vec<_>>(), ["*2", "^42"]);
    }

    #[test]
    fn two_words_with_slips_have_a_key_in_common() {
        for (typed, meant) in [
            ("jonh", "john"),
            ("smyth", "smith"),
            ("ohn", "john"),
            ("jhon", "john"),
            ("katharrina", "katarina"),
            ("shmidtt", "schmidt"),
            ("mihcaeljon", "michaeljohn"),
        ] {
            let keys = of_word(meant);
            let is_found = typo_variants(typed).iter().any(|key| keys.contains(key));
            assert_eq!(is_found, typed.len() > 3, "{typed} {meant}");
        }
    }
}
