//! The parts of texts that consist of several tokens, such as `anna.smith42` and its `smith42`. A typed word may equal such a part
//! but for typos, although it resembles none of the tokens. Most of these parts belong to a single user, so they are not words,
//! but places in the users' search keys.

use std::ops::Range;

use super::fields::{SearchedText, texts};
use super::typo::{PartsAt, TypedWord, parts_at, places_of_parts, signature_of};
use super::{is_token, segment};

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
}

impl Compounds {
    /// Returns the places at which a typed word may be but for typos, for the users of a range: users, and places in their search
    /// keys.
    pub(super) fn similar<'a>(
        &'a self,
        typed: &'a TypedWord<'_>,
        range: &Range<u32>,
    ) -> impl Iterator<Item = (u32, usize)> + 'a {
        let within = segment::within(&self.users, range);
        let longest = typed.longest().unwrap_or(usize::from(u8::MAX));
        let signatures = self.signatures.get(within.clone()).unwrap_or_default().iter();
        let similar = within.zip(signatures).filter(move |(_, signature)| typed.may_match(**signature));
        similar.filter_map(move |(entry, _)| {
            let is_short = self.shortest.get(entry).is_some_and(|shortest| usize::from(*shortest) <= longest);
            let place = self.places.get(entry).filter(|_| is_short)?;
            Some((*self.users.get(entry)?, usize::from(*place)))
        })
    }

    /// Returns the number of places of the users of a range.
    pub(super) fn count(&self, range: &Range<u32>) -> usize {
        segment::within(&self.users, range).len()
    }

    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.users.len() * 11
    }
}

/// The compounds of a segment that is being built. Users are added in ascending order.
#[derive(Default)]
pub(super) struct CompoundsBuilder {
    users: Vec<u32>,
    places: Vec<u16>,
    shortest: Vec<u8>,
    signatures: Vec<u32>,
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
    }

    pub(super) fn finish(self) -> Compounds {
        Compounds {
            users: self.users.into_boxed_slice(),
            places: self.places.into_boxed_slice(),
            shortest: self.shortest.into_boxed_slice(),
            signatures: self.signatures.into_boxed_slice(),
        }
    }
}
