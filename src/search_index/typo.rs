//! Comparison of a typed word with many parts of texts, which may equal it but for typos.

use strsim::osa_distance;

use super::fields::lines;
use super::prefix::TypedPrefix;
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
    prefix: TypedPrefix,
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
        let prefix = TypedPrefix::new(word, allowed);
        Some(Self { word, first, letters, allowed, signature, prefix, ascii, others })
    }

    pub(super) fn text(&self) -> &'a str {
        self.word
    }

    pub(super) fn prefix(&self) -> &TypedPrefix {
        &self.prefix
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

    /// Returns the highest score of the word in parts of at least this length, in characters, with at least so many typos.
    /// `None` if such parts are too long.
    pub(super) fn max_score(&self, shortest: usize, least_typos: usize, differs_first: bool) -> Option<f64> {
        let part_continues = shortest > self.letters + self.allowed;
        let may_match = !part_continues || self.letters >= MIN_CONTINUED_LENGTH;
        may_match.then(|| Typos { count: least_typos, part_continues }.score(differs_first))
    }

    /// Returns the score of the word in a search key by the field that it matches best, as `score_of_word` in `score` for a word
    /// that no field contains.
    pub(super) fn score_in_key(&self, key: &str, distances: &mut Vec<usize>) -> f64 {
        let scores = lines(key).map(|(_, weight, text)| weight * self.score_in(text, distances));
        scores.fold(0.0, f64::max)
    }

    fn score_in(&self, text: &str, distances: &mut Vec<usize>) -> f64 {
        let mut best = 0.0_f64;
        for place in places_of_parts(text) {
            // Few parts are similar, and to measure them takes less time than to find their ends.
            if self.may_begin(text.get(place..).unwrap_or_default(), distances)
                && let Some(PartsAt { rest, lengths }) = parts_at(text, place)
            {
                best = best.max(self.score(rest, &lengths, distances));
            }
        }
        best
    }

    /// Returns whether a text begins with the word but for typos.
    fn may_begin(&self, text: &str, distances: &mut Vec<usize>) -> bool {
        self.measure(text, distances);
        distances.iter().skip(self.letters.saturating_sub(self.allowed)).any(|distance| *distance <= self.allowed)
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
