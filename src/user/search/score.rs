//! How well people fit what was searched for. The scores are the same wherever people are kept, for nothing here asks a database.

use std::collections::BTreeSet;

use async_graphql::Enum;
use strsim::osa_distance;

use crate::search_index::allowed_typos;
use crate::text::{is_letter, is_of_word};

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

/// The lines of a search key: which field each is of, and what a word in it counts. What is only another way to write a name
/// counts a little less than the name.
const LINES: [(UserSearchField, f64); 7] = [
    (Username, 1.0),
    (FirstName, 1.0),
    (LastName, 1.0),
    (Email, 0.9),
    (CertifiedEmail, 0.9),
    (FirstName, 0.97),
    (LastName, 0.97),
];

/// The word is all of the field, a word of it, its beginning, the beginning of one of its words, or a part.
const WHOLE: f64 = 1.0;
const WORD: f64 = 0.95;
const BEGINNING: f64 = 0.85;
const BEGINNING_OF_WORD: f64 = 0.8;
const PART: f64 = 0.6;
/// The word is one of the field but for a slip; each further one, another first letter, and a word that goes on cost something.
const SLIPPED: f64 = 0.45;
const FURTHER_SLIP: f64 = 0.1;
const OTHER_FIRST_LETTER: f64 = 0.05;
const GOES_ON: f64 = 0.1;
/// From so many letters on, a word with a slip may also be the beginning of a longer one.
pub const LONG_ENOUGH_TO_GO_ON: usize = 6;

/// How well the words are found in somebody's search key, from 0 to 1: the mean of the words, each by the field where it fits
/// best; none where one of the words is not found.
#[must_use]
pub fn score(search_key: &str, words: &[String]) -> Option<f64> {
    let mut total = 0.0;
    for word in words {
        let by = |fits: fn(&str, &str) -> f64| {
            lines(search_key).map(|(_, weight, text)| weight * fits(text, word)).fold(0.0, f64::max)
        };
        let best = by(score_match);
        let best = if best > 0.0 { best } else { by(score_typos) };
        if best == 0.0 {
            return None;
        }
        total += best;
    }
    Some(total / f64::from(u32::try_from(words.len()).ok()?))
}

/// The fields in which at least one of the words is found; by slips only where it is in none without.
#[must_use]
pub fn matched(search_key: &str, words: &[String]) -> Vec<UserSearchField> {
    let mut fields = BTreeSet::new();
    for word in words {
        let with = |fits: fn(&str, &str) -> f64| lines(search_key).filter(move |(_, _, text)| fits(text, word) > 0.0);
        let found_in: Vec<_> = with(score_match).map(|(field, ..)| field).collect();
        if found_in.is_empty() {
            fields.extend(with(score_typos).map(|(field, ..)| field));
        } else {
            fields.extend(found_in);
        }
    }
    fields.into_iter().collect()
}

/// Each field with its text and what it counts; a name in another way is a text of its own.
fn lines(search_key: &str) -> impl Iterator<Item = (UserSearchField, f64, &str)> {
    let lines = search_key.split('\n').zip(LINES);
    lines.flat_map(|(line, (field, weight))| line.split('\t').map(move |text| (field, weight, text)))
}

/// How well a word fits a text that has it.
fn score_match(text: &str, word: &str) -> f64 {
    let fits = text.match_indices(word).map(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + word.len()..).unwrap_or_default());
        let begins = !before.chars().next_back().is_some_and(is_of_word);
        let ends = !after.chars().next().is_some_and(is_of_word);
        match (before.is_empty(), begins, ends) {
            (true, _, _) if after.is_empty() => WHOLE,
            (_, true, true) => WORD,
            (true, _, _) => BEGINNING,
            (_, true, _) => BEGINNING_OF_WORD,
            _ => PART,
        }
    });
    fits.fold(0.0, f64::max)
}

/// How well a word with slips fits a text.
fn score_typos(text: &str, word: &str) -> f64 {
    let letters = word.chars().count();
    let told = word.chars().filter(|c| is_of_word(*c)).count();
    let allowed = if word.chars().any(is_letter) { allowed_typos(told) } else { 0 };
    if allowed == 0 {
        return 0.0;
    }
    parts_of(text).map(|part| score_of_typos(part, word, letters, allowed)).fold(0.0, f64::max)
}

/// What a word may be but for slips: what stands between spaces, both sides of an `@` in it, and each run of letters and digits.
fn parts_of(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|part| {
        let sides = part.contains('@').then(|| part.split('@')).into_iter().flatten();
        let is_run = part.chars().all(is_of_word);
        let runs = (!is_run).then(|| part.split(|c: char| !is_of_word(c))).into_iter().flatten();
        std::iter::once(part).chain(sides).chain(runs)
    })
}

fn score_of_typos(part: &str, word: &str, letters: usize, allowed: usize) -> f64 {
    let Some(slips) = typos_between(part, word, letters, allowed) else { return 0.0 };
    let (slips, goes_on) = slips;
    let further = f64::from(u32::try_from(slips.saturating_sub(1)).unwrap_or(u32::MAX));
    let is_other = part.chars().next() != word.chars().next();
    SLIPPED
        - further * FURTHER_SLIP
        - if is_other { OTHER_FIRST_LETTER } else { 0.0 }
        - if goes_on { GOES_ON } else { 0.0 }
}

/// How many slips (optimal string alignment: a letter more, less, another, or two exchanged) lie between a word and a part of a
/// text, and whether the part goes on after it; none where there are more than allowed.
fn typos_between(part: &str, word: &str, letters: usize, allowed: usize) -> Option<(usize, bool)> {
    let length = part.chars().count();
    if length + allowed < letters || length == 0 {
        return None;
    }
    if length <= letters + allowed {
        let slips = osa_distance(part, word);
        if slips <= allowed {
            return Some((slips, false));
        }
    }
    if letters < LONG_ENOUGH_TO_GO_ON || length <= letters {
        return None;
    }
    let beginnings = letters.saturating_sub(allowed)..=letters + allowed;
    let slips = beginnings.filter_map(|end| {
        let end = part.char_indices().nth(end).map_or(part.len(), |(at, _)| at);
        part.get(..end).map(|beginning| osa_distance(beginning, word))
    });
    slips.min().filter(|slips| *slips <= allowed).map(|slips| (slips, true))
}

/// How many slips lie between what was typed and a word of the directory, if no more than are forgiven.
#[must_use]
pub fn typos(word: &str, typed: &str) -> Option<usize> {
    let letters = typed.chars().count();
    let runs = word.split(|c: char| !is_of_word(c));
    let slips = runs.filter_map(|run| typos_between(run, typed, letters, allowed_typos(letters)));
    slips.map(|(slips, goes_on)| slips + usize::from(goes_on)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZOE: &str = "zoe7\nzoe\nvan dam\nzoe@dam.example\n\n\nvandam";

    fn of(words: &[&str]) -> Option<f64> {
        score(ZOE, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_whole_field_counts_more_than_a_word_that_more_than_a_beginning_a_part_and_a_slip() {
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
    fn one_slip_is_forgiven_from_four_letters_and_two_from_eight() {
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
            let fits = score_match(text, word) > 0.0 || score_typos(text, word) > 0.0;
            assert_eq!(fits, is_found || text.contains(word), "{text} {word}");
        }
    }

    #[test]
    fn the_fields_are_those_in_which_a_word_is() {
        let matched = |words: &[&str]| matched(ZOE, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(matched(&["zoe", "van"]), [Username, FirstName, LastName, Email]);
        assert_eq!(matched(&["exmaple"]), [Email]);
    }
}
