//! Bulk import: every line is validated by the rules of the API and written in chunks. Existing records that do not differ are
//! left unchanged, so that a file may be imported again.
//!
//! A chunk passes through three stages, each of which may be busy with another one: a thread parses it and checks its fields
//! (`reader.rs`, `draft.rs`), the importer compares it with the directory (`users.rs`, `organisation.rs`), and a task writes it
//! (`batch.rs`). No stage runs a statement for each row.

mod batch;
mod draft;
mod existing;
mod format;
mod instant;
mod names;
mod organisation;
mod parse;
mod reader;
pub mod record;
mod report;
mod seen;
mod source;
mod users;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead};

use sea_orm::{EntityTrait, QueryFilter, QuerySelect};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::names::NameIndex;
use self::reader::{Chunk, Line, Lines};
use self::record::Record;
use self::seen::SeenKeys;
use crate::access::of_license;
use crate::db::{Db, Transaction};
use crate::entity::{group, institution};
use crate::error::{Error, ErrorCode, MutationError};
use crate::scalar::Id;
use crate::text;
use crate::validation::Validator;
pub use format::ForeignFormat;
pub use source::Source;

/// The number of chunks that may wait to be compared with the directory.
const CHUNKS_AHEAD: usize = 1;
/// The maximum length of a validation error in the report, in characters.
const MAX_ERROR_LENGTH: usize = 500;

/// An invalid line, with all its errors.
#[derive(Debug)]
pub struct InvalidLine {
    /// The number of the line, counted from 1.
    pub number: u64,
    /// The errors, each as `path: message`.
    pub errors: Vec<String>,
}

impl InvalidLine {
    /// Creates an entry of the report. Errors may quote the line, so they are shortened, and control characters and invisible
    /// characters are replaced.
    fn new(number: u64, errors: impl IntoIterator<Item = String>) -> Self {
        let is_printable = |c: char| !text::is_control(c) && !text::is_invisible(c);
        let printable = |c: char| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER };
        let shortened = |error: String| error.chars().take(MAX_ERROR_LENGTH).map(printable).collect();
        Self { number, errors: errors.into_iter().map(shortened).collect() }
    }
}

/// The result of the lines that were read.
#[derive(Debug, Default)]
pub struct ImportSummary {
    pub created: u64,
    /// The number of users among the created records.
    pub new_users: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub invalid: Vec<InvalidLine>,
    /// Lines that are valid except for a password hash that cannot be used; their users are imported without it.
    pub without_password: Vec<InvalidLine>,
    /// The number of weak password hashes that were imported, by family.
    pub weak_passwords: BTreeMap<&'static str, u64>,
}

/// Imports records into one license.
struct Importer<'a> {
    db: &'a Db,
    license_id: Id,
    write: bool,
    institutions: NameIndex,
    groups: NameIndex,
    seen: SeenKeys,
    summary: ImportSummary,
    /// The number of the current chunk.
    chunk: u64,
    /// The chunks that are being written, oldest first.
    writes: VecDeque<(u64, JoinHandle<Result<(), Error>>)>,
}

/// Validates a whole file without writing anything.
///
/// # Errors
/// The file cannot be read, or the database fails.
pub async fn check(
    db: &Db,
    license_id: Id,
    file: impl BufRead + Send + 'static,
    progress: impl Fn(u64),
) -> Result<ImportSummary, Error> {
    Importer::new(db, license_id, false).await?.import(Lines::new(file), progress).await
}

/// Imports a file. Invalid lines are skipped and reported.
///
/// # Errors
/// The file cannot be read, or the database fails.
pub async fn load(
    db: &Db,
    license_id: Id,
    file: impl BufRead + Send + 'static,
    progress: impl Fn(u64),
) -> Result<ImportSummary, Error> {
    Importer::new(db, license_id, true).await?.import(Lines::new(file), progress).await
}

/// Imports records that were generated instead of read from a file.
pub async fn load_records(
    db: &Db,
    license_id: Id,
    records: impl Iterator<Item = Record> + Send + 'static,
    progress: impl Fn(u64),
) -> Result<ImportSummary, Error> {
    let line = |(number, record): (u64, Record)| Ok(Line { number, position: number, record: Some(Ok(record)) });
    let lines = (1..).zip(records).map(line);
    Importer::new(db, license_id, true).await?.import(lines, progress).await
}

impl<'a> Importer<'a> {
    async fn new(db: &'a Db, license_id: Id, write: bool) -> Result<Self, Error> {
        let mut institutions = NameIndex::default();
        let rows: Vec<(Id, String, Option<String>)> = institution::Entity::find()
            .select_only()
            .columns([institution::Column::Id, institution::Column::Name, institution::Column::ExternalId])
            .filter(of_license(institution::Column::LicenseId, license_id))
            .into_tuple()
            .all(db.read())
            .await?;
        for (id, name, external_id) in rows {
            institutions.add(id, &name, external_id.as_deref());
        }
        let mut groups = NameIndex::default();
        let rows: Vec<(Id, String)> = group::Entity::find()
            .select_only()
            .columns([group::Column::Id, group::Column::Name])
            .filter(of_license(group::Column::LicenseId, license_id))
            .into_tuple()
            .all(db.read())
            .await?;
        for (id, name) in rows {
            groups.add(id, &name, None);
        }
        Ok(Self {
            db,
            license_id,
            write,
            institutions,
            groups,
            seen: SeenKeys::default(),
            summary: ImportSummary::default(),
            chunk: 0,
            writes: VecDeque::new(),
        })
    }

    /// Imports lines. Returns once everything is written.
    async fn import(
        mut self,
        lines: impl Iterator<Item = io::Result<Line>> + Send + 'static,
        progress: impl Fn(u64),
    ) -> Result<ImportSummary, Error> {
        let license_id = self.license_id;
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let reader = tokio::task::spawn_blocking(move || reader::read(lines, license_id, &sender));
        let imported = self.import_chunks(chunks, progress).await;
        let written = self.finish_writes().await;
        // It has ended, or ends because nobody receives its chunks.
        reader.await.map_err(Error::internal)?;
        imported.and(written)?;
        let mut summary = self.summary;
        summary.invalid.sort_by_key(|line| line.number);
        summary.without_password.sort_by_key(|line| line.number);
        Ok(summary)
    }

    async fn import_chunks(
        &mut self,
        mut chunks: mpsc::Receiver<Result<Chunk, Error>>,
        progress: impl Fn(u64),
    ) -> Result<(), Error> {
        while let Some(chunk) = chunks.recv().await {
            let Chunk { institutions, groups, users, invalid, position } = chunk?;
            self.chunk += 1;
            self.summary.invalid.extend(invalid);
            // Users may refer to the institutions and groups of the same chunk.
            self.import_institutions(institutions).await?;
            self.import_groups(groups).await?;
            self.import_users(users).await?;
            progress(position);
        }
        Ok(())
    }

    /// Begins the transaction of a chunk, once there is room for another one; `None` if nothing is to be written.
    #[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
    async fn begin(&mut self) -> Result<Option<Transaction>, Error> {
        if !self.write {
            return Ok(None);
        }
        self.wait_for_writes(self.db.transactions_of_load().saturating_sub(1)).await?;
        Ok(Some(self.db.begin().await?))
    }

    /// Begins a transaction as [`begin`](Self::begin) after all others, which may hold locks of the rows that it changes.
    async fn begin_alone(&mut self) -> Result<Option<Transaction>, Error> {
        self.wait_for_writes(0).await?;
        self.begin().await
    }

    /// Starts to write the current chunk.
    fn start_write(&mut self, write: impl Future<Output = Result<(), Error>> + Send + 'static) {
        self.writes.push_back((self.chunk, tokio::spawn(write)));
    }

    /// Waits until at most `most` chunks are being written.
    async fn wait_for_writes(&mut self, most: usize) -> Result<(), Error> {
        while self.writes.len() > most {
            let Some((chunk, write)) = self.writes.pop_front() else { break };
            write.await.map_err(Error::internal)??;
            // Later chunks find its users in the database.
            self.seen.forget(chunk);
        }
        Ok(())
    }

    /// Waits until no chunk is being written, whether or not one of them fails.
    async fn finish_writes(&mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        while !self.writes.is_empty() {
            let written = self.wait_for_writes(self.writes.len() - 1).await;
            outcome = outcome.and(written);
        }
        outcome
    }

    /// Rejects a record whose object an earlier record has already described.
    fn check_first_mention(&mut self, id: Id, what: &'static str, validator: &mut Validator) {
        if !self.seen.add(what, id) {
            let message = format!("An earlier line of the file is about the same {what}.");
            validator.add_error("id", ErrorCode::Taken, message);
        }
    }

    fn reject(&mut self, number: u64, error: Error) -> Result<(), Error> {
        self.reject_with(number, error, None)
    }

    /// Records an invalid line, with the validation errors and one more if there is one.
    fn reject_with(&mut self, number: u64, error: Error, more: Option<String>) -> Result<(), Error> {
        match error {
            Error::Rejected(errors) => {
                self.summary.invalid.push(InvalidLine::new(number, errors.iter().map(error_text).chain(more)));
                Ok(())
            }
            other => Err(other),
        }
    }
}

fn error_text(error: &MutationError) -> String {
    let path: Vec<&str> = error.path.iter().skip(1).map(String::as_str).collect();
    format!("{}: {}", path.join("."), error.message)
}
