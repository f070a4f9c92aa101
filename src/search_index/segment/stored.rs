//! Segments as they are in the search index file.

use std::io::{self, Read, Write};

use super::Segment;
use crate::scalar::Id;
use crate::search_index::bits::{Bits, is_permutation};
use crate::search_index::class::Classes;
use crate::search_index::compound::Compounds;
use crate::search_index::file::{Decoder, Encoder, Unusable, are_ends};
use crate::search_index::words::Words;

impl Segment {
    /// Writes the segment to a file.
    pub(in crate::search_index) fn encode<W: Write>(&self, output: &mut Encoder<W>) -> io::Result<()> {
        let (licenses, license_ends): (Vec<Id>, Vec<u32>) = self.licenses.iter().copied().unzip();
        output.ids(&self.ids)?;
        output.bytes(self.keys.as_bytes())?;
        output.u32s(&self.key_ends)?;
        output.ids(&licenses)?;
        output.u32s(&license_ends)?;
        output.u32s(&self.sort_positions)?;
        output.u32s(&self.by_id)?;
        self.active.encode(output)?;
        self.classes.encode(output)?;
        for words in [&self.letters, &self.others, &self.domains] {
            words.encode(output)?;
        }
        output.u32s(&self.domain_signatures)?;
        self.compounds.encode(output)
    }

    /// Reads a segment from a file. Its numbers may be any: they are to be [checked](Self::is_valid).
    pub(in crate::search_index) fn decode<R: Read>(input: &mut Decoder<R>) -> Result<Self, Unusable> {
        Ok(Self {
            ids: input.ids()?.into(),
            keys: input.text()?.into(),
            key_ends: input.u32s()?.into(),
            licenses: input.ids()?.into_iter().zip(input.u32s()?).collect(),
            sort_positions: input.u32s()?.into(),
            by_id: input.u32s()?.into(),
            active: Bits::decode(input)?,
            classes: Classes::decode(input)?,
            letters: Words::decode(input)?,
            others: Words::decode(input)?,
            domains: Words::decode(input)?,
            domain_signatures: input.u32s()?.into(),
            compounds: Compounds::decode(input)?,
        })
    }

    /// Returns whether every number of the segment, which was read from a file, is one that it can be.
    pub(in crate::search_index) fn is_valid(&self) -> bool {
        let users = self.ids.len();
        let words = [&self.letters, &self.others, &self.domains];
        self.key_ends.len() == users
            && are_ends(&self.key_ends, self.keys.len())
            && self.key_ends.iter().all(|end| self.keys.is_char_boundary(*end as usize))
            && self.are_licenses_valid()
            && [&self.sort_positions, &self.by_id].iter().all(|order| order.len() == users && is_permutation(order))
            && self.are_ids_sorted()
            && self.active.is_valid(users)
            && words.iter().all(|words| words.are_valid(users))
            && self.domain_signatures.len() == self.domains.iter().count()
            && self.compounds.are_valid(users)
    }

    fn are_licenses_valid(&self) -> bool {
        let is_before = |one: &(Id, u32), other: &(Id, u32)| one.0 < other.0 && one.1 < other.1;
        self.licenses.is_sorted_by(is_before)
            && self.licenses.last().map_or(0, |(_, end)| *end as usize) == self.ids.len()
    }

    fn are_ids_sorted(&self) -> bool {
        let ids = self.by_id.iter().map(|number| self.ids.get(*number as usize));
        ids.is_sorted_by(|one, other| one < other)
    }
}
