//! Sets of small numbers.

use std::io::{self, Read, Write};

use super::file::{Decoder, Encoder, Unusable};

/// A set of numbers below a limit, a bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Returns an empty set for the numbers below `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self(vec![0; limit.div_ceil(64)])
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    /// Adds a number; returns false if the set had it already.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        let Some(bits) = self.0.get_mut(number as usize / 64) else { return false };
        let is_new = *bits >> (number % 64) & 1 == 0;
        *bits |= 1 << (number % 64);
        is_new
    }

    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * 8
    }

    pub(super) fn encode<W: Write>(&self, output: &mut Encoder<W>) -> io::Result<()> {
        output.u64s(&self.0)
    }

    pub(super) fn decode<R: Read>(input: &mut Decoder<R>) -> Result<Self, Unusable> {
        Ok(Self(input.u64s()?))
    }

    /// Returns whether the set, which was read from a file, is one for the numbers below `limit`.
    pub(super) fn is_valid(&self, limit: usize) -> bool {
        self.0.len() == limit.div_ceil(64)
    }
}

/// Returns whether numbers are those below their count, each once.
pub(super) fn is_permutation(numbers: &[u32]) -> bool {
    let mut seen = Bits::new(numbers.len());
    numbers.iter().all(|number| (*number as usize) < numbers.len() && seen.insert(*number))
}
