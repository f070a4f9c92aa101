//! Comparison of a typed word with many parts of texts, which may equal it but for typos.

use strsim::osa_distance;

use super::score::{MIN_CONTINUED_LENGTH, Typos, allowed_typos_of};
use crate::text::is_of_word;

/// The maximum number of characters of a word whose comparison takes one step for each character of a text: the bits of a number.
const MAX_BITS: usize = 64;
/// The number of characters of a word whose letters must be in a text, but for typos.
const SIGNED_WORD: usize = 20;
/// The number of characters of a text in which these letters are: typos can move a letter by two places, and swap it.
const SIGNED_TEXT: usize = 24;

/// A typed word, prepared for comparisons.
pub(super) struct TypedWord<'a> {
    word: &'a str,
    first: Option<char>,
    letters: usize,
    allowed: usize,
    signature: u32,
    ascii: [u64; 128],
    others: Vec<(char, u64)>,
}

impl<'a> TypedWord<'a> {
    /// Prepares a word. `None` if no typos are allowed in it.
    pub(super) fn new(word: &'a str) -> Option<Self> {
        let allowed = allowed_typos_of(word);
        if allowed == 0 {
            return None;
        }
        let signature = signature(word.chars().take(SIGNED_WORD));
        let (mut ascii, mut others) = ([0_u64; 128], Vec::<(char, u64)>::new());
        for (place, c) in word.chars().enumerate().take(MAX_BITS) {
            let bit = 1 << place;
            match ascii.get_mut(c as usize) {
                Some(bits) => *bits |= bit,
                None => match others.iter_mut().find(|(other, _)| *other == c) {
                    Some((_, bits)) => *bits |= bit,
                    None => others.push((c, bit)),
                },
            }
        }
        let (first, letters) = (word.chars().next(), word.chars().count());
        Some(Self { word, first, letters, allowed, signature, ascii, others })
    }

    pub(super) fn text(&self) -> &'a str {
        self.word
    }

    /// Returns whether a text with this signature may begin with the word but for typos.
    pub(super) fn may_match(&self, signature: u32) -> bool {
        let mut missing = self.signature & !signature;
        // Clears the lowest bit for each typo. Most processors that this is compiled for count bits more slowly.
        for _ in 0..self.allowed {
            missing &= missing.wrapping_sub(1);
        }
        missing == 0
    }

    /// Returns whether the word contains a digit.
    pub(super) fn has_digit(&self) -> bool {
        self.word.chars().any(char::is_numeric)
    }

    /// Returns the maximum number of characters of a part that may match. `None` if a part of any length may.
    pub(super) fn longest(&self) -> Option<usize> {
        (self.letters < MIN_CONTINUED_LENGTH).then_some(self.letters + self.allowed)
    }

    /// Returns the best score of the word in parts of these lengths, in characters, at the beginning of a text. 0 if there are too
    /// many typos.
    pub(super) fn score(&self, text: &str, lengths: &[usize], distances: &mut Vec<usize>) -> f64 {
        self.measure(text, distances);
        let differs_first = text.chars().next() != self.first;
        let scores = lengths.iter().filter_map(|length| self.typos(*length, distances));
        scores.map(|typos| typos.score(differs_first)).fold(0.0, f64::max)
    }

    /// Returns the typos in a part of this length, as `typos_between` in `score`.
    fn typos(&self, length: usize, distances: &[usize]) -> Option<Typos> {
        let distance = |end: usize| distances.get(end.min(length)).copied().unwrap_or(usize::MAX);
        if length + self.allowed < self.letters || length == 0 {
            return None;
        }
        if length <= self.letters + self.allowed && distance(length) <= self.allowed {
            return Some(Typos { count: distance(length), part_continues: false });
        }
        if self.letters < MIN_CONTINUED_LENGTH || length <= self.letters {
            return None;
        }
        let ends = self.letters.saturating_sub(self.allowed)..=self.letters + self.allowed;
        let count = ends.map(distance).min().filter(|count| *count <= self.allowed)?;
        Some(Typos { count, part_continues: true })
    }

    /// Measures the distances of the word to the beginnings of a text: of no character, of one, and so on.
    fn measure(&self, text: &str, distances: &mut Vec<usize>) {
        distances.clear();
        if self.letters > MAX_BITS {
            self.measure_long(text, distances);
            return;
        }
        // Hyyrö's bit-parallel algorithm for the optimal string alignment distance (2003).
        let last = 1_u64 << (self.letters - 1);
        let (mut positive, mut negative, mut diagonal, mut previous) = (u64::MAX, 0_u64, 0_u64, 0_u64);
        let mut distance = self.letters;
        distances.push(distance);
        for c in text.chars().take(self.letters + self.allowed) {
            let matches = self.places_of(c);
            let swapped = ((!diagonal & matches) << 1) & previous;
            diagonal = ((matches & positive).wrapping_add(positive) ^ positive) | matches | negative | swapped;
            let (rises, falls) = (negative | !(diagonal | positive), diagonal & positive);
            distance += usize::from(rises & last != 0);
            distance -= usize::from(falls & last != 0);
            let (rises, falls) = ((rises << 1) | 1, falls << 1);
            positive = falls | !(diagonal | rises);
            negative = rises & diagonal;
            previous = matches;
            distances.push(distance);
        }
    }

    fn measure_long(&self, text: &str, distances: &mut Vec<usize>) {
        let needed = self.letters - self.allowed;
        distances.resize(needed, usize::MAX);
        let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).skip(needed);
        for end in ends.by_ref().take(2 * self.allowed + 1) {
            distances.push(text.get(..end).map_or(usize::MAX, |beginning| osa_distance(beginning, self.word)));
        }
    }

    fn places_of(&self, c: char) -> u64 {
        match self.ascii.get(c as usize) {
            Some(bits) => *bits,
            None => self.others.iter().find(|(other, _)| *other == c).map_or(0, |(_, bits)| *bits),
        }
    }
}

/// Returns the signature of a text that a word may be at the beginning of: a bit for each letter that is near it.
pub(super) fn signature_of(text: &str) -> u32 {
    signature(text.chars().take(SIGNED_TEXT))
}

/// Returns the signature of a text in which a word may be anywhere.
pub(super) fn signature_of_whole(text: &str) -> u32 {
    signature(text.chars())
}

fn signature(letters: impl Iterator<Item = char>) -> u32 {
    letters.fold(0, |bits, c| bits | 1 << bit_of(c))
}

fn bit_of(c: char) -> u32 {
    match c {
        'a'..='z' => u32::from(c) - u32::from('a'),
        c => u32::from(c).wrapping_mul(0x9e37_79b1) >> 27,
    }
}

/// The parts of a text that begin at one place and may equal a word but for typos, as `parts_of` in `score`.
pub(super) struct PartsAt<'a> {
    /// The text from the place up to the next space.
    pub(super) rest: &'a str,
    /// The lengths in characters of the part between spaces, of the side of an `@`, and of the run of letters and digits. 0 for
    /// those that do not begin here.
    pub(super) lengths: [usize; 3],
}

/// Returns the parts of a text that begin at a place.
pub(super) fn parts_at(text: &str, place: usize) -> Option<PartsAt<'_>> {
    let (before, rest) = text.split_at_checked(place)?;
    let rest = rest.split(char::is_whitespace).next()?;
    let previous = before.chars().next_back().filter(|c| !c.is_whitespace());
    let length = |end: usize| rest.get(..end).map_or(0, |part| part.chars().count());
    let whole = if previous.is_none() { length(rest.len()) } else { 0 };
    let side = if previous.is_none_or(|c| c == '@') { length(rest.find('@').unwrap_or(rest.len())) } else { 0 };
    let begins_run = !previous.is_some_and(is_of_word);
    let run = if begins_run { length(rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len())) } else { 0 };
    Some(PartsAt { rest, lengths: [whole, side, run] })
}

/// Returns the places in a text at which parts begin.
pub(super) fn places_of_parts(text: &str) -> impl Iterator<Item = usize> {
    let mut previous = None;
    text.char_indices().filter_map(move |(place, c)| {
        let before = previous.replace(c).filter(|before: &char| !before.is_whitespace());
        let begins = before.is_none_or(|before| before == '@' || (is_of_word(c) && !is_of_word(before)));
        (begins && !c.is_whitespace()).then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::super::score::{points, points_of_word};
    use super::*;

    /// Returns the score of a word in a text, by the parts that begin at each place.
    fn score(text: &str, word: &str) -> f64 {
        let Some(word) = TypedWord::new(word) else { return 0.0 };
        let mut distances = Vec::new();
        let parts = places_of_parts(text).filter_map(|place| parts_at(text, place));
        let parts = parts.filter(|parts| word.may_match(signature_of(parts.rest)));
        parts.map(|parts| word.score(parts.rest, &parts.lengths, &mut distances)).fold(0.0, f64::max)
    }

    #[test]
    fn parts_are_compared_as_the_score_does() {
        let texts = [
            "anna",
            "anna.smith7",
            "smith-walsh",
            "o'brien",
            "johansson",
            "zoe@dam.example",
            "van dam",
            "sima3",
            "-- x",
            "katharina maria",
            "a@b@c.example",
            "мюллер",
            "mihcaeljon.x",
            "12345",
            "anne-lise smith42 y",
        ];
        let words = [
            "amna",
            "smtih7",
            "smith-wlash",
            "obrien",
            "obrein",
            "jonhason",
            "johansso",
            "zeo@dam.example",
            "vann",
            "sima2",
            "katarina",
            "mraia",
            "мюлер",
            "michaeljohn",
            "a1234",
            "annelise",
            "smiht42",
            "anna.smth",
            "exmaple",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ];
        for text in texts {
            for word in words {
                if text.contains(word) {
                    continue;
                }
                assert_eq!(points(score(text, word)), points_of_word(text, word, true), "{text} {word}");
            }
        }
        let long = "smith-".repeat(13);
        let typed = format!("{}smtih-", "smith-".repeat(12));
        assert_eq!(points(score(&long, &typed)), points_of_word(&long, &typed, true));
        assert!(score(&long, &typed) > 0.0);
    }
}
