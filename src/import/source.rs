//! The source of an import: a file, and what its rows stand for.

use std::io;
use std::sync::Arc;

use super::input::{Format, Input, RejectForm};
use super::mapping::Mapping;
use super::parse::{RowParser, Shape, parse_license};
use super::parts::{LicenseRow, Parts};
use super::record::LicenseRecord;
use super::values::Formats;
use crate::scalar::Id;

/// A file to import, and what its rows stand for.
#[derive(Clone)]
pub struct Source {
    input: Arc<Input>,
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
        Self { input: Arc::new(input), shape, formats, name: None }
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

    /// Begins a pass over the file, from its beginning. The pass before must not be used any more.
    pub fn parts(&self) -> io::Result<Parts> {
        Ok(Parts::new(self.clone(), self.input.rows()?))
    }

    /// Returns the license that the file begins with, if it does.
    pub fn license(&self) -> io::Result<Option<LicenseRow>> {
        let first = self.input.rows()?.next().transpose()?;
        Ok(first.and_then(|row| LicenseRow::of(&row, &self.formats)))
    }

    /// Returns the license that the first row of another system names, if it names one.
    pub fn named_license(&self) -> io::Result<Option<LicenseRecord>> {
        let Shape::Mapped(mapping) = &self.shape else { return Ok(None) };
        let first = self.input.rows()?.next().transpose()?;
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

    pub(super) fn parser(&self, license_id: Id) -> RowParser {
        RowParser::new(self.shape.clone(), self.formats.clone(), license_id).of_source(self.name.clone())
    }
}
