//! Reads the file of a backup, and checks every byte of it.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::path::Path;
use std::rc::Rc;

use age::secrecy::SecretString;
use anyhow::{Context as _, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use tar::{Archive, Entries, Entry, EntryType};

use super::archive::{BLOCK, BUFFER, CHECKSUM, HashingWriter, MANIFEST, checksum, copy};
use super::encryption::{DAMAGED, MAGIC, decrypt};
use super::manifest::{Manifest, Part};

/// The maximum length of a manifest in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// The place and the text of the mark of a tar archive.
const TAR_MARK: (std::ops::Range<usize>, &[u8]) = (257..262, b"ustar");
const TRUNCATED: &str = "it ends too early: the file is truncated";

/// Returns whether a backup is encrypted. False for a file that is no backup.
///
/// # Errors
/// That the file cannot be read.
pub fn is_encrypted(file: &Path) -> anyhow::Result<bool> {
    let opened = File::open(file).with_context(|| file.display().to_string())?;
    let mut beginning = Vec::with_capacity(MAGIC.len());
    opened.take(MAGIC.len() as u64).read_to_end(&mut beginning).with_context(|| file.display().to_string())?;
    Ok(beginning == MAGIC)
}

/// Reads a backup to its end, and writes the database in it to `sink`. Only if this succeeds is what was written the database as
/// it was backed up.
///
/// # Errors
/// The errors of the file.
pub(super) fn read(file: &Path, passphrase: Option<&SecretString>, sink: &mut dyn Write) -> anyhow::Result<Manifest> {
    let source = open(file, passphrase);
    let read = source.and_then(|source| {
        let progress = Progress::default();
        read_archive(Tracked { source, progress: progress.clone() }, &progress, sink)
    });
    read.with_context(|| format!("{} cannot be used as a backup", file.display()))
}

/// How far a file has been read.
#[derive(Clone, Default)]
struct Progress {
    hasher: Rc<RefCell<Sha256>>,
    has_ended: Rc<Cell<bool>>,
}

/// A reader that tells its progress.
struct Tracked {
    source: Box<dyn Read>,
    progress: Progress,
}

impl Read for Tracked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.progress.hasher.borrow_mut().update(buffer.get(..length).unwrap_or_default());
        if length == 0 && !buffer.is_empty() {
            self.progress.has_ended.set(true);
        }
        Ok(length)
    }
}

fn open(file: &Path, passphrase: Option<&SecretString>) -> anyhow::Result<Box<dyn Read>> {
    let opened = File::open(file)?;
    ensure!(opened.metadata()?.is_file(), "it is not a file");
    let mut reader = BufReader::with_capacity(BUFFER, opened);
    let beginning = reader.fill_buf()?;
    if beginning.starts_with(MAGIC) {
        let passphrase = passphrase.context(
            "it is encrypted: give its passphrase with --passphrase-file or ROSTER_PASSPHRASE, or run this at a terminal",
        )?;
        return Ok(Box::new(decrypt(reader, passphrase)?));
    }
    let (place, mark) = TAR_MARK;
    ensure!(beginning.get(place) == Some(mark), "it is not a backup of Roster, or its beginning is damaged");
    Ok(Box::new(reader))
}

fn read_archive(source: Tracked, progress: &Progress, sink: &mut dyn Write) -> anyhow::Result<Manifest> {
    let mut archive = Archive::new(source);
    let manifest = read_entries(&mut archive, progress, sink).map_err(|error| {
        // Whatever was missed, it may be in the part of the file that is not there.
        if progress.has_ended.get() { anyhow!(TRUNCATED) } else { error }
    })?;
    // One of the two empty blocks at the end has been read.
    let mut rest = Vec::new();
    archive.into_inner().take(BLOCK as u64 + 1).read_to_end(&mut rest)?;
    ensure!(rest.len() >= BLOCK, TRUNCATED);
    ensure!(rest == [0; BLOCK], "it is damaged: there is something after its end");
    Ok(manifest)
}

fn read_entries(archive: &mut Archive<Tracked>, progress: &Progress, sink: &mut dyn Write) -> anyhow::Result<Manifest> {
    let mut entries = archive.entries()?.raw(true);
    let entry = next(&mut entries, MANIFEST)?;
    ensure!(entry.size() <= MAX_MANIFEST, "its manifest is too long");
    let mut json = Vec::new();
    entry.take(MAX_MANIFEST).read_to_end(&mut json)?;
    let manifest = Manifest::parse(&json)?;
    for part in &manifest.parts {
        read_part(&mut next(&mut entries, &part.name)?, part, sink)?;
    }
    let entry = next(&mut entries, CHECKSUM)?;
    let expected = checksum(progress.hasher.borrow().clone());
    let mut actual = Vec::new();
    entry.take(BLOCK as u64 + 1).read_to_end(&mut actual)?;
    ensure!(actual == expected, "it is damaged: its checksum does not match its content");
    match entries.next() {
        None => Ok(manifest),
        Some(Ok(_)) => bail!("it contains an unexpected entry after its checksum"),
        Some(Err(error)) => Err(damaged(&error)),
    }
}

/// Returns the next entry of the archive, which must have this name.
fn next<'a>(entries: &mut Entries<'a, Tracked>, name: &str) -> anyhow::Result<Entry<'a, Tracked>> {
    let entry = match entries.next() {
        None => bail!("its part {name:?} is missing"),
        Some(entry) => entry.map_err(|error| damaged(&error))?,
    };
    if *entry.path_bytes() != *name.as_bytes() {
        let actual = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        bail!("its part {name:?} is missing: there is an entry {actual:?} in its place, which was not unpacked");
    }
    let kind = entry.header().entry_type();
    ensure!(kind == EntryType::Regular, "its part {name:?} is not a regular file ({kind:?})");
    Ok(entry)
}

fn read_part(entry: &mut Entry<'_, Tracked>, part: &Part, sink: &mut dyn Write) -> anyhow::Result<()> {
    let Part { name, size, sha256 } = part;
    ensure!(entry.size() == *size, "its part {name:?} has {} bytes, the manifest says {size}", entry.size());
    let mut hashing = HashingWriter::new(sink);
    let copied = copy(entry, &mut hashing)?;
    ensure!(copied == *size, TRUNCATED);
    ensure!(hashing.digest() == *sha256, "its part {name:?} is damaged: its SHA-256 is not the one in the manifest");
    Ok(())
}

fn damaged(error: &io::Error) -> anyhow::Error {
    let text = error.to_string();
    if text == DAMAGED { anyhow!(text) } else { anyhow!("it is damaged: {text}") }
}
