//! The source of an import: a file, and what its rows stand for.

use std::io;
use std::sync::Arc;

use super::input::{Format, Input, RejectForm, Row, Rows};
use super::mapping::Mapping;
use super::parse::{ParsedRow, RowParser, Shape, parse_license};
use super::reader::{ReadRow, parsed};
use super::record::{LicenseRecord, Record, RecordKind};
use super::values::Formats;
use crate::scalar::Id;

/// A file to import, or a part of it, and what its rows stand for.
#[derive(Clone)]
pub struct Source {
    input: Arc<Input>,
    shape: Shape,
    formats: Formats,
    /// The name that was given to the system whose ids the file has.
    name: Option<String>,
    /// The number of rows of the file before this part.
    first: usize,
    /// The number of rows of this part. By default, it has all that follow.
    count: Option<usize>,
}

impl Source {
    /// Creates a source. Without a mapping, rows are records of Roster's own format; in other formats than newline-delimited JSON,
    /// columns may also be named after the fields of a user.
    #[must_use]
    pub fn new(input: Input, mapping: Option<Mapping>, formats: Formats) -> Self {
        let shape = match mapping {
            Some(mapping) => Shape::Mapped(mapping.into()),
            None if input.format() == Format::Ndjson => Shape::Own,
            None => Shape::ByName,
        };
        Self { input: Arc::new(input), shape, formats, name: None, first: 0, count: None }
    }

    /// Returns the source with a name: the ids in the file are those of a system with this name.
    #[must_use]
    pub fn named(self, name: Option<String>) -> Self {
        Self { name, ..self }
    }

    /// Returns the size of the file in bytes.
    pub fn size(&self) -> io::Result<u64> {
        self.input.size()
    }

    /// Returns the parts of a file, each with the rows of one license: in a file of several, as an export writes it, the row of a
    /// license is followed by its records. A file that does not begin with a license is one part.
    pub fn parts(&self) -> io::Result<Vec<Self>> {
        let mut firsts = Vec::new();
        for (place, row) in self.input.rows()?.enumerate() {
            // The error is reported when the part is imported. A file that cannot be read fails again and again.
            let Ok(row) = row else { break };
            let is_license = describes_license(&row);
            if firsts.is_empty() && !is_license {
                break;
            }
            firsts.extend(is_license.then_some(place));
        }
        if firsts.len() <= 1 {
            return Ok(vec![self.clone()]);
        }
        let ends = firsts.iter().skip(1).map(|end| Some(*end)).chain([None]);
        let part = |(first, end): (&usize, Option<usize>)| {
            let count = end.map(|end| end - *first);
            Self { first: *first, count, ..self.clone() }
        };
        Ok(firsts.iter().zip(ends).map(part).collect())
    }

    /// Returns the license that the first row describes, if there is one.
    pub fn license(&self) -> io::Result<Option<LicenseRecord>> {
        let mut parser = RowParser::new(self.shape.clone(), self.formats.clone(), Id::new());
        let Some(row) = self.unparsed_rows()?.next().transpose()? else { return Ok(None) };
        let ParsedRow { mut records, faults, .. } = parser.parse(row);
        match records.pop() {
            Some(Record::License(license)) if faults.is_empty() => Ok(Some(license)),
            _ => Ok(None),
        }
    }

    /// Returns the license that the first row of another system names, if it names one.
    pub fn named_license(&self) -> io::Result<Option<LicenseRecord>> {
        let Shape::Mapped(mapping) = &self.shape else { return Ok(None) };
        let first = self.unparsed_rows()?.next().transpose()?;
        let values = first.and_then(|row| row.values.ok());
        let named = values.and_then(|values| mapping.license_of(&values, Id::new(), &self.formats));
        Ok(named.and_then(|object| parse_license(object, &self.formats)))
    }

    /// Returns the name of the system whose ids the file's users have, if it has one.
    #[must_use]
    pub fn source_of_users(&self) -> Option<String> {
        let of_mapping = || match &self.shape {
            Shape::Mapped(mapping) => mapping.source_of_users(),
            Shape::Own | Shape::ByName => None,
        };
        self.name.clone().or_else(of_mapping)
    }

    /// Returns the forms of dates and times.
    #[must_use]
    pub fn formats(&self) -> &Formats {
        &self.formats
    }

    /// Returns the form of a file of rejected rows.
    pub(crate) fn reject_form(&self) -> io::Result<RejectForm> {
        self.input.reject_form()
    }

    pub(super) fn rows(&self, license_id: Id) -> io::Result<impl Iterator<Item = io::Result<ReadRow>> + Send + use<>> {
        let parser = RowParser::new(self.shape.clone(), self.formats.clone(), license_id);
        let rows = parsed(self.unparsed_rows()?, parser.of_source(self.name.clone()));
        Ok(rows.take(self.count.unwrap_or(usize::MAX)))
    }

    /// Returns the rows from the first one of this part.
    fn unparsed_rows(&self) -> io::Result<Rows> {
        let mut rows = self.input.rows()?;
        for _ in 0..self.first {
            if rows.next().transpose()?.is_none() {
                break;
            }
        }
        Ok(rows)
    }
}

fn describes_license(row: &Row) -> bool {
    row.values.as_ref().is_ok_and(|values| values.len() == 1 && values.contains_key(RecordKind::License.name()))
}
