//! The cost of a search, by the number of its words.

use crate::text::is_of_word;

/// Cost of a search for up to [`USUAL_WORDS`] words.
const SEARCH: usize = 2_500;
/// Cost of each further word.
pub const WORD: usize = 1_000;
/// The number of words by which most users are searched for: their names.
const USUAL_WORDS: usize = 3;
/// The maximum number of words of a search; one with more is rejected when the argument is read.
const MAX_WORDS: usize = 10;
/// Signs inside a word.
const INNER: &str = ".-'’@:_+";

/// Returns the cost of a search for the words of a text.
pub fn cost(text: &str) -> usize {
    let words = text.split(|c: char| !is_of_word(c) && !INNER.contains(c)).filter(|word| !word.is_empty());
    SEARCH + words.count().min(MAX_WORDS).saturating_sub(USUAL_WORDS) * WORD
}
