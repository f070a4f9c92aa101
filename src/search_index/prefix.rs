//! An index of texts by their first characters. It finds the texts that begin with a typed word but for typos, without a look at
//! each text.
//!
//! The prefixes are sorted, so that those with the same first characters are adjacent. A search walks through them as through
//! a trie: it compares the first characters once for all prefixes that share them, and skips these prefixes as soon as there are
//! too many typos. No text that matches is skipped: the distance between a word and a text is at least the lowest of the distances
//! between the beginnings of the word and each beginning of the text, and that is what a comparison keeps.

use std::io::{self, Read, Write};

use super::bits::is_permutation;
use super::file::{Decoder, Encoder, Unusable, are_ends};
use super::{partition_point_near, to_u32};

/// The number of characters of a prefix.
const PREFIX_LENGTH: usize = 8;
/// The maximum number of typos in a word.
const MAX_TYPOS: usize = 2;
/// The number of characters of a word that a prefix may have, but for typos.
const COMPARED_LENGTH: usize = PREFIX_LENGTH + MAX_TYPOS;

/// Returns the prefix of a text: the codes of its first characters, and zeros after its end.
pub(super) fn prefix_of(text: &str) -> u64 {
    let mut codes = [0; PREFIX_LENGTH];
    for (code, c) in codes.iter_mut().zip(text.chars()) {
        *code = code_of(c);
    }
    u64::from_be_bytes(codes)
}

/// Returns the code of a character, which is not 0. Others may have the same code, so that there are at most as many typos
/// between codes as between characters.
fn code_of(c: char) -> u8 {
    match u8::try_from(c) {
        Ok(ascii @ 1..=0x7f) => ascii,
        _ => u8::try_from(u32::from(c).wrapping_mul(0x9e37_79b1) >> 25).unwrap_or_default() | 0x80,
    }
}

/// The first characters of a typed word, prepared for comparisons with prefixes.
pub(super) struct TypedPrefix {
    first: u8,
    allowed: usize,
    /// The places of each code in the word, a bit for each place.
    places: [u16; 256],
    /// The bits of the numbers of characters that the word has, 0 included.
    lengths: u16,
    /// The bit of the number of all characters of the word. 0 if no prefix is so long.
    whole: u16,
}

/// The comparison of a word with a beginning of a prefix.
#[derive(Clone, Copy)]
struct Comparison {
    /// The numbers of characters of the word that the beginning equals with no typo, with at most one, and with at most two; a
    /// bit for each number.
    lengths: [u16; 3],
    /// The first two of `lengths` for the beginning without its last character.
    lengths_before: [u16; 2],
    /// The places of the last character in the word.
    last: u16,
    /// The lowest number of typos between the whole word and this or a shorter beginning. `None` if there are too many.
    typos_of_whole: Option<usize>,
}

impl TypedPrefix {
    /// Prepares a word in which some typos are allowed, at most two.
    pub(super) fn new(word: &str, allowed: usize) -> Self {
        let mut places = [0_u16; 256];
        for (place, c) in word.chars().enumerate().take(COMPARED_LENGTH) {
            if let Some(places) = places.get_mut(usize::from(code_of(c))) {
                *places |= 1 << place;
            }
        }
        let letters = word.chars().count();
        let (lengths, whole) =
            if letters <= COMPARED_LENGTH { ((2_u16 << letters) - 1, 1_u16 << letters) } else { (u16::MAX, 0) };
        Self { first: word.chars().next().map_or(0, code_of), allowed, places, lengths, whole }
    }

    /// Returns the comparison with no characters.
    fn begin(&self) -> Comparison {
        let lengths = [0b1, 0b11 & self.lengths, 0b111 & self.lengths];
        Comparison { lengths, lengths_before: [0; 2], last: 0, typos_of_whole: None }
    }

    /// Returns the comparison with one more character, by the recurrence of the optimal string alignment distance, for all
    /// beginnings of the word at once.
    fn compare_next(&self, before: &Comparison, code: u8) -> Comparison {
        if code == 0 {
            return Comparison { lengths: [0; 3], ..*before };
        }
        let places = self.places.get(usize::from(code)).copied().unwrap_or_default();
        let swapped = places & (before.last >> 1);
        let [exact, one, two] = before.lengths;
        let [exact_before, one_before] = before.lengths_before;
        let next_exact = (exact & places) << 1;
        let with_typo = |same: u16, fewer: u16, next_fewer: u16, fewer_before: u16| {
            let (added, missing, different) = (fewer, next_fewer << 1, fewer << 1);
            let reached = ((same & places) << 1) | added | missing | different | ((fewer_before & swapped) << 2);
            reached & self.lengths
        };
        let next_one = with_typo(one, exact, next_exact, exact_before);
        let next_two = with_typo(two, one, next_one, one_before);
        let lengths = [next_exact, next_one, next_two];
        let typos_now = lengths.iter().take(self.allowed + 1).position(|lengths| lengths & self.whole != 0);
        let typos_of_whole = typos_now.into_iter().chain(before.typos_of_whole).min();
        Comparison { lengths, lengths_before: [exact, one], last: places, typos_of_whole }
    }

    /// Returns the lowest number of typos that there may be between the word and a beginning of a text, by a comparison with the
    /// first characters of the text. `None` if there are too many.
    fn least_typos(&self, comparison: &Comparison) -> Option<usize> {
        let typos_so_far = comparison.lengths.iter().take(self.allowed + 1).position(|lengths| *lengths != 0);
        typos_so_far.into_iter().chain(comparison.typos_of_whole).min()
    }
}

/// Items by the prefixes of their texts.
#[derive(Default)]
pub(super) struct PrefixIndex {
    /// The distinct prefixes, in order.
    prefixes: Box<[u64]>,
    /// The end of the items of each prefix.
    ends: Box<[u32]>,
    /// The items, in ascending order for each prefix.
    items: Box<[u32]>,
}

/// Items whose texts may begin with a typed word but for typos.
#[derive(Clone, Copy)]
pub(super) struct SimilarItems<'a> {
    /// The items, in ascending order.
    pub(super) items: &'a [u32],
    /// The lowest number of typos that there may be.
    pub(super) least_typos: usize,
    /// Whether the texts certainly begin with another character than the word.
    pub(super) differs_first: bool,
}

impl PrefixIndex {
    /// Returns an index of items by their prefixes. The items are numbers from 0.
    pub(super) fn new(prefixes: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Vec<(u64, u32)> = prefixes.zip(0..).collect();
        sorted.sort_unstable();
        let (mut distinct, mut ends) = (Vec::new(), Vec::new());
        let mut end = 0;
        for group in sorted.chunk_by(|(one, _), (other, _)| one == other) {
            end += group.len();
            distinct.extend(group.first().map(|(prefix, _)| *prefix));
            ends.push(to_u32(end));
        }
        Self {
            prefixes: distinct.into_boxed_slice(),
            ends: ends.into_boxed_slice(),
            items: sorted.into_iter().map(|(_, item)| item).collect(),
        }
    }

    /// Returns the items whose texts may begin with a word but for typos.
    pub(super) fn similar<'a>(&'a self, word: &'a TypedPrefix) -> Walk<'a> {
        Walk { index: self, word, place: 0, prefix: 0, comparisons: vec![word.begin()] }
    }

    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        12 * self.prefixes.len() + 4 * self.items.len()
    }

    pub(super) fn encode<W: Write>(&self, output: &mut Encoder<W>) -> io::Result<()> {
        output.u64s(&self.prefixes)?;
        output.u32s(&self.ends)?;
        output.u32s(&self.items)
    }

    pub(super) fn decode<R: Read>(input: &mut Decoder<R>) -> Result<Self, Unusable> {
        let (prefixes, ends, items) = (input.u64s()?, input.u32s()?, input.u32s()?);
        Ok(Self { prefixes: prefixes.into(), ends: ends.into(), items: items.into() })
    }

    /// Returns whether the index, which was read from a file, is one of so many items.
    pub(super) fn is_valid(&self, items: usize) -> bool {
        self.prefixes.is_sorted()
            && self.ends.len() == self.prefixes.len()
            && are_ends(&self.ends, items)
            && self.items.len() == items
            && is_permutation(&self.items)
    }

    /// Returns the items of the prefix at a place.
    fn items_at(&self, place: usize) -> &[u32] {
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.ends.get(place).map_or(0, |end| *end as usize);
        self.items.get(start..end).unwrap_or_default()
    }
}

/// A walk through an index, in search of a word.
pub(super) struct Walk<'a> {
    index: &'a PrefixIndex,
    word: &'a TypedPrefix,
    /// The place of the next prefix.
    place: usize,
    /// The prefix that was compared last.
    prefix: u64,
    /// The comparisons with its beginnings: with no characters, with one, and so on, as far as they went.
    comparisons: Vec<Comparison>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = SimilarItems<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let prefix = *self.index.prefixes.get(self.place)?;
            if let Some(least_typos) = self.compare(prefix) {
                let items = self.index.items_at(self.place);
                self.place += 1;
                let differs_first = prefix.to_be_bytes().first() != Some(&self.word.first);
                return Some(SimilarItems { items, least_typos, differs_first });
            }
            self.skip();
        }
    }
}

impl Walk<'_> {
    /// Compares the word with a prefix, up to the character with which there are too many typos.
    fn compare(&mut self, prefix: u64) -> Option<usize> {
        let shared = (prefix ^ self.prefix).leading_zeros() as usize / 8;
        self.prefix = prefix;
        self.comparisons.truncate(shared + 1);
        let compared = self.comparisons.len().saturating_sub(1);
        let mut comparison = *self.comparisons.last()?;
        for code in prefix.to_be_bytes().into_iter().skip(compared) {
            comparison = self.word.compare_next(&comparison, code);
            self.comparisons.push(comparison);
            self.word.least_typos(&comparison)?;
        }
        self.word.least_typos(&comparison)
    }

    /// Skips the prefixes that begin with the characters which were compared.
    fn skip(&mut self) {
        let compared = self.comparisons.len().saturating_sub(1).max(1);
        let shift = 8 * PREFIX_LENGTH.saturating_sub(compared);
        let beginning = self.prefix >> shift;
        let rest = self.index.prefixes.get(self.place..).unwrap_or_default();
        self.place += partition_point_near(rest, |prefix| *prefix >> shift == beginning).max(1);
    }
}
