//! The report of an import: a file with the outcome of each row, and one with the rows that were refused.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::input::RejectForm;
use super::origin::{InvalidRow, Origin};
use super::place::Place;
use super::record::RecordKind;
use crate::error::Error;
use crate::private_file;
use crate::scalar::Id;

const COLUMNS: [&str; 10] = ["file", "line", "row", "kind", "outcome", "old_id", "new_id", "column", "value", "rule"];

/// The outcome of a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Changed,
    Unchanged,
}

/// The files of a report. By default there are none.
#[derive(Default)]
pub struct Report {
    rows: Option<csv::Writer<File>>,
    rejects: Option<(BufWriter<File>, RejectForm)>,
    /// The names of the files that are imported.
    files: Arc<[String]>,
    /// Whether nothing is written to the directory.
    is_trial: bool,
}

impl Report {
    /// Creates the files, or empties them. `is_trial` is whether nothing is written to the directory, `continues` whether the files
    /// have the rows of an earlier part of the same file, and are continued.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn create(
        rows: Option<&Path>,
        rejects: Option<(&Path, RejectForm)>,
        files: Arc<[String]>,
        is_trial: bool,
        continues: bool,
    ) -> io::Result<Self> {
        let rows = rows.map(|path| -> io::Result<_> {
            let mut writer = csv::Writer::from_writer(open(path, continues)?);
            if !continues {
                writer.write_record(COLUMNS)?;
            }
            Ok(writer)
        });
        let rejects = rejects.map(|(path, form)| -> io::Result<_> {
            let mut file = BufWriter::new(open(path, continues)?);
            if !continues {
                file.write_all(&form.header)?;
            }
            Ok((file, form))
        });
        Ok(Self { rows: rows.transpose()?, rejects: rejects.transpose()?, files, is_trial })
    }

    /// Reports the license that the next rows are imported into.
    pub(crate) fn license(&mut self, place: Place, number: &str, id: Id, is_new: bool) -> Result<(), Error> {
        let outcome = if is_new { Outcome::Created } else { Outcome::Unchanged };
        self.valid(place, RecordKind::License, number, Some(id), outcome)
    }

    /// Reports a valid record.
    pub(super) fn row(
        &mut self,
        origin: &Origin,
        kind: RecordKind,
        id: Option<Id>,
        outcome: Outcome,
    ) -> Result<(), Error> {
        if self.rows.is_none() {
            return Ok(());
        }
        self.valid(origin.place, kind, &origin.old_id(), id, outcome)
    }

    fn valid(
        &mut self,
        place: Place,
        kind: RecordKind,
        old_id: &str,
        id: Option<Id>,
        outcome: Outcome,
    ) -> Result<(), Error> {
        let outcome = match (outcome, self.is_trial) {
            (Outcome::Created, false) => "created",
            (Outcome::Created, true) => "would be created",
            (Outcome::Changed, false) => "changed",
            (Outcome::Changed, true) => "would be changed",
            (Outcome::Unchanged, _) => "unchanged",
        };
        // The id of a new user is another one each time that the file is read, until the user is written.
        let id = id.filter(|_| !self.is_trial || outcome != "would be created").map(|id| id.0.to_string());
        self.write(Some(place), [kind.name(), outcome, old_id, &id.unwrap_or_default(), "", "", ""])
    }

    /// Writes a line of the report.
    fn write(&mut self, place: Option<Place>, cells: [&str; 7]) -> Result<(), Error> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let place = place.map(|place| place.cells(&self.files)).unwrap_or_default();
        let record = place.iter().map(String::as_str).chain(cells);
        rows.write_record(record).map_err(Error::internal)
    }

    /// Writes a line of the report for each error of a row.
    fn write_errors(&mut self, origin: &Origin, kind: &str, outcome: &str, row: &InvalidRow) -> Result<(), Error> {
        if self.rows.is_none() {
            return Ok(());
        }
        let old_id = origin.old_id();
        row.errors.iter().try_for_each(|error| {
            let value = error.value.as_deref().unwrap_or_default();
            let cells = [kind, outcome, &old_id, "", &error.column, value, &error.message];
            self.write(Some(origin.place), cells)
        })
    }

    /// Reports values of a valid row that are left out, with a line for each.
    pub(super) fn left_out(&mut self, origin: &Origin, kind: RecordKind, row: &InvalidRow) -> Result<(), Error> {
        self.write_errors(origin, kind.name(), "left out", row)
    }

    /// Reports an invalid row, with a line for each error.
    pub(super) fn refused(
        &mut self,
        origin: &Origin,
        kind: Option<RecordKind>,
        invalid: &InvalidRow,
    ) -> Result<(), Error> {
        if let Some((file, form)) = &mut self.rejects {
            file.write_all(&form.encode(&origin.raw, &origin.values())).map_err(Error::internal)?;
        }
        self.write_errors(origin, kind.map_or("", RecordKind::name), "refused", invalid)
    }

    /// Reports a user who is missing in the file.
    pub(super) fn leaver(&mut self, id: Id) -> Result<(), Error> {
        let outcome = if self.is_trial { "would be deactivated" } else { "deactivated" };
        let id = id.0.to_string();
        self.write(None, [RecordKind::User.name(), outcome, "", &id, "", "", "missing in the file"])
    }

    /// Completes the files.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if let Some(rows) = &mut self.rows {
            rows.flush().map_err(Error::internal)?;
        }
        if let Some((file, _)) = &mut self.rejects {
            file.flush().map_err(Error::internal)?;
        }
        Ok(())
    }
}

fn open(path: &Path, continues: bool) -> io::Result<File> {
    let name = path.display();
    let describe = |error: io::Error| io::Error::new(error.kind(), format!("{name} cannot be written: {error}"));
    let mut file = private_file::open_or_make(path).map_err(describe)?;
    if file.metadata().map_err(describe)?.is_file() {
        let prepared = if continues { file.seek(SeekFrom::End(0)).map(drop) } else { file.set_len(0) };
        prepared.map_err(describe)?;
    }
    Ok(file)
}
