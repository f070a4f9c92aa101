//! The file of a backup: a tar archive with the manifest, the database and a checksum of all bytes before it, in this order.
//!
//! Entries are told by their names and places alone. Names are compared and never used as paths.

use std::io::{self, Read, Write};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::manifest::{Manifest, Part};

/// The name of the manifest in the archive.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the checksum in the archive.
pub(super) const CHECKSUM: &str = "checksum";
/// The length of a block of a tar archive in bytes.
pub(super) const BLOCK: usize = 512;
/// The length of the buffers of files.
pub(super) const BUFFER: usize = 256 * 1024;

/// A writer that hashes what it writes.
pub(super) struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> HashingWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    /// Returns the SHA-256 of what was written, in hexadecimal.
    pub(super) fn digest(self) -> String {
        hex::encode(self.hasher.finalize())
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Returns the length and the SHA-256 of a part.
pub(super) fn measure(name: &str, mut from: impl Read) -> io::Result<Part> {
    let mut hashing = HashingWriter::new(io::sink());
    let size = copy(&mut from, &mut hashing)?;
    Ok(Part { name: name.to_owned(), size, sha256: hashing.digest() })
}

/// Copies everything, in large pieces.
pub(super) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..length).unwrap_or_default())?;
        copied += length as u64;
    }
}

/// Writes an archive, and returns the inner writer.
pub(super) fn write<W: Write>(to: W, manifest: &Manifest, database: impl Read) -> io::Result<W> {
    let mut builder = Builder::new(HashingWriter::new(to));
    let json = serde_json::to_vec_pretty(manifest)?;
    builder.append(&header(MANIFEST, json.len() as u64, manifest.created_at)?, json.as_slice())?;
    let part = manifest.parts.first().ok_or_else(|| io::Error::other("a manifest without parts"))?;
    builder.append(&header(&part.name, part.size, manifest.created_at)?, database.take(part.size))?;
    let header = header(CHECKSUM, BLOCK as u64, manifest.created_at)?;
    let hasher = builder.get_ref().hasher.clone().chain_update(header.as_bytes());
    builder.append(&header, checksum(hasher).as_slice())?;
    Ok(builder.into_inner()?.inner)
}

fn header(name: &str, size: u64, at: DateTime<Utc>) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(at.timestamp()).unwrap_or_default());
    header.set_cksum();
    Ok(header)
}

/// Returns the content of the checksum, from the hash of everything before it. It fills a block, so that no byte of the archive
/// is without meaning.
pub(super) fn checksum(hasher: Sha256) -> Vec<u8> {
    format!("{:<width$}\n", hex::encode(hasher.finalize()), width = BLOCK - 1).into_bytes()
}
