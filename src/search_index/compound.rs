//! The parts of texts that consist of several tokens, such as `anna.smith42` and its `smith42`. A typed word may equal such a part
//! but for typos, although it resembles none of the tokens. Most of these parts belong to a single user, so they are not words,
//! but places in the users' search keys.

use std::io::{self, Read, Write};
use std::ops::Range;

use super::fields::{SearchedText, texts};
use super::file::{Decoder, Encoder, Unusable};
use super::prefix::{PrefixIndex, SimilarItems, prefix_of};
use super::score;
use super::typo::{PartsAt, TypedWord, parts_at, places_of_parts, signature_of};
use super::{is_token, segment, to_u32};

/// The maximum number of places of which each is compared with a typed word. If there are more, their prefixes are compared.
const MAX_SCANNED: usize = if cfg!(test) { 20 } else { 2_000 };
/// The maximum time that the comparison of the prefixes takes, as a multiple of the time that a place takes.
const WALK_COST: usize = 150_000;

/// The places at which parts of several tokens begin.
#[derive(Default)]
pub(super) struct Compounds {
    /// The users, in ascending order.
    users: Box<[u32]>,
    /// The place in the user's search key.
    places: Box<[u16]>,
    /// The number of characters of the shortest part of several tokens that begins at the place.
    shortest: Box<[u8]>,
    signatures: Box<[u32]>,
    /// The places by the prefixes of the texts from there.
    prefixes: PrefixIndex,
}

/// A place at which a typed word may be but for typos.
pub(super) struct SimilarPlace {
    pub(super) user: u32,
    /// The place in the user's search key.
    pub(super) place: usize,
    /// The highest number of points that the user may have for a part of several tokens at the place.
    pub(super) max_points: u16,
}

impl Compounds {
    /// Returns the places at which a typed word may be but for typos, for the users of a range.
    pub(super) fn similar<'a>(
        &'a self,
        typed: &'a TypedWord<'_>,
        range: &Range<u32>,
    ) -> impl Iterator<Item = SimilarPlace> + 'a {
        let within = segment::within(&self.users, range);
        let is_scanned = within.len() <= MAX_SCANNED;
        let scanned = is_scanned.then(|| self.scan(typed, within.clone())).into_iter().flatten();
        let entries = to_u32(within.start)..to_u32(within.end);
        let walked = (!is_scanned).then(|| self.walk(typed, entries)).into_iter().flatten();
        scanned.chain(walked)
    }

    /// Returns the similar places in a range, by a look at each place.
    fn scan<'a>(&'a self, typed: &'a TypedWord<'_>, within: Range<usize>) -> impl Iterator<Item = SimilarPlace> + 'a {
        let signatures = self.signatures.get(within.clone()).unwrap_or_default().iter();
        let similar = within.zip(signatures).filter(move |(_, signature)| typed.may_match(**signature));
        similar.filter_map(move |(entry, _)| self.similar_place(typed, entry, 0, false))
    }

    /// Returns the similar places in a range, by their prefixes.
    fn walk<'a>(&'a self, typed: &'a TypedWord<'_>, entries: Range<u32>) -> impl Iterator<Item = SimilarPlace> + 'a {
        self.prefixes.similar(typed.prefix()).flat_map(move |similar| {
            let SimilarItems { items, least_typos, differs_first } = similar;
            let inside = items.get(segment::within(items, &entries)).unwrap_or_default().iter();
            inside.filter_map(move |entry| self.similar_place(typed, *entry as usize, least_typos, differs_first))
        })
    }

    /// Returns a place if a part of several tokens that begins there may equal a typed word with so many typos or more. The parts
    /// of one token need not be looked at: they are words of the user, in the same field.
    fn similar_place(
        &self,
        typed: &TypedWord<'_>,
        entry: usize,
        least_typos: usize,
        differs_first: bool,
    ) -> Option<SimilarPlace> {
        let max_score = typed.max_score(usize::from(*self.shortest.get(entry)?), least_typos, differs_first)?;
        let (user, place) = self.users.get(entry).zip(self.places.get(entry))?;
        Some(SimilarPlace { user: *user, place: usize::from(*place), max_points: score::points(max_score) })
    }

    /// Returns the time that [`similar`](Self::similar) takes for the users of a range, as a multiple of the time that a place
    /// takes.
    pub(super) fn cost(&self, range: &Range<u32>) -> usize {
        segment::within(&self.users, range).len().min(WALK_COST)
    }

    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.users.len() * 11 + self.prefixes.bytes()
    }

    pub(super) fn encode<W: Write>(&self, output: &mut Encoder<W>) -> io::Result<()> {
        output.u32s(&self.users)?;
        output.u16s(&self.places)?;
        output.bytes(&self.shortest)?;
        output.u32s(&self.signatures)?;
        self.prefixes.encode(output)
    }

    pub(super) fn decode<R: Read>(input: &mut Decoder<R>) -> Result<Self, Unusable> {
        Ok(Self {
            users: input.u32s()?.into(),
            places: input.u16s()?.into(),
            shortest: input.bytes()?.into(),
            signatures: input.u32s()?.into(),
            prefixes: PrefixIndex::decode(input)?,
        })
    }

    /// Returns whether the compounds, which were read from a file, are those of so many users.
    pub(super) fn are_valid(&self, users: usize) -> bool {
        let count = self.users.len();
        [self.places.len(), self.shortest.len(), self.signatures.len()].iter().all(|length| *length == count)
            && self.users.is_sorted()
            && self.users.last().is_none_or(|last| (*last as usize) < users)
            && self.prefixes.is_valid(count)
    }
}

/// The compounds of a segment that is being built. Users are added in ascending order.
#[derive(Default)]
pub(super) struct CompoundsBuilder {
    users: Vec<u32>,
    places: Vec<u16>,
    shortest: Vec<u8>,
    signatures: Vec<u32>,
    prefixes: Vec<u64>,
}

impl CompoundsBuilder {
    /// Adds the compounds of a user's search key.
    pub(super) fn add(&mut self, user: u32, key: &str) {
        let username = key.split('\n').next().unwrap_or_default();
        let mut last_address = "";
        for SearchedText { text, start, is_address, .. } in texts(key) {
            // The domain is a word of its own, and its parts are compared for all its users at once.
            let end = if is_address { text.rfind('@').unwrap_or(text.len()) } else { text.len() };
            if is_address && text == last_address {
                continue;
            }
            let local = text.get(..end).unwrap_or_default();
            // The username scores at least as much as the same text in an address, except for the address as a whole.
            let is_username = is_address && local == username;
            for place in places_of_parts(local).take_while(|place| *place == 0 || !is_username) {
                self.add_place(user, key, start + place);
            }
            last_address = if is_address { text } else { last_address };
        }
    }

    fn add_place(&mut self, user: u32, key: &str, place: usize) {
        let Some(PartsAt { rest, lengths }) = parts_at(key, place) else { return };
        let is_compound = |length: &usize| {
            let end = rest.char_indices().nth(*length).map_or(rest.len(), |(end, _)| end);
            *length > 0 && !is_token(rest.get(..end).unwrap_or_default())
        };
        let Some(shortest) = lengths.into_iter().filter(is_compound).min() else { return };
        let Ok(place) = u16::try_from(place) else { return };
        self.users.push(user);
        self.places.push(place);
        self.shortest.push(u8::try_from(shortest).unwrap_or(u8::MAX));
        self.signatures.push(signature_of(rest));
        self.prefixes.push(prefix_of(rest));
    }

    pub(super) fn finish(self) -> Compounds {
        Compounds {
            users: self.users.into_boxed_slice(),
            places: self.places.into_boxed_slice(),
            shortest: self.shortest.into_boxed_slice(),
            signatures: self.signatures.into_boxed_slice(),
            prefixes: PrefixIndex::new(self.prefixes.into_iter()),
        }
    }
}
