//! The source of an import: a file, and what its rows stand for.

use std::io;

use super::input::{Format, Input, RejectForm};
use super::mapping::Mapping;
use super::parse::{ParsedRow, RowParser, Shape};
use super::reader::{ReadRow, parsed};
use super::record::{LicenseRecord, Record};
use super::values::Formats;
use crate::scalar::Id;

/// A file to import, and what its rows stand for.
pub struct Source {
    input: Input,
    shape: Shape,
    formats: Formats,
    /// The name that was given to the system whose ids the file has.
    name: Option<String>,
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
        Self { input, shape, formats, name: None }
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

    /// Returns the license that the first row describes, if there is one.
    pub fn license(&self) -> io::Result<Option<LicenseRecord>> {
        let mut parser = RowParser::new(self.shape.clone(), self.formats.clone(), Id::new());
        let Some(row) = self.input.rows()?.next().transpose()? else { return Ok(None) };
        let ParsedRow { mut records, faults, .. } = parser.parse(row);
        match records.pop() {
            Some(Record::License(license)) if faults.is_empty() => Ok(Some(license)),
            _ => Ok(None),
        }
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
        Ok(parsed(self.input.rows()?, parser.of_source(self.name.clone())))
    }
}
