//! The parts of a file, each with the rows of one license. All are read in one pass.

use std::io;
use std::iter::Peekable;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::input::{Row, RowIterator, Rows};
use super::parse::parse_license;
use super::place::Place;
use super::reader::{ReadRow, parsed};
use super::record::{LicenseRecord, RecordKind};
use super::source::Source;
use crate::scalar::Id;

/// The rows of a file that are not read yet.
type SharedRows = Arc<Mutex<Peekable<RowIterator>>>;

/// A pass over a file, part by part: in a file of several licenses, as an export writes it, the row of a license is followed by its
/// records. A file that does not begin with a license is one part. The rows of a part must be read before the next part is taken.
pub struct Parts {
    source: Source,
    rows: SharedRows,
    position: Arc<AtomicU64>,
    is_begun: bool,
}

/// A part of a file.
pub struct Part {
    source: Source,
    rows: Rows,
    license: Option<LicenseRow>,
}

/// The row of a license.
pub struct LicenseRow {
    pub place: Place,
    /// The license; `None` if the row is invalid.
    pub record: Option<LicenseRecord>,
}

impl Parts {
    pub(super) fn new(source: Source, rows: Rows) -> Self {
        let Rows { rows, position } = rows;
        Self { source, rows: Arc::new(Mutex::new(rows.peekable())), position, is_begun: false }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let first = lock(&self.rows).next();
        if first.is_none() && self.is_begun {
            return None;
        }
        self.is_begun = true;
        let license = first.as_ref().and_then(|row| LicenseRow::of(row.as_ref().ok()?, &self.source));
        let others = OtherRows { rows: Arc::clone(&self.rows), ends_at_license: license.is_some() };
        let rows = Box::new(first.into_iter().chain(others));
        Some(Part { source: self.source.clone(), rows: Rows { rows, position: Arc::clone(&self.position) }, license })
    }
}

impl Part {
    /// Returns the license that the part begins with, if the file has licenses.
    #[must_use]
    pub fn license(&self) -> Option<&LicenseRow> {
        self.license.as_ref()
    }

    pub(super) fn into_rows(self, license_id: Id) -> impl Iterator<Item = io::Result<ReadRow>> + Send {
        let Self { source, rows, .. } = self;
        parsed(rows, source.parser(license_id))
    }
}

impl LicenseRow {
    /// Returns the license that a row describes, if it describes one.
    pub(super) fn of(row: &Row, source: &Source) -> Option<Self> {
        let object = license_of(row)?.clone();
        Some(Self { place: row.place, record: parse_license(object, &source.formats_at(row.place)) })
    }
}

/// The rows of a part after the first.
struct OtherRows {
    rows: SharedRows,
    /// Whether the next license begins the next part.
    ends_at_license: bool,
}

impl Iterator for OtherRows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rows = lock(&self.rows);
        if self.ends_at_license && rows.peek().is_some_and(begins_part) { None } else { rows.next() }
    }
}

fn begins_part(row: &io::Result<Row>) -> bool {
    row.as_ref().is_ok_and(|row| license_of(row).is_some())
}

/// Returns the fields of the license that a row describes, if it describes one.
fn license_of(row: &Row) -> Option<&Map<String, Value>> {
    let values = row.values.as_ref().ok().filter(|values| values.len() == 1)?;
    values.get(RecordKind::License.name())?.as_object()
}

fn lock(rows: &SharedRows) -> MutexGuard<'_, Peekable<RowIterator>> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}
