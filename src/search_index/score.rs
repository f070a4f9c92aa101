//! Scoring of search results. The scores do not depend on the database, because nothing here reads it.

use std::collections::BTreeSet;

use strsim::osa_distance;

use super::allowed_typos;
use super::fields::{EMAIL_WEIGHT, UserSearchField, lines};
use crate::text::{is_letter, is_of_word};

/// The scores of a word that is the whole field, a word of it, its beginning, the beginning of one of its words, or a part.
const WHOLE: f64 = 1.0;
const WORD: f64 = 0.95;
const BEGINNING: f64 = 0.85;
const BEGINNING_OF_WORD: f64 = 0.8;
const PART: f64 = 0.6;
/// The score of a word with one typo. Each further typo, a different first letter, and a word that continues are subtracted.
const TYPO: f64 = 0.45;
const FURTHER_TYPO: f64 = 0.1;
const OTHER_FIRST_LETTER: f64 = 0.05;
const CONTINUES: f64 = 0.1;
/// The number of letters from which a word with a typo may also be the beginning of a longer word.
pub(super) const MIN_CONTINUED_LENGTH: usize = 6;

/// The number of points of the score 1. All scores of a word are whole numbers of points.
pub const WHOLE_POINTS: u16 = 10_000;

/// Returns the score of the words in a search key, from 0 to 1: the mean of the words, each by the field that it matches best.
/// `None` if one of the words is not found.
#[must_use]
pub fn score(search_key: &str, words: &[String]) -> Option<f64> {
    let mut total = 0.0;
    for word in words {
        let best = score_of_word(search_key, word, true);
        if best == 0.0 {
            return None;
        }
        total += best;
    }
    Some(total / f64::from(u32::try_from(words.len()).ok()?))
}

/// Returns the score of a word by the field that it matches best. 0 if it is not found. Typos count only if no field has the word
/// without.
fn score_of_word(search_key: &str, word: &str, with_typos: bool) -> f64 {
    let best_by = |score_in: fn(&str, &str) -> f64| {
        lines(search_key).map(|(_, weight, text)| weight * score_in(text, word)).fold(0.0, f64::max)
    };
    let best = best_by(score_match);
    if best > 0.0 || !with_typos { best } else { best_by(score_typos) }
}

/// Returns the score of a word in a search key in points, with or without typos.
#[must_use]
pub fn points_of_word(search_key: &str, word: &str, with_typos: bool) -> u16 {
    points(score_of_word(search_key, word, with_typos))
}

/// Returns the points of a word in the domain of an email address, which begins with its `@`.
#[must_use]
pub(super) fn points_in_domain(domain: &str, word: &str) -> u16 {
    points(EMAIL_WEIGHT * score_match(domain, word))
}

/// Returns a score in points.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the score lies between 0 and 1")]
pub(super) fn points(score: f64) -> u16 {
    (score * f64::from(WHOLE_POINTS)).round() as u16
}

/// Returns the fields in which at least one of the words is found. A word with typos counts only if no field has it without.
#[must_use]
pub fn matched(search_key: &str, words: &[String]) -> Vec<UserSearchField> {
    let mut fields = BTreeSet::new();
    for word in words {
        let fields_with =
            |score_in: fn(&str, &str) -> f64| lines(search_key).filter(move |(_, _, text)| score_in(text, word) > 0.0);
        let found_in: Vec<_> = fields_with(score_match).map(|(field, ..)| field).collect();
        if found_in.is_empty() {
            fields.extend(fields_with(score_typos).map(|(field, ..)| field));
        } else {
            fields.extend(found_in);
        }
    }
    fields.into_iter().collect()
}

/// Returns the score of a word in a text that contains it. 0 if the text does not.
fn score_match(text: &str, word: &str) -> f64 {
    let scores = text.match_indices(word).map(|(at, _)| {
        score_between(text.get(..at).unwrap_or_default(), text.get(at + word.len()..).unwrap_or_default())
    });
    scores.fold(0.0, f64::max)
}

/// Returns the score of a part of a text, by the text before and after it.
pub(super) fn score_between(before: &str, after: &str) -> f64 {
    let (begins, ends) = (begins_after(before), ends_before(after));
    match (before.is_empty(), begins, ends) {
        (true, _, _) if after.is_empty() => WHOLE,
        (_, true, true) => WORD,
        (true, _, _) => BEGINNING,
        (_, true, _) => BEGINNING_OF_WORD,
        _ => PART,
    }
}

/// Returns whether a part of a text is a run of letters and digits, not a part of a longer one, by the text before and after it.
pub(super) fn is_whole_run(before: &str, after: &str) -> bool {
    begins_after(before) && ends_before(after)
}

fn begins_after(before: &str) -> bool {
    !before.chars().next_back().is_some_and(is_of_word)
}

fn ends_before(after: &str) -> bool {
    !after.chars().next().is_some_and(is_of_word)
}

/// Returns the score of a word with typos in a text. 0 if there are too many typos.
fn score_typos(text: &str, word: &str) -> f64 {
    let allowed = allowed_typos_of(word);
    if allowed == 0 {
        return 0.0;
    }
    let letters = word.chars().count();
    parts_of(text).map(|part| score_part(part, word, letters, allowed)).fold(0.0, f64::max)
}

/// Returns the number of typos that are allowed in a word of a query. Signs do not count as letters.
pub(super) fn allowed_typos_of(word: &str) -> usize {
    if word.chars().any(is_letter) { allowed_typos(word.chars().filter(|c| is_of_word(*c)).count()) } else { 0 }
}

/// Returns the parts of a text that a word may be but for typos: each part between spaces, both sides of an `@` in it, and each
/// run of letters and digits.
fn parts_of(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|part| {
        let sides = part.contains('@').then(|| part.split('@')).into_iter().flatten();
        let is_run = part.chars().all(is_of_word);
        let runs = (!is_run).then(|| part.split(|c: char| !is_of_word(c))).into_iter().flatten();
        std::iter::once(part).chain(sides).chain(runs)
    })
}

fn score_part(part: &str, word: &str, letters: usize, allowed: usize) -> f64 {
    let Some(typos) = typos_between(part, word, letters, allowed) else { return 0.0 };
    typos.score(part.chars().next() != word.chars().next())
}

/// The typos between a word and a part of a text.
pub(super) struct Typos {
    pub(super) count: usize,
    /// Whether the part continues after the word.
    pub(super) part_continues: bool,
}

impl Typos {
    /// Returns the score of a word with these typos.
    pub(super) fn score(&self, differs_first: bool) -> f64 {
        let further = f64::from(u32::try_from(self.count.saturating_sub(1)).unwrap_or(u32::MAX));
        TYPO - further * FURTHER_TYPO
            - if differs_first { OTHER_FIRST_LETTER } else { 0.0 }
            - if self.part_continues { CONTINUES } else { 0.0 }
    }
}

/// Returns the typos between a word and a part of a text. `None` if there are more typos than allowed. A typo is an added,
/// missing or different letter, or two letters swapped (optimal string alignment).
fn typos_between(part: &str, word: &str, letters: usize, allowed: usize) -> Option<Typos> {
    let length = part.chars().count();
    if length + allowed < letters || length == 0 {
        return None;
    }
    if length <= letters + allowed {
        let count = osa_distance(part, word);
        if count <= allowed {
            return Some(Typos { count, part_continues: false });
        }
    }
    if letters < MIN_CONTINUED_LENGTH || length <= letters {
        return None;
    }
    let beginnings = letters.saturating_sub(allowed)..=letters + allowed;
    let counts = beginnings.filter_map(|end| {
        let end = part.char_indices().nth(end).map_or(part.len(), |(at, _)| at);
        part.get(..end).map(|beginning| osa_distance(beginning, word))
    });
    let count = counts.min().filter(|count| *count <= allowed)?;
    Some(Typos { count, part_continues: true })
}

#[cfg(test)]
mod tests {
    use super::UserSearchField::{Email, FirstName, LastName, Username};
    use super::*;

    const ZOE: &str = "zoe7\nzoe\nvan dam\nzoe@dam.example\n\n\nvandam";

    fn of(words: &[&str]) -> Option<f64> {
        score(ZOE, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_whole_field_scores_more_than_a_word_a_beginning_a_part_and_a_typo() {
        for (words, expected) in [
            (&["zoe"][..], Some(1.0)),
            (&["dam"], Some(0.95)),
            (&["vandam"], Some(0.97)),
            (&["zo"], Some(0.85)),
            (&["da"], Some(0.8)),
            (&["oe"], Some(0.6)),
            (&["exampl"], Some(0.72)),
            (&["xample"], Some(0.54)),
            (&["exmaple"], Some(0.405)),
            (&["wandam"], Some(0.388)),
            (&["zoe", "dam"], Some(0.975)),
            (&["q"], None),
            (&["zoe", "q"], None),
        ] {
            let found = of(words);
            assert!(
                found == expected || (found.unwrap_or(9.0) - expected.unwrap_or(9.0)).abs() < 1e-9,
                "{words:?}: {found:?}"
            );
        }
    }

    #[test]
    fn one_typo_is_allowed_from_four_letters_and_two_from_eight() {
        for (text, word, is_found) in [
            ("anna", "ann", false),
            ("anna", "amna", true),
            ("ana", "anna", true),
            ("anna", "nana", true),
            ("anna", "nnana", false),
            ("johansson", "johannson", true),
            ("johansson", "jonhanson", true),
            ("johansson", "jonhannson", true),
            ("johansson", "xohaxxson", false),
            ("bernard", "bermarr", false),
            ("muhlenberg", "mulenb", true),
            ("muhlenberg", "mulen", false),
            ("4711", "4712", false),
        ] {
            let is_match = score_match(text, word) > 0.0 || score_typos(text, word) > 0.0;
            assert_eq!(is_match, is_found || text.contains(word), "{text} {word}");
        }
    }

    #[test]
    fn matched_fields_are_those_that_contain_a_word() {
        let matched = |words: &[&str]| matched(ZOE, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(matched(&["zoe", "van"]), [Username, FirstName, LastName, Email]);
        assert_eq!(matched(&["exmaple"]), [Email]);
    }
}
