//! Bulk import of files and of the rows of a request (`request/`): every row is validated by the rules of the API and written in
//! chunks. Existing records that do not differ are left unchanged, so that a file may be imported again.
//!
//! A chunk passes through three stages, which can process different chunks at the same time: a thread reads it in the format of
//! its file (`input/`), parses it (`parse.rs`, `mapping.rs`) and checks its fields (`draft.rs`), the importer compares it with the
//! directory (`users.rs`, `organisation.rs`, `definitions.rs`), and a task writes it (`batch.rs`). No stage runs a statement for
//! each row. A request is one chunk, and its transaction is that of a mutation.

mod additions;
mod batch;
mod conflicts;
mod definitions;
mod draft;
mod edits;
mod existing;
mod fields;
mod fixes;
mod importer;
mod input;
mod keycloak;
mod leavers;
mod list_items;
mod mapping;
mod mapping_rule;
mod mapping_value;
mod members;
pub mod mutation;
mod named;
mod names;
mod organisation;
mod origin;
mod parse;
mod parts;
mod place;
mod reader;
pub mod record;
mod relations;
mod report;
pub mod request;
mod secrets;
mod seen;
mod source;
mod summary;
mod users;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;

use self::importer::Importer;
use self::input::Rows;
use self::parse::{ParsedRow, RowParser, Shape};
use self::reader::{ReadRow, parsed};
use self::record::Record;
use crate::auth::password::Hasher;
use crate::db::Db;
use crate::error::Error;
use crate::scalar::Id;
pub use additions::{Additions, NewInstitutions};
pub use edits::KeepEdits;
pub use fixes::Fix;
pub use input::{Format, Input};
pub use mapping::{Mapping, Preset};
pub use origin::{InvalidRow, RowError};
pub use parts::{LicenseRow, Part, Parts};
pub use place::Place;
pub use report::Report;
pub use seen::SeenKeys;
pub use source::{Source, SourceFile};
pub use summary::ImportSummary;
pub use values::{Formats, parse_date_form, parse_zone};

/// The means by which records arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// A file, which an operator of the server imports. Its rows are named by their lines.
    #[default]
    File,
    /// A request to the API, whose sender may not do everything. Its rows are named by their indexes.
    Request,
}

impl Channel {
    /// Returns the name of a row in messages.
    fn name_of_row(self, place: Place, files: &[String]) -> String {
        match self {
            Self::File => format!("the row at {}", place.name(files)),
            Self::Request => format!("row {}", place.line),
        }
    }

    /// Returns the place of an item of a list in errors. A file has one column for the whole list.
    fn place_of_item(self, list: &str, item: fmt::Arguments<'_>) -> String {
        match self {
            Self::File => list.to_owned(),
            Self::Request => format!("{list}.{item}"),
        }
    }
}

/// How records are imported.
#[derive(Clone, Default)]
pub struct Options {
    /// The means by which the records arrive.
    pub channel: Channel,
    /// Hashes PINs, and tells whether hashes were made with this server's key. Without it, PINs are left out.
    pub hasher: Option<Hasher>,
    /// Whether users who were deactivated here are activated again.
    pub reactivate: bool,
    /// Whether institutions are created if rows of users name them.
    pub create_institutions: bool,
    /// The fields that were edited here and are kept.
    pub keep_edits: KeepEdits,
    /// The directory of pictures that rows refer to.
    pub avatar_dir: Option<PathBuf>,
    /// The forms of dates and times in each file.
    pub formats: Vec<Formats>,
    /// The treatment of users who are missing in the file.
    pub leavers: Option<Leavers>,
    /// The names of the files.
    pub files: Arc<[String]>,
    /// The rules by which values are left out.
    pub fixes: Arc<[Fix]>,
}

/// The deactivation of users who are missing in a file.
#[derive(Clone, Debug)]
pub struct Leavers {
    /// The maximum share of the active users, in percent.
    pub max_percent: u64,
    /// The system whose users the file contains. By default, it contains all users of the license.
    pub source: Option<String>,
}

/// An import of a part of a file into a license.
pub struct Import<'a> {
    pub db: &'a Db,
    pub license_id: Id,
    pub part: Part,
    pub options: Options,
}

impl Import<'_> {
    /// Validates the whole part without writing anything to the directory. `seen` has the objects and logins of the parts before,
    /// which are not in the directory yet, and gets those of this one.
    ///
    /// # Errors
    /// The file cannot be read, or the database fails.
    pub async fn check(
        self,
        seen: &mut SeenKeys,
        report: Report,
        progress: impl Fn(u64),
    ) -> Result<ImportSummary, Error> {
        self.run(false, seen, report, progress).await
    }

    /// Imports the part. Invalid rows are skipped and reported.
    ///
    /// # Errors
    /// The file cannot be read, or the database fails.
    pub async fn write(self, report: Report, progress: impl Fn(u64)) -> Result<ImportSummary, Error> {
        self.run(true, &mut SeenKeys::default(), report, progress).await
    }

    async fn run(
        self,
        write: bool,
        seen: &mut SeenKeys,
        report: Report,
        progress: impl Fn(u64),
    ) -> Result<ImportSummary, Error> {
        let Self { db, license_id, part, options } = self;
        let mut importer = Importer::new(db, license_id, write, options, report).await?;
        importer.seen = std::mem::take(seen);
        let summary = importer.import(part.into_rows(license_id), progress).await?;
        *seen = importer.seen;
        seen.leave_license();
        Ok(summary)
    }
}

/// Imports newline-delimited JSON with the default options. Invalid rows are skipped and reported.
///
/// # Errors
/// The file cannot be read, or the database fails.
pub async fn load(
    db: &Db,
    license_id: Id,
    file: impl BufRead + Send + 'static,
    progress: impl Fn(u64),
) -> Result<ImportSummary, Error> {
    let parser = RowParser::new(vec![(Shape::Own, Formats::default())], license_id);
    let rows = parsed(Rows::of_lines(file), parser);
    let importer = Importer::new(db, license_id, true, Options::default(), Report::default());
    importer.await?.import(rows, progress).await
}

/// Imports records that were generated instead of read from a file.
pub async fn load_records(
    db: &Db,
    license_id: Id,
    records: impl Iterator<Item = Record> + Send + 'static,
    progress: impl Fn(u64),
) -> Result<ImportSummary, Error> {
    let read = |(number, record): (u64, Record)| {
        let row = ParsedRow::generated(number, record);
        Ok(ReadRow { row, position: number, length: 0, ignored: BTreeMap::new() })
    };
    let rows = (1..).zip(records).map(read);
    let importer = Importer::new(db, license_id, true, Options::default(), Report::default());
    importer.await?.import(rows, progress).await
}

#[cfg(test)]
mod tests;
