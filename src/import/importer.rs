//! The importer: takes chunks of records through the stages of comparing and writing.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use sea_orm::{EntityTrait, QueryFilter, QuerySelect};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::names::NameIndex;
use super::origin::{Fault, InvalidRow, Origin};
use super::place::Place;
use super::reader::{self, Chunk, ReadRow, Target};
use super::record::RecordKind;
use super::report::Report;
use super::seen::SeenKeys;
use super::summary::ImportSummary;
use super::{Channel, Options};
use crate::access::of_license;
use crate::attribute_values::Definitions;
use crate::avatar::ImageProcessor;
use crate::db::{Db, Transaction};
use crate::entity::external_reference::StoredReferences;
use crate::entity::{group, institution};
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::trace;
use crate::validation::Validator;

/// The number of chunks that may wait to be compared with the directory.
const CHUNKS_AHEAD: usize = 1;

/// Imports records into one license.
pub(super) struct Importer<'a> {
    pub(super) db: &'a Db,
    pub(super) license_id: Id,
    pub(super) write: bool,
    pub(super) options: Options,
    pub(super) images: ImageProcessor,
    pub(super) institutions: NameIndex,
    pub(super) groups: NameIndex,
    /// The definitions of custom attributes that the file adds.
    pub(super) new_definitions: Definitions,
    pub(super) seen: SeenKeys,
    /// The values of the current row that rules leave out, and why.
    pub(super) left_out: Vec<Fault>,
    pub(super) summary: ImportSummary,
    pub(super) report: Report,
    /// The number of the current chunk.
    pub(super) chunk: u64,
    /// The chunks that are being written, oldest first.
    pub(super) writes: VecDeque<(u64, JoinHandle<Result<(), Error>>)>,
}

impl<'a> Importer<'a> {
    pub(super) async fn new(
        db: &'a Db,
        license_id: Id,
        write: bool,
        options: Options,
        report: Report,
    ) -> Result<Self, Error> {
        let (institutions, groups) = tokio::try_join!(institutions(db, license_id), groups(db, license_id))?;
        let importer = Self::without_names(db, license_id, options);
        Ok(Self { write, institutions, groups, report, ..importer })
    }

    /// Creates an importer that knows no institutions and groups, and only validates.
    pub(super) fn without_names(db: &'a Db, license_id: Id, options: Options) -> Self {
        Self {
            db,
            license_id,
            write: false,
            options,
            images: ImageProcessor::default(),
            institutions: NameIndex::default(),
            groups: NameIndex::default(),
            new_definitions: Definitions::new(),
            seen: SeenKeys::default(),
            left_out: Vec::new(),
            summary: ImportSummary::default(),
            report: Report::default(),
            chunk: 0,
            writes: VecDeque::new(),
        }
    }

    /// Imports rows. Returns once everything is written.
    pub(super) async fn import(
        &mut self,
        rows: impl Iterator<Item = io::Result<ReadRow>> + Send + 'static,
        progress: impl Fn(u64),
    ) -> Result<ImportSummary, Error> {
        let target = Target { license_id: self.license_id, fixes: Arc::clone(&self.options.fixes) };
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let reader = tokio::task::spawn_blocking(move || reader::read(rows, &target, &sender));
        let mut imported = self.import_chunks(chunks, progress).await;
        if imported.is_ok() {
            imported = self.deactivate_leavers().await;
        }
        let written = self.finish_writes().await;
        // It has ended, or ends because nobody receives its chunks.
        reader.await.map_err(Error::internal)?;
        imported.and(written)?;
        self.report.finish()?;
        let mut summary = std::mem::take(&mut self.summary);
        summary.sort();
        Ok(summary)
    }

    async fn import_chunks(
        &mut self,
        mut chunks: mpsc::Receiver<Result<Chunk, Error>>,
        progress: impl Fn(u64),
    ) -> Result<(), Error> {
        while let Some(chunk) = chunks.recv().await {
            let Chunk { attributes, institutions, groups, users, invalid, ignored, position, .. } = chunk?;
            self.chunk += 1;
            self.summary.add_ignored(ignored);
            for (origin, faults) in invalid {
                self.refuse(&origin, None, faults)?;
            }
            // Users may refer to the attributes, institutions and groups of the same chunk.
            self.import_attributes(attributes).await?;
            self.import_institutions(institutions).await?;
            self.import_groups(groups).await?;
            self.import_users(users).await?;
            progress(position);
        }
        Ok(())
    }

    /// Begins the transaction of a chunk, once there is room for another one; `None` if nothing is to be written.
    #[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
    pub(super) async fn begin(&mut self) -> Result<Option<Transaction>, Error> {
        if !self.write {
            return Ok(None);
        }
        self.wait_for_writes(self.db.transactions_of_load().saturating_sub(1)).await?;
        Ok(Some(self.db.begin().await?))
    }

    /// Begins a transaction as [`begin`](Self::begin) after all others, which may hold locks of the rows that it changes.
    pub(super) async fn begin_alone(&mut self) -> Result<Option<Transaction>, Error> {
        self.wait_for_writes(0).await?;
        self.begin().await
    }

    /// Starts to write the current chunk.
    pub(super) fn start_write(&mut self, write: impl Future<Output = Result<(), Error>> + Send + 'static) {
        self.writes.push_back((self.chunk, tokio::spawn(trace::inherit(write))));
    }

    /// Waits until at most `most` chunks are being written.
    pub(super) async fn wait_for_writes(&mut self, most: usize) -> Result<(), Error> {
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
    pub(super) fn check_first_mention(&mut self, kind: RecordKind, id: Id, place: Place, validator: &mut Validator) {
        if let Some(first) = self.seen.add(kind, id, place) {
            let earlier = match self.options.channel {
                Channel::File => format!("An earlier row of the file, at {},", first.name(&self.options.files)),
                Channel::Request => format!("An earlier row, row {},", first.line),
            };
            let message = format!("{earlier} is about the same {}.", kind.name());
            validator.add_error("id", ErrorCode::Taken, message);
        }
    }

    /// Rejects a record with the errors of its format and those of its validation. An error of validation is left out if the
    /// field has an error of its format.
    pub(super) fn reject(
        &mut self,
        origin: &Origin,
        kind: RecordKind,
        mut faults: Vec<Fault>,
        error: Option<Error>,
    ) -> Result<(), Error> {
        match error {
            Some(Error::Rejected(errors)) => {
                let mut own: Vec<Fault> = errors.into_iter().map(Fault::from).collect();
                own.retain(|fault| !faults.iter().any(|other| other.field == fault.field));
                faults.extend(own);
            }
            Some(other) => return Err(other),
            None => {}
        }
        self.refuse(origin, Some(kind), faults)
    }

    /// Reports an invalid row.
    fn refuse(&mut self, origin: &Origin, kind: Option<RecordKind>, faults: Vec<Fault>) -> Result<(), Error> {
        let mut invalid = InvalidRow::new(origin, &self.options.files, faults);
        if let (Some(_), Some(kind)) = (&origin.key, kind) {
            // An object that a row refers to. The row has an error of its own.
            invalid.name = format!("{}: {}", invalid.name, kind.name());
            self.report.left_out(origin, kind, &invalid)?;
            self.summary.add_note(invalid);
            return Ok(());
        }
        self.report.refused(origin, kind, &invalid)?;
        self.summary.add_invalid(invalid);
        Ok(())
    }
}

async fn institutions(db: &Db, license_id: Id) -> Result<NameIndex, Error> {
    use institution::Column;
    let rows: Vec<(Id, String, Option<String>, Option<StoredReferences>)> = institution::Entity::find()
        .select_only()
        .columns([Column::Id, Column::Name, Column::ExternalId, Column::ExternalReferences])
        .filter(of_license(Column::LicenseId, license_id))
        .into_tuple()
        .all(db.read())
        .await?;
    let mut index = NameIndex::default();
    for (id, name, external_id, references) in rows {
        index.add(id, &name, external_id.as_deref(), references.as_ref());
    }
    Ok(index)
}

async fn groups(db: &Db, license_id: Id) -> Result<NameIndex, Error> {
    let rows: Vec<(Id, String, Option<StoredReferences>)> = group::Entity::find()
        .select_only()
        .columns([group::Column::Id, group::Column::Name, group::Column::ExternalReferences])
        .filter(of_license(group::Column::LicenseId, license_id))
        .into_tuple()
        .all(db.read())
        .await?;
    let mut index = NameIndex::default();
    for (id, name, references) in rows {
        index.add(id, &name, None, references.as_ref());
    }
    Ok(index)
}
