//! The source of an import: files, and what their rows stand for.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::additions::Additions;
use super::input::{Format, Input, RejectForm, RowIterator, Rows};
use super::mapping::Mapping;
use super::parse::{RowParser, Shape, parse_license};
use super::parts::{LicenseRow, Parts};
use super::place::Place;
use super::record::LicenseRecord;
use super::values::Formats;
use crate::scalar::Id;

/// A file to import, and what its rows stand for.
#[derive(Clone)]
pub struct SourceFile {
    name: String,
    input: Arc<Input>,
    shape: Shape,
    formats: Formats,
}

impl SourceFile {
    /// Creates a file. Without a mapping, rows are records of Roster's own format; in other formats than newline-delimited JSON,
    /// columns may also be named after the fields of a user.
    #[must_use]
    pub fn new(name: String, input: Input, mapping: Option<Mapping>, formats: Formats) -> Self {
        let shape = match mapping {
            Some(mapping) => Shape::Mapped(mapping.into()),
            None if input.format() == Format::Ndjson => Shape::Own,
            None => Shape::ByName,
        };
        Self { name, input: Arc::new(input), shape, formats }
    }

    fn mapping(&self) -> Option<&Mapping> {
        match &self.shape {
            Shape::Mapped(mapping) => Some(mapping),
            Shape::Own | Shape::ByName => None,
        }
    }
}

/// Files to import one after the other, as if they were one.
#[derive(Clone)]
pub struct Source {
    files: Arc<[SourceFile]>,
    /// The name that was given to the system whose ids the files have.
    name: Option<String>,
    /// The objects that are created if rows of users name them.
    additions: Additions,
}

impl Source {
    #[must_use]
    pub fn new(files: Vec<SourceFile>) -> Self {
        Self { files: files.into(), name: None, additions: Additions::default() }
    }

    /// Returns the source with the objects that are created if rows of users name them.
    #[must_use]
    pub fn with(self, additions: Additions) -> Self {
        Self { additions, ..self }
    }

    /// Returns the source with a name: the ids in the files are those of a system with this name.
    #[must_use]
    pub fn named(self, name: Option<String>) -> Self {
        Self { name, ..self }
    }

    /// Returns the names of the files.
    #[must_use]
    pub fn names(&self) -> Arc<[String]> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    /// Returns the size of the files in bytes.
    pub fn size(&self) -> io::Result<u64> {
        self.files.iter().map(|file| file.input.size()).sum()
    }

    /// Begins a pass over the files, from their beginning. The pass before must not be used any more.
    pub fn parts(&self) -> io::Result<Parts> {
        Ok(Parts::new(self.clone(), self.rows()?))
    }

    fn rows(&self) -> io::Result<Rows> {
        let position = Arc::new(AtomicU64::new(0));
        let mut all: RowIterator = Box::new(std::iter::empty());
        for (number, file) in (0..).zip(&*self.files) {
            let rows = file.input.rows(number, Arc::clone(&position)).map_err(|error| self.within(file, error))?;
            let (source, file) = (self.clone(), file.clone());
            all = Box::new(all.chain(rows.map(move |row| row.map_err(|error| source.within(&file, error)))));
        }
        Ok(Rows { rows: all, position })
    }

    /// Names the file in an error, if there are several.
    fn within(&self, file: &SourceFile, error: io::Error) -> io::Error {
        if self.files.len() > 1 { io::Error::new(error.kind(), format!("{}: {error}", file.name)) } else { error }
    }

    /// Returns the license that the first file begins with, if it does.
    pub fn license(&self) -> io::Result<Option<LicenseRow>> {
        let first = self.rows()?.next().transpose()?;
        Ok(first.and_then(|row| LicenseRow::of(&row, self)))
    }

    /// Returns the license that the first row of another system names, if it names one.
    pub fn named_license(&self) -> io::Result<Option<LicenseRecord>> {
        for file in &*self.files {
            let Some(mapping) = file.mapping() else { continue };
            let first = file.input.rows(0, Arc::default())?.next().transpose()?;
            let values = first.and_then(|row| row.values.ok());
            let named = values.and_then(|values| mapping.license_of(&values, Id::new(), &file.formats));
            if let Some(object) = named {
                return Ok(parse_license(object, &file.formats));
            }
        }
        Ok(None)
    }

    /// Returns the name of the system whose ids the files' users have, if they have one.
    ///
    /// # Errors
    /// The files are of several systems.
    pub fn source_of_users(&self) -> Result<Option<String>, String> {
        let of_files: BTreeSet<String> =
            self.files.iter().filter_map(|file| file.mapping()?.source_of_users()).collect();
        match (&self.name, of_files.len()) {
            (Some(name), _) => Ok(Some(name.clone())),
            (None, 0 | 1) => Ok(of_files.into_iter().next()),
            (None, _) => {
                Err("the files are of several systems; import the files of each system by themselves".to_owned())
            }
        }
    }

    /// Returns the forms of dates and times in each file.
    #[must_use]
    pub fn formats(&self) -> Vec<Formats> {
        self.files.iter().map(|file| file.formats.clone()).collect()
    }

    pub(super) fn formats_at(&self, place: Place) -> Formats {
        self.files.get(usize::from(place.file)).map(|file| file.formats.clone()).unwrap_or_default()
    }

    /// Returns the place of a row in words.
    #[must_use]
    pub fn name_of(&self, place: Place) -> String {
        place.name(&self.names())
    }

    /// Returns the form of a file of rejected rows. There must be one file.
    pub(crate) fn reject_form(&self) -> io::Result<RejectForm> {
        self.files.first().map(|file| file.input.reject_form()).transpose().map(Option::unwrap_or_default)
    }

    pub(super) fn parser(&self, license_id: Id) -> RowParser {
        let shapes = self.files.iter().map(|file| (file.shape.clone(), file.formats.clone())).collect();
        RowParser::new(shapes, license_id).of_source(self.name.clone()).with(self.additions.clone())
    }
}
