//! Reads records ahead: while a chunk is compared with the directory and written, another thread parses the next ones and checks
//! their fields.

use std::io::{self, BufRead};

use tokio::sync::mpsc;

use super::draft::Draft;
use super::record::{GroupRecord, InstitutionRecord, Record};
use super::{InvalidLine, parse};
use crate::error::Error;
use crate::scalar::Id;

/// The number of records that are compared with the directory and written in one transaction.
const CHUNK: usize = 2_000;
/// The byte order mark, with which some programs begin a text.
pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line of a file, or a record that was generated instead.
pub(super) struct Line {
    /// The number of the line, counted from 1.
    pub(super) number: u64,
    /// The progress after the line.
    pub(super) position: u64,
    /// The record, or the errors of its format. `None` if the line is blank.
    pub(super) record: Option<Result<Record, Vec<String>>>,
}

/// The records of successive lines.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) institutions: Vec<(u64, InstitutionRecord)>,
    pub(super) groups: Vec<(u64, GroupRecord)>,
    pub(super) users: Vec<Draft>,
    pub(super) invalid: Vec<InvalidLine>,
    /// The progress after the chunk.
    pub(super) position: u64,
}

impl Chunk {
    fn len(&self) -> usize {
        self.institutions.len() + self.groups.len() + self.users.len()
    }

    fn add(&mut self, line: Line, license_id: Id) {
        let Line { number, position, record } = line;
        self.position = position;
        match record {
            Some(Ok(Record::User(record))) => self.users.push(Draft::new(number, license_id, *record)),
            Some(Ok(Record::Institution(record))) => self.institutions.push((number, record)),
            Some(Ok(Record::Group(record))) => self.groups.push((number, record)),
            Some(Err(errors)) => self.invalid.push(InvalidLine::new(number, errors)),
            None => {}
        }
    }
}

/// Sends the lines in chunks, until they end or nobody receives them.
pub(super) fn read(
    lines: impl Iterator<Item = io::Result<Line>>,
    license_id: Id,
    chunks: &mpsc::Sender<Result<Chunk, Error>>,
) {
    let mut chunk = Chunk::default();
    for line in lines {
        match line {
            Ok(line) => chunk.add(line, license_id),
            Err(error) => {
                let _ = chunks.blocking_send(Err(Error::internal(error)));
                return;
            }
        }
        if chunk.len() == CHUNK {
            let next = Chunk { position: chunk.position, ..Chunk::default() };
            if chunks.blocking_send(Ok(std::mem::replace(&mut chunk, next))).is_err() {
                return;
            }
        }
    }
    let _ = chunks.blocking_send(Ok(chunk));
}

/// The lines of a file.
pub(super) struct Lines<R> {
    file: R,
    text: Vec<u8>,
    number: u64,
    position: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, text: Vec::new(), number: 0, position: 0 }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.text.clear();
        match self.file.read_until(b'\n', &mut self.text) {
            Ok(0) => return None,
            Ok(length) => self.position += length as u64,
            Err(error) => return Some(Err(error)),
        }
        self.number += 1;
        let text = self.text.as_slice();
        let text = if self.number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
        let record = (!text.trim_ascii().is_empty()).then(|| parse::parse(text));
        Some(Ok(Line { number: self.number, position: self.position, record }))
    }
}
