//! The words of a segment, and for each word the users who have it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::ops::Range;

use memchr::memchr_iter;
use memchr::memmem::Finder;

use super::file::{Decoder, Encoder, Unusable, are_ends};
use super::prefix::{PrefixIndex, prefix_of};
use super::typo::TypedWord;
use super::{partition_point_near, segment, to_u32};

/// Some words, and for each the users who have it.
#[derive(Default)]
pub(super) struct Words {
    /// The words, each followed by a line break.
    text: Box<str>,
    /// The end of each word in the text, before its line break.
    ends: Box<[u32]>,
    prefixes: PrefixIndex,
    /// The end of the postings of each word.
    posting_ends: Box<[u32]>,
    /// The users of the postings, in ascending order for each word.
    users: Box<[u32]>,
    /// The classes of the postings.
    classes: Box<[u8]>,
}

/// Users who have a word, and the classes of their postings.
#[derive(Clone, Copy)]
pub(super) struct Postings<'a> {
    pub(super) users: &'a [u32],
    pub(super) classes: &'a [u8],
}

impl Words {
    /// Returns the words that contain a text, each with the place of the first occurrence.
    pub(super) fn containing<'a>(&'a self, finder: &'a Finder<'_>) -> impl Iterator<Item = (usize, usize)> + 'a {
        let (mut from, mut first) = (0_usize, 0_usize);
        std::iter::from_fn(move || {
            let at = from + finder.find(self.text.as_bytes().get(from..)?)?;
            first += partition_point_near(self.ends.get(first..)?, |end| (*end as usize) < at);
            let (word, start) = (first, self.start(first));
            from = *self.ends.get(first)? as usize + 1;
            first += 1;
            Some((word, at - start))
        })
    }

    /// Returns the words that may equal a typed word but for typos, or begin with it.
    pub(super) fn similar<'a>(&'a self, typed: &'a TypedWord<'_>) -> impl Iterator<Item = usize> + 'a {
        self.prefixes.similar(typed.prefix()).flat_map(|similar| similar.items).map(|word| *word as usize)
    }

    /// Returns the texts of the words, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator('\n')
    }

    /// Returns the text of a word.
    pub(super) fn word(&self, word: usize) -> &str {
        let end = self.ends.get(word).map_or(0, |end| *end as usize);
        self.text.get(self.start(word)..end).unwrap_or_default()
    }

    /// Returns the postings of a word for the users of a range.
    pub(super) fn postings(&self, word: usize, range: &Range<u32>) -> Postings<'_> {
        let start = word.checked_sub(1).and_then(|before| self.posting_ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.posting_ends.get(word).map_or(0, |end| *end as usize);
        let users = self.users.get(start..end).unwrap_or_default();
        let within = segment::within(users, range);
        Postings {
            users: users.get(within.clone()).unwrap_or_default(),
            classes: self.classes.get(start..end).and_then(|classes| classes.get(within)).unwrap_or_default(),
        }
    }

    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + 4 * (2 * self.ends.len() + self.users.len()) + self.classes.len() + self.prefixes.bytes()
    }

    pub(super) fn encode<W: Write>(&self, output: &mut Encoder<W>) -> io::Result<()> {
        output.bytes(self.text.as_bytes())?;
        self.prefixes.encode(output)?;
        output.u32s(&self.posting_ends)?;
        output.u32s(&self.users)?;
        output.bytes(&self.classes)
    }

    pub(super) fn decode<R: Read>(input: &mut Decoder<R>) -> Result<Self, Unusable> {
        let text = input.text()?;
        Ok(Self {
            ends: memchr_iter(b'\n', text.as_bytes()).map(to_u32).collect(),
            text: text.into(),
            prefixes: PrefixIndex::decode(input)?,
            posting_ends: input.u32s()?.into(),
            users: input.u32s()?.into(),
            classes: input.bytes()?.into(),
        })
    }

    /// Returns whether the words, which were read from a file, are those of so many users.
    pub(super) fn are_valid(&self, users: usize) -> bool {
        (self.text.is_empty() || self.text.ends_with('\n'))
            && self.prefixes.is_valid(self.ends.len())
            && self.posting_ends.len() == self.ends.len()
            && are_ends(&self.posting_ends, self.users.len())
            && self.classes.len() == self.users.len()
            && self.are_postings_valid(users)
    }

    fn are_postings_valid(&self, count: usize) -> bool {
        let mut start = 0;
        self.posting_ends.iter().all(|end| {
            let users = self.users.get(start..*end as usize).unwrap_or_default();
            start = *end as usize;
            users.is_sorted_by(|one, other| one < other) && users.last().is_none_or(|last| (*last as usize) < count)
        })
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn start(&self, word: usize) -> usize {
        word.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize + 1)
    }
}

/// A word of a user.
struct Posting {
    word: u32,
    user: u32,
    class: u8,
}

/// The words of a segment that is being built. Users are added in ascending order.
#[derive(Default)]
pub(super) struct WordsBuilder<'a> {
    numbers: HashMap<&'a str, u32>,
    words: Vec<&'a str>,
    postings: Vec<Posting>,
}

impl<'a> WordsBuilder<'a> {
    /// Returns the number of a word.
    pub(super) fn number(&mut self, word: &'a str) -> u32 {
        let next = to_u32(self.words.len());
        let number = *self.numbers.entry(word).or_insert(next);
        if number == next {
            self.words.push(word);
        }
        number
    }

    /// Adds a user who has a word.
    pub(super) fn add(&mut self, word: u32, user: u32, class: u8) {
        self.postings.push(Posting { word, user, class });
    }

    /// Returns the words.
    pub(super) fn finish(self) -> Words {
        let Self { numbers, words, postings } = self;
        drop(numbers);
        let mut text = String::with_capacity(words.iter().map(|word| word.len() + 1).sum());
        let mut ends = Vec::with_capacity(words.len());
        for word in &words {
            text.push_str(word);
            ends.push(to_u32(text.len()));
            text.push('\n');
        }
        let prefixes = PrefixIndex::new(words.iter().map(|word| prefix_of(word)));
        let mut next = starts_of(&postings, words.len());
        let (mut users, mut classes) = (vec![0; postings.len()], vec![0; postings.len()]);
        for Posting { word, user, class } in postings {
            let Some(place) = next.get_mut(word as usize) else { continue };
            if let Some((one, other)) = users.get_mut(*place as usize).zip(classes.get_mut(*place as usize)) {
                (*one, *other) = (user, class);
            }
            *place += 1;
        }
        Words {
            text: text.into_boxed_str(),
            ends: ends.into_boxed_slice(),
            prefixes,
            // After the last posting of a word is placed, the next one would be at the end of its postings.
            posting_ends: next.into_boxed_slice(),
            users: users.into_boxed_slice(),
            classes: classes.into_boxed_slice(),
        }
    }
}

/// Returns the place of the first posting of each word, in the order of the words.
fn starts_of(postings: &[Posting], words: usize) -> Vec<u32> {
    let mut counts = vec![0_u32; words];
    for posting in postings {
        if let Some(count) = counts.get_mut(posting.word as usize) {
            *count += 1;
        }
    }
    let mut total = 0;
    let starts = counts.into_iter().map(|count| {
        let start = total;
        total += count;
        start
    });
    starts.collect()
}
