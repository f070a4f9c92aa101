//! Reads records ahead: while a chunk is compared with the directory and written, another thread parses the next ones and checks
//! their fields.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::draft::Draft;
use super::fixes::Fix;
use super::input::Rows;
use super::origin::{Fault, Origin};
use super::parse::{ParsedRow, RowParser};
use super::record::{AttributeRecord, GroupRecord, InstitutionRecord, Record};
use crate::error::Error;
use crate::scalar::Id;

/// The number of records that are compared with the directory and written in one transaction. With more, an import takes more
/// memory, but hardly less time.
const CHUNK: usize = 500;
/// The number of bytes of rows from which a chunk is full, however few records it has.
const MAX_CHUNK_LENGTH: usize = 16 * 1024 * 1024;

/// A row that was read, and the progress after it.
pub(super) struct ReadRow {
    pub(super) row: ParsedRow,
    pub(super) position: u64,
    /// The number of bytes of the row.
    pub(super) length: usize,
    pub(super) ignored: BTreeMap<String, u64>,
}

/// Returns the rows of a file, parsed.
pub(super) fn parsed(mut rows: Rows, mut parser: RowParser) -> impl Iterator<Item = io::Result<ReadRow>> + Send {
    std::iter::from_fn(move || {
        let row = match rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let (length, row) = (row.length(), parser.parse(row));
        Some(Ok(ReadRow { row, position: rows.position(), length, ignored: parser.take_ignored() }))
    })
}

/// A record, and the errors of its format.
pub(super) struct Parsed<R> {
    pub(super) origin: Origin,
    pub(super) record: R,
    pub(super) faults: Vec<Fault>,
}

/// What the checks of fields depend on.
pub(super) struct Target {
    pub(super) license_id: Id,
    pub(super) fixes: Arc<[Fix]>,
}

/// The records of successive rows.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) attributes: Vec<Parsed<AttributeRecord>>,
    pub(super) institutions: Vec<Parsed<InstitutionRecord>>,
    pub(super) groups: Vec<Parsed<GroupRecord>>,
    pub(super) users: Vec<Draft>,
    pub(super) invalid: Vec<(Origin, Vec<Fault>)>,
    /// How often columns and kinds of rows were not imported.
    pub(super) ignored: BTreeMap<String, u64>,
    /// The progress after the chunk.
    pub(super) position: u64,
    /// The number of bytes of the rows.
    length: usize,
}

impl Chunk {
    fn is_full(&self) -> bool {
        let records = self.attributes.len() + self.institutions.len() + self.groups.len() + self.users.len();
        records >= CHUNK || self.length >= MAX_CHUNK_LENGTH
    }

    fn add(&mut self, read: ReadRow, target: &Target, is_first: bool) {
        let ReadRow { row: ParsedRow { origin, others, record, faults }, position, length, ignored } = read;
        self.position = position;
        self.length += length;
        for (name, count) in ignored {
            *self.ignored.entry(name).or_default() += count;
        }
        for other in others {
            self.add_record(other, target, false);
        }
        match record {
            Some(record) => self.add_record(Parsed { origin, record, faults }, target, is_first),
            None if faults.is_empty() => {}
            None => self.invalid.push((origin, faults)),
        }
    }

    fn add_record(&mut self, parsed: Parsed<Record>, target: &Target, is_first: bool) {
        let Parsed { origin, record, faults } = parsed;
        match record {
            Record::User(record) => {
                let parsed = Parsed { origin, record: *record, faults };
                self.users.push(Draft::repaired(parsed, target.license_id, &target.fixes));
            }
            Record::Attribute(record) => self.attributes.push(Parsed { origin, record, faults }),
            Record::Institution(record) => self.institutions.push(Parsed { origin, record, faults }),
            Record::Group(record) => self.groups.push(Parsed { origin, record, faults }),
            Record::License(_) if !faults.is_empty() => self.invalid.push((origin, faults)),
            // The first row says what license a file is for; the command creates it.
            Record::License(_) if is_first => {}
            Record::License(_) => {
                let fault = Fault::of_row("the first row of a file with licenses must be a license");
                self.invalid.push((origin, vec![fault]));
            }
        }
    }
}

/// Sends the rows in chunks, until they end or nobody receives them.
pub(super) fn read(
    rows: impl Iterator<Item = io::Result<ReadRow>>,
    target: &Target,
    chunks: &mpsc::Sender<Result<Chunk, Error>>,
) {
    let (mut chunk, mut is_first) = (Chunk::default(), true);
    for row in rows {
        match row {
            Ok(row) => chunk.add(row, target, is_first),
            Err(error) => {
                let _ = chunks.blocking_send(Err(Error::internal(error)));
                return;
            }
        }
        is_first = false;
        if chunk.is_full() {
            let next = Chunk { position: chunk.position, ..Chunk::default() };
            if chunks.blocking_send(Ok(std::mem::replace(&mut chunk, next))).is_err() {
                return;
            }
        }
    }
    let _ = chunks.blocking_send(Ok(chunk));
}
