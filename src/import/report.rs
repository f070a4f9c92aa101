//! The report of an import: a file with the outcome of each row, and one with the rows that were refused.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::input::RejectForm;
use super::origin::{InvalidRow, Origin};
use super::record::RecordKind;
use crate::error::Error;
use crate::private_file;
use crate::scalar::Id;

const COLUMNS: [&str; 8] = ["line", "kind", "outcome", "old_id", "new_id", "column", "value", "rule"];

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
        Ok(Self { rows: rows.transpose()?, rejects: rejects.transpose()?, is_trial })
    }

    /// Reports the license that the next rows are imported into.
    pub(crate) fn license(&mut self, line: u64, number: &str, id: Id, is_new: bool) -> Result<(), Error> {
        let outcome = if is_new { Outcome::Created } else { Outcome::Unchanged };
        self.valid(line, RecordKind::License, number, Some(id), outcome)
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
        self.valid(origin.line, kind, &origin.old_id(), id, outcome)
    }

    fn valid(
        &mut self,
        line: u64,
        kind: RecordKind,
        old_id: &str,
        id: Option<Id>,
        outcome: Outcome,
    ) -> Result<(), Error> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let outcome = match (outcome, self.is_trial) {
            (Outcome::Created, false) => "created",
            (Outcome::Created, true) => "would be created",
            (Outcome::Changed, false) => "changed",
            (Outcome::Changed, true) => "would be changed",
            (Outcome::Unchanged, _) => "unchanged",
        };
        // The id of a new user is another one each time that the file is read, until the user is written.
        let id = id.filter(|_| !self.is_trial || outcome != "would be created").map(|id| id.0.to_string());
        let (line, id) = (line.to_string(), id.unwrap_or_default());
        let cells = [line.as_str(), kind.name(), outcome, old_id, &id, "", "", ""];
        rows.write_record(cells).map_err(Error::internal)
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
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let (line, old_id) = (origin.line.to_string(), origin.old_id());
        for error in &invalid.errors {
            let value = error.value.as_deref().unwrap_or_default();
            let kind = kind.map_or("", RecordKind::name);
            let cells = [line.as_str(), kind, "refused", &old_id, "", &error.column, value, &error.message];
            rows.write_record(cells).map_err(Error::internal)?;
        }
        Ok(())
    }

    /// Reports a user who is missing in the file.
    pub(super) fn leaver(&mut self, id: Id) -> Result<(), Error> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let outcome = if self.is_trial { "would be deactivated" } else { "deactivated" };
        let id = id.0.to_string();
        let cells = ["", RecordKind::User.name(), outcome, "", &id, "", "", "missing in the file"];
        rows.write_record(cells).map_err(Error::internal)
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
    let mut file = private_file::open_or_make(path)?;
    if continues {
        file.seek(SeekFrom::End(0))?;
    } else {
        file.set_len(0)?;
    }
    Ok(file)
}
