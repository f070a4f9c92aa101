//! Reads what [`Encoder`](super::encode::Encoder) has written. No length is believed that the rest of the file does not have.

use std::fmt;
use std::io::{self, Read};

use crc32fast::Hasher;
use uuid::Uuid;

use super::encode::ITEMS_AT_ONCE;
use crate::scalar::Id;

/// The size of the checksum in bytes.
const CHECKSUM: u64 = 4;

/// The reason why a file cannot be used.
#[derive(Debug)]
pub(in crate::search_index) struct Unusable(String);

impl Unusable {
    pub(in crate::search_index) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    pub(in crate::search_index) fn damaged() -> Self {
        Self::new("it is damaged")
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::new(format!("it cannot be read: {error}"))
    }
}

/// Reads a file, and computes its checksum.
pub(in crate::search_index) struct Decoder<R> {
    input: R,
    /// The number of bytes that are left before the checksum.
    rest: u64,
    checksum: Hasher,
}

impl<R: Read> Decoder<R> {
    /// Begins to read a file of this length.
    pub(in crate::search_index) fn new(input: R, length: u64) -> Self {
        Self { input, rest: length.saturating_sub(CHECKSUM), checksum: Hasher::new() }
    }

    pub(in crate::search_index) fn number(&mut self) -> Result<u64, Unusable> {
        self.reserve(1, 8)?;
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(in crate::search_index) fn bytes(&mut self) -> Result<Vec<u8>, Unusable> {
        let mut bytes = vec![0; self.count(1)?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(in crate::search_index) fn text(&mut self) -> Result<String, Unusable> {
        String::from_utf8(self.bytes()?).map_err(|_| Unusable::damaged())
    }

    pub(in crate::search_index) fn ids(&mut self) -> Result<Vec<Id>, Unusable> {
        self.array(|bytes| Id(Uuid::from_bytes(bytes)))
    }

    pub(in crate::search_index) fn u16s(&mut self) -> Result<Vec<u16>, Unusable> {
        self.array(u16::from_le_bytes)
    }

    pub(in crate::search_index) fn u32s(&mut self) -> Result<Vec<u32>, Unusable> {
        self.array(u32::from_le_bytes)
    }

    pub(in crate::search_index) fn u64s(&mut self) -> Result<Vec<u64>, Unusable> {
        self.array(u64::from_le_bytes)
    }

    /// Ends reading: compares the checksum.
    pub(in crate::search_index) fn finish(self) -> Result<(), Unusable> {
        let Self { mut input, rest, checksum } = self;
        let mut stored = [0; 4];
        input.read_exact(&mut stored)?;
        if rest > 0 || u32::from_le_bytes(stored) != checksum.finalize() {
            return Err(Unusable::damaged());
        }
        Ok(())
    }

    fn array<const N: usize, T>(&mut self, of_bytes: impl Fn([u8; N]) -> T) -> Result<Vec<T>, Unusable> {
        let count = self.count(N)?;
        let mut items = Vec::with_capacity(count);
        let mut buffer = vec![0; N * ITEMS_AT_ONCE.min(count)];
        while items.len() < count {
            let size = buffer.len().min(N * (count - items.len()));
            let bytes = buffer.get_mut(..size).unwrap_or_default();
            self.fill(bytes)?;
            items.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| of_bytes(*bytes)));
        }
        Ok(items)
    }

    /// Reads the number of items of an array. `size` is the number of bytes of each.
    fn count(&mut self, size: usize) -> Result<usize, Unusable> {
        let count = self.number()?;
        self.reserve(count, size as u64)?;
        usize::try_from(count).map_err(|_| Unusable::damaged())
    }

    /// Takes the bytes of some items from the rest of the file.
    fn reserve(&mut self, count: u64, size: u64) -> Result<(), Unusable> {
        let bytes = count.checked_mul(size).ok_or_else(Unusable::damaged)?;
        self.rest = self.rest.checked_sub(bytes).ok_or_else(Unusable::damaged)?;
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Unusable> {
        self.input.read_exact(bytes)?;
        self.checksum.update(bytes);
        Ok(())
    }
}
