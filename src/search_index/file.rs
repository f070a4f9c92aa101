//! The search index file: the users as they were at a position of the audit trail, so that a large directory need not be
//! read from the database at each start.
//!
//! It has all users in one segment, without those who were removed before. A file is used only if everything in it is as it was
//! written by this version, for this database.

mod decode;
mod encode;
mod sample;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub(super) use self::decode::{Decoder, Unusable};
pub(super) use self::encode::Encoder;
use super::merge::NICENESS;
use super::segment::Segment;
use super::snapshot::Snapshot;
use super::trail::TrailPosition;
use crate::background::lower_priority;
use crate::private_file::{dir_of, is_missing, restrict, sync_dir_of};

/// The name of the file in the data directory.
const FILE: &str = "roster.search-index";
/// The beginning and the end of the names of files that are being written.
const TEMPORARY_PREFIX: &str = "roster.search-index.";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// The first bytes of the file, with the version of the format.
const MAGIC: u64 = u64::from_le_bytes(*b"RosterI1");
/// The size of the buffers for reading and writing.
const BUFFER: usize = 1 << 20;

/// The search index file.
pub struct SearchIndexFile {
    path: PathBuf,
    /// The number of users from which the file is written.
    min_users: usize,
    state: Mutex<FileState>,
}

#[derive(Default)]
struct FileState {
    /// The number of times that the file was removed, or what was being written was canceled.
    removals: u64,
    /// The position of the file. `None` if there is none, or if it was not read or written by this process.
    position: Option<TrailPosition>,
}

/// Everything in the file but the users.
pub(super) struct Header {
    pub(super) fingerprint: String,
    pub(super) position: TrailPosition,
    pub(super) has_international_domain: bool,
}

/// The users of a file.
pub(super) struct SavedUsers {
    pub(super) position: TrailPosition,
    pub(super) snapshot: Snapshot,
}

impl SearchIndexFile {
    /// Returns the file in a data directory. It is written for directories of at least so many users.
    #[must_use]
    pub fn new(data_dir: &Path, min_users: usize) -> Self {
        Self { path: data_dir.join(FILE), min_users, state: Mutex::default() }
    }

    /// Removes the file, because a user who is in it was erased, or because it cannot be used. What is being written is not saved.
    pub fn remove(&self) {
        let removed = {
            let mut state = self.state();
            state.removals += 1;
            state.position = None;
            fs::remove_file(&self.path)
        };
        let removed = match removed {
            Err(error) if is_missing(&error) => Ok(()),
            removed => removed.and_then(|()| sync_dir_of(&self.path)),
        };
        if let Err(error) = removed.and(self.remove_temporary()) {
            let file = self.path.display();
            tracing::error!(%file, %error, "failed to remove the search index file, which may have names of erased users");
        }
    }

    /// Returns the number of times that the file was removed. What is written with an older number is not saved.
    pub(super) fn removals(&self) -> u64 {
        self.state().removals
    }

    /// Returns whether the file is to be written for so many users at a position, which it does not have yet. Only the position of
    /// an event tells a database from others.
    pub(super) fn is_outdated(&self, users: usize, position: &TrailPosition) -> bool {
        let is_needed = users >= self.min_users && position.seq > 0;
        is_needed && self.state().position.as_ref() != Some(position) && dir_of(&self.path).is_dir()
    }

    /// Reads the users of the file; `None` if there is no file. Removes what a process that ended has not finished.
    pub(super) fn read(&self, fingerprint: &str) -> Result<Option<SavedUsers>, Unusable> {
        self.remove_unfinished();
        restrict(&self.path);
        let file = match File::open(&self.path) {
            Err(error) if is_missing(&error) => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        let saved = decode(BufReader::with_capacity(BUFFER, file), length, fingerprint)?;
        if saved.snapshot.len() < self.min_users {
            return Err(Unusable::new("it has fewer users than need a file"));
        }
        self.state().position = Some(saved.position.clone());
        Ok(Some(saved))
    }

    /// Writes the file, unless it was removed once more since `removals` was counted. Returns whether it did.
    pub(super) fn write(&self, segment: &Segment, header: &Header, removals: u64) -> io::Result<bool> {
        if self.removals() != removals {
            return Ok(false);
        }
        let mut builder = tempfile::Builder::new();
        let temporary = builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX).tempfile_in(dir_of(&self.path))?;
        encode(BufWriter::with_capacity(BUFFER, temporary.as_file()), segment, header)?;
        temporary.as_file().sync_all()?;
        let mut state = self.state();
        if state.removals != removals {
            return Ok(false);
        }
        temporary.persist(&self.path).map_err(|error| error.error)?;
        state.position = Some(header.position.clone());
        // Others ask for the state in asynchronous tasks.
        drop(state);
        sync_dir_of(&self.path)?;
        Ok(true)
    }

    /// Cancels what is being written, because the process ends. A thread that ends with it would leave its file behind.
    pub(super) fn cancel_writing(&self) {
        self.state().removals += 1;
        self.remove_unfinished();
    }

    /// Removes what has not been finished. Logs a failure.
    fn remove_unfinished(&self) {
        if let Err(error) = self.remove_temporary() {
            tracing::warn!(%error, "failed to remove an unfinished search index file");
        }
    }

    /// Removes the files that are being written, or were when their process ended.
    fn remove_temporary(&self) -> io::Result<()> {
        let entries = match fs::read_dir(dir_of(&self.path)) {
            Err(error) if is_missing(&error) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX) {
                match fs::remove_file(entry.path()) {
                    // The process that writes it may have finished.
                    Err(error) if is_missing(&error) => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, FileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is to be written.
pub(super) struct PendingSave {
    pub(super) file: Arc<SearchIndexFile>,
    pub(super) header: Header,
    pub(super) removals: u64,
}

impl PendingSave {
    /// Writes the file with a segment of all users. Logs a failure.
    pub(super) fn write(&self, segment: &Segment) {
        let (file, users) = (self.file.path.display(), segment.len());
        match self.file.write(segment, &self.header, self.removals) {
            Ok(true) => tracing::debug!(%file, users, "saved the search index"),
            Ok(false) => tracing::debug!(%file, "canceled a save of the search index"),
            Err(error) => tracing::warn!(%file, %error, "failed to save the search index"),
        }
    }

    /// Writes the file in a thread of low priority. Returns the end of it; `None` if the system cannot start one.
    pub(super) fn start(self, segment: Arc<Segment>) -> Option<oneshot::Receiver<()>> {
        let (sender, end) = oneshot::channel();
        let write = move || {
            lower_priority(NICENESS);
            self.write(&segment);
            let _ = sender.send(());
        };
        match std::thread::Builder::new().name("search-index".to_owned()).spawn(write) {
            Ok(_) => Some(end),
            Err(error) => {
                tracing::warn!(%error, "failed to start a thread that saves the search index");
                None
            }
        }
    }
}

/// Returns the text that must be the same for a file to be used: it differs if the users or their words may, for any reason but
/// their changes.
pub(super) fn fingerprint(last_migration: &str) -> String {
    format!("{} {last_migration} {:08x}", env!("CARGO_PKG_VERSION"), sample::checksum())
}

/// Writes a file with the users of a segment.
pub(super) fn encode(output: impl Write, segment: &Segment, header: &Header) -> io::Result<()> {
    let Header { fingerprint, position, has_international_domain } = header;
    let mut output = Encoder::new(output);
    output.number(MAGIC)?;
    output.bytes(fingerprint.as_bytes())?;
    output.number(position.seq.cast_unsigned())?;
    output.bytes(&position.hash)?;
    output.number((*has_international_domain).into())?;
    segment.encode(&mut output)?;
    output.finish()?;
    Ok(())
}

/// Reads a file of this length, and checks it.
pub(super) fn decode(input: impl Read, length: u64, fingerprint: &str) -> Result<SavedUsers, Unusable> {
    let mut input = Decoder::new(input, length);
    if input.number()? != MAGIC || input.bytes()? != fingerprint.as_bytes() {
        return Err(Unusable::new("it was written by another version, or before a migration"));
    }
    let position = TrailPosition { seq: input.number()?.cast_signed(), hash: input.bytes()? };
    let has_international_domain = input.number()? != 0;
    let segment = Segment::decode(&mut input)?;
    input.finish()?;
    if !segment.is_valid() {
        return Err(Unusable::damaged());
    }
    Ok(SavedUsers { position, snapshot: Snapshot::of_segment(segment, has_international_domain) })
}

/// Returns whether numbers are the ends of ranges, one after another, of so many items.
pub(super) fn are_ends(ends: &[u32], items: usize) -> bool {
    ends.is_sorted() && ends.last().map_or(0, |end| *end as usize) == items
}
