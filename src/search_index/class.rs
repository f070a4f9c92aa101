//! Classes of postings: the scores that a word gives its user, for each way in which a query may match the word.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use super::file::{Decoder, Encoder, Unusable};
use super::score;

/// The points of a user who has a word, by how a query matches the word. They follow from the fields that have the word, and from
/// where it is in them. Points are scores in ten-thousandths, which all scores of a word are whole numbers of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Class {
    /// The points if the query equals the word.
    pub(super) equal: u16,
    /// The points if the word begins with the query and continues.
    pub(super) beginning: u16,
    /// The points if the word contains the query, not at its beginning.
    pub(super) inside: u16,
    /// The points of a word with typos, in percent: the weight of the field. 0 if the word is only a part of longer ones.
    pub(super) typo: u16,
}

impl Class {
    /// Returns the class of a word in a text of a field with this weight, between the rest of the text.
    pub(super) fn of(weight: f64, before: &str, after: &str) -> Self {
        let points = |score: f64| score::points(weight * score);
        Self {
            equal: points(score::score_between(before, after)),
            beginning: points(score::score_between(before, LETTER)),
            inside: points(score::score_between(LETTER, LETTER)),
            typo: if score::is_whole_run(before, after) { score::points(weight) / 100 } else { 0 },
        }
    }

    /// Returns the class of a word that a user has in two places: the better of the points.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            equal: self.equal.max(other.equal),
            beginning: self.beginning.max(other.beginning),
            inside: self.inside.max(other.inside),
            typo: self.typo.max(other.typo),
        }
    }
}

/// The rest of a word.
const LETTER: &str = "x";

/// The number that stands for every class beyond the first ones. No known directory has more than some dozens.
pub(super) const OTHER: u8 = u8::MAX;

/// The points that stand for a class which is not known, so that the user has to be looked at.
pub(super) const UNKNOWN: u16 = u16::MAX;

/// The classes of a segment, each with a number.
#[derive(Default)]
pub(super) struct Classes {
    known: Vec<Class>,
    numbers: HashMap<Class, u8>,
}

impl Classes {
    /// Returns the number of a class.
    pub(super) fn number(&mut self, class: Class) -> u8 {
        if let Some(number) = self.numbers.get(&class) {
            return *number;
        }
        let number = u8::try_from(self.known.len()).unwrap_or(OTHER);
        if number < OTHER {
            self.known.push(class);
            self.numbers.insert(class, number);
        }
        number
    }

    /// Returns the points of each class.
    pub(super) fn points(&self, of_class: impl Fn(&Class) -> u16) -> Points {
        let mut points = [UNKNOWN; 256];
        for (points, class) in points.iter_mut().zip(&self.known) {
            *points = of_class(class);
        }
        Points(points)
    }

    pub(super) fn encode<W: Write>(&self, output: &mut Encoder<W>) -> io::Result<()> {
        let points = |class: &Class| [class.equal, class.beginning, class.inside, class.typo];
        output.u16s(&self.known.iter().flat_map(points).collect::<Vec<u16>>())
    }

    pub(super) fn decode<R: Read>(input: &mut Decoder<R>) -> Result<Self, Unusable> {
        let mut classes = Self::default();
        for [equal, beginning, inside, typo] in input.u16s()?.as_chunks::<4>().0 {
            classes.number(Class { equal: *equal, beginning: *beginning, inside: *inside, typo: *typo });
        }
        Ok(classes)
    }
}

/// Points by the numbers of classes.
pub(super) struct Points([u16; 256]);

impl Points {
    /// Returns the points of a class; [`UNKNOWN`] for those that have no number of their own.
    pub(super) fn of(&self, class: u8) -> u16 {
        self.0.get(usize::from(class)).copied().unwrap_or(UNKNOWN)
    }
}
