//! Words of a query, and the users of a segment who may have them.

use std::cmp::Reverse;
use std::ops::Range;

use memchr::memmem::Finder;

use super::score;
use super::segment::Segment;
use super::tokens;
use super::typo::TypedWord;
use super::words::{Postings, Words};
use crate::text::is_letter;

/// The maximum number of tokens of a word that are looked up. An address of a person has about five.
const MAX_PIECES: usize = 8;

/// The number of users of a token of a word up to which each user is compared with the word, without a look for a rarer token.
const FEW: usize = if cfg!(test) { 2 } else { 32 };

/// A word of a query, prepared for searches.
pub(super) struct QueryWord<'q> {
    pub(super) text: &'q str,
    finder: Finder<'q>,
    shape: Shape<'q>,
    /// `None` if no typos are allowed in the word.
    pub(super) typed: Option<TypedWord<'q>>,
}

/// The tokens that a word consists of.
enum Shape<'q> {
    Letters,
    /// A number or a sign.
    Other,
    /// Several tokens, those that tell which users may have the word.
    Several(Vec<Piece<'q>>),
}

/// A token of a word of several.
struct Piece<'q> {
    text: &'q str,
    finder: Finder<'q>,
    place: PiecePlace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PiecePlace {
    First,
    Middle,
    Last,
}

/// The way in which the users of a list match a word.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// They have the word.
    Equal,
    /// They have a word that begins with it and continues.
    Beginning,
    /// They have a word that contains it, not at its beginning.
    Inside,
    /// They have it in the domain of an email address, which gives these points.
    InDomain(u16),
    /// They may have it.
    Candidate,
}

/// Users who match a word in one way.
pub(super) struct List<'a> {
    pub(super) postings: Postings<'a>,
    pub(super) kind: Kind,
}

/// Users who match a word, without typos.
#[derive(Default)]
pub(super) struct Lists<'a> {
    pub(super) of_words: Vec<List<'a>>,
    /// The number of users in the lists.
    pub(super) users: usize,
    /// Whether every user may match, because no token tells which do.
    pub(super) may_be_anyone: bool,
}

impl<'q> QueryWord<'q> {
    /// Prepares a word.
    pub(super) fn new(text: &'q str) -> Self {
        let tokens: Vec<&str> = tokens(text).collect();
        let shape = match tokens.as_slice() {
            [only] if only.starts_with(is_letter) => Shape::Letters,
            [_] => Shape::Other,
            several => Shape::Several(pieces(several)),
        };
        Self { text, finder: Finder::new(text), shape, typed: TypedWord::new(text) }
    }

    /// Returns the users of a range who match the word without typos.
    pub(super) fn look_up<'a>(&self, segment: &'a Segment, range: &Range<u32>) -> Lists<'a> {
        self.look_up_until(segment, range, usize::MAX)
    }

    /// As [`look_up`](Self::look_up), but a part of the lists is missing once they have more than `limit` users.
    pub(super) fn look_up_until<'a>(&self, segment: &'a Segment, range: &Range<u32>, limit: usize) -> Lists<'a> {
        let words = match &self.shape {
            Shape::Letters => &segment.letters,
            Shape::Other => &segment.others,
            Shape::Several(pieces) => return candidates(segment, range, pieces),
        };
        let mut lists = Lists::default();
        for (word, place) in words.containing(&self.finder) {
            let kind = match place {
                0 if words.word(word).len() == self.text.len() => Kind::Equal,
                0 => Kind::Beginning,
                _ => Kind::Inside,
            };
            lists.add(words.postings(word, range), kind);
            if lists.users > limit {
                return lists;
            }
        }
        for (domain, _) in segment.domains.containing(&self.finder) {
            let points = score::points_in_domain(segment.domains.word(domain), self.text);
            lists.add(segment.domains.postings(domain, range), Kind::InDomain(points));
        }
        lists
    }

    /// Returns the points of a user who may have the word without typos. 0 if the user does not.
    pub(super) fn points(&self, key: &str) -> u16 {
        // This rejects most candidates, and takes a fraction of the time.
        if self.finder.find(key.as_bytes()).is_none() { 0 } else { score::points_of_word(key, self.text, false) }
    }

    /// Returns the points of a user who may have the word with or without typos. 0 if the user does not.
    pub(super) fn points_with_typos(&self, key: &str, distances: &mut Vec<usize>) -> u16 {
        match (self.points(key), &self.typed) {
            (0, Some(typed)) => score::points(typed.score_in_key(key, distances)),
            (points, _) => points,
        }
    }
}

impl<'a> Lists<'a> {
    fn add(&mut self, postings: Postings<'a>, kind: Kind) {
        if !postings.users.is_empty() {
            self.users += postings.users.len();
            self.of_words.push(List { postings, kind });
        }
    }
}

/// Returns the tokens that tell which users may have a word: the longest ones, since each may be looked up. Full stops are not
/// indexed in addresses, nor are the `@` before domains.
fn pieces<'q>(tokens: &[&'q str]) -> Vec<Piece<'q>> {
    let last = tokens.len().saturating_sub(1);
    let piece = |(number, text): (usize, &&'q str)| {
        let place = match number {
            0 => PiecePlace::First,
            number if number == last => PiecePlace::Last,
            _ => PiecePlace::Middle,
        };
        Piece { text, finder: Finder::new(*text), place }
    };
    let indexed = tokens.iter().enumerate().filter(|(_, text)| ![".", "@"].contains(*text));
    let mut pieces: Vec<Piece<'q>> = indexed.map(piece).collect();
    // The rarest ones probably come first: a digit tells as much as two letters.
    let digits = |text: &str| text.chars().filter(|c| c.is_numeric()).count();
    pieces.sort_by_key(|piece| Reverse(piece.text.len() + digits(piece.text)));
    pieces.truncate(MAX_PIECES);
    pieces
}

/// Returns the users who have one of the tokens of a word: the first token that few users have, or the one that the fewest have.
fn candidates<'a>(segment: &'a Segment, range: &Range<u32>, pieces: &[Piece<'_>]) -> Lists<'a> {
    let of_piece = |piece: &Piece<'_>| {
        let mut lists = Lists::default();
        let words = if piece.text.starts_with(is_letter) { &segment.letters } else { &segment.others };
        add_piece(&mut lists, words, range, piece);
        for (domain, _) in segment.domains.containing(&piece.finder) {
            lists.add(segment.domains.postings(domain, range), Kind::Candidate);
        }
        lists
    };
    let mut rarest: Option<Lists<'a>> = None;
    for piece in pieces {
        let lists = of_piece(piece);
        let is_rarer = rarest.as_ref().is_none_or(|rarest| lists.users < rarest.users);
        rarest = if is_rarer { Some(lists) } else { rarest };
        if rarest.as_ref().is_some_and(|rarest| rarest.users <= FEW) {
            break;
        }
    }
    rarest.unwrap_or_else(|| Lists { may_be_anyone: true, ..Lists::default() })
}

/// Adds the users who have a token where a word can have it: its first token may end a longer one, and its last one may begin a
/// longer one.
fn add_piece<'a>(lists: &mut Lists<'a>, words: &'a Words, range: &Range<u32>, piece: &Piece<'_>) {
    for (word, place) in words.containing(&piece.finder) {
        let text = words.word(word);
        let fits = match piece.place {
            PiecePlace::First => text.ends_with(piece.text),
            PiecePlace::Middle => text.len() == piece.text.len(),
            PiecePlace::Last => place == 0,
        };
        if fits {
            lists.add(words.postings(word, range), Kind::Candidate);
        }
    }
}
