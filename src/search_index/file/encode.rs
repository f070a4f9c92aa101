//! Writes numbers and texts as they are in the search index file: little-endian, each array after its length, and a
//! checksum at the end.

use std::io::{Result, Write};

use crc32fast::Hasher;

use crate::scalar::Id;

/// The number of items of an array that are written or read at once.
pub(super) const ITEMS_AT_ONCE: usize = 16_384;

/// Writes a file, and computes its checksum.
pub(in crate::search_index) struct Encoder<W> {
    output: W,
    checksum: Hasher,
    buffer: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    /// Begins a file.
    pub(in crate::search_index) fn new(output: W) -> Self {
        Self { output, checksum: Hasher::new(), buffer: Vec::new() }
    }

    pub(in crate::search_index) fn number(&mut self, number: u64) -> Result<()> {
        self.write(&number.to_le_bytes())
    }

    pub(in crate::search_index) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.number(bytes.len() as u64)?;
        self.write(bytes)
    }

    pub(in crate::search_index) fn ids(&mut self, ids: &[Id]) -> Result<()> {
        self.array(ids, |id| id.0.into_bytes())
    }

    pub(in crate::search_index) fn u16s(&mut self, numbers: &[u16]) -> Result<()> {
        self.array(numbers, u16::to_le_bytes)
    }

    pub(in crate::search_index) fn u32s(&mut self, numbers: &[u32]) -> Result<()> {
        self.array(numbers, u32::to_le_bytes)
    }

    pub(in crate::search_index) fn u64s(&mut self, numbers: &[u64]) -> Result<()> {
        self.array(numbers, u64::to_le_bytes)
    }

    /// Ends the file with the checksum. Returns the output, to which everything is written.
    pub(in crate::search_index) fn finish(self) -> Result<W> {
        let Self { mut output, checksum, .. } = self;
        output.write_all(&checksum.finalize().to_le_bytes())?;
        output.flush()?;
        Ok(output)
    }

    fn array<const N: usize, T: Copy>(&mut self, items: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Result<()> {
        self.number(items.len() as u64)?;
        for chunk in items.chunks(ITEMS_AT_ONCE) {
            self.buffer.clear();
            for item in chunk {
                self.buffer.extend_from_slice(&to_bytes(*item));
            }
            self.checksum.update(&self.buffer);
            self.output.write_all(&self.buffer)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.checksum.update(bytes);
        self.output.write_all(bytes)
    }
}
