//! Bulk import: every line is validated by the rules of the API and written in chunks. Existing records that do not differ are
//! left unchanged, so that a file may be imported again.

mod batch;
mod existing;
mod format;
mod instant;
mod organisation;
mod parse;
pub mod record;
mod report;
mod source;
mod users;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::BufRead;

use sea_orm::{EntityTrait, QueryFilter, QuerySelect};

use crate::access::of_license;
use crate::audit::sealer;
use crate::db::Db;
use crate::entity::{group, institution};
use crate::error::{Error, MutationError};
use crate::scalar::Id;
use crate::text;
pub use format::ForeignFormat;
use record::Record;
pub use source::Source;

/// The number of lines that are written in one transaction.
const CHUNK: usize = 500;
/// The maximum length of a validation error in the report, in characters.
const MAX_ERROR_LENGTH: usize = 500;
/// The byte order mark, with which some programs begin a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// An invalid line, with all its errors.
#[derive(Debug)]
pub struct InvalidLine {
    /// The number of the line, counted from 1.
    pub number: u64,
    /// The errors, each as `path: message`.
    pub errors: Vec<String>,
}

impl InvalidLine {
    /// Creates an entry of the report. Errors may quote the line, so they are shortened, and control characters and invisible
    /// characters are replaced.
    fn new(number: u64, errors: impl IntoIterator<Item = String>) -> Self {
        let is_printable = |c: char| !text::is_control(c) && !text::is_invisible(c);
        let printable = |c: char| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER };
        let shortened = |error: String| error.chars().take(MAX_ERROR_LENGTH).map(printable).collect();
        Self { number, errors: errors.into_iter().map(shortened).collect() }
    }
}

/// The result of the lines that were read.
#[derive(Debug, Default)]
pub struct ImportSummary {
    pub created: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub invalid: Vec<InvalidLine>,
    /// Lines that are valid except for a password hash that cannot be used; their users are imported without it.
    pub without_password: Vec<InvalidLine>,
    /// The number of weak password hashes that were imported, by family.
    pub weak_passwords: BTreeMap<&'static str, u64>,
}

/// Imports records into one license.
pub struct Importer<'a> {
    db: &'a Db,
    license_id: Id,
    write: bool,
    institutions: NameIndex,
    groups: NameIndex,
    seen: users::SeenKeys,
    summary: ImportSummary,
}

/// The objects that records may refer to, by id and by name.
#[derive(Default)]
struct NameIndex {
    ids: HashSet<Id>,
    by_name: HashMap<String, Vec<Id>>,
    by_external_id: HashMap<String, Id>,
}

impl NameIndex {
    fn add(&mut self, id: Id, name: &str, external_id: Option<&str>) {
        if !self.ids.insert(id) {
            // Its previous name and external id may have been different.
            self.by_name.values_mut().for_each(|named| named.retain(|named| *named != id));
            self.by_name.retain(|_, named| !named.is_empty());
            self.by_external_id.retain(|_, other| *other != id);
        }
        self.by_name.entry(name.to_owned()).or_default().push(id);
        if let Some(external_id) = external_id {
            self.by_external_id.insert(external_id.to_owned(), id);
        }
    }

    /// Returns the only object with a name, or `None` if there is none.
    fn find_by_name(&self, name: &str) -> Result<Option<Id>, String> {
        match self.by_name.get(name).map(Vec::as_slice) {
            Some([id]) => Ok(Some(*id)),
            Some(_) => Err(format!("Several have the name {name:?}; refer to one by its id.")),
            None => Ok(None),
        }
    }

    /// Returns the object with an id or a name.
    fn find(&self, reference: &str) -> Result<Id, String> {
        if let Some(id) = Id::parse(reference).filter(|id| self.ids.contains(id)) {
            return Ok(id);
        }
        self.find_by_name(reference)?.ok_or_else(|| format!("Nothing has the id or name {reference:?}."))
    }

    /// Returns the object with an id or a name, or with an external id if none has that name.
    fn find_by_any(&self, reference: &str) -> Result<Id, String> {
        self.find(reference).or_else(|error| self.by_external_id.get(reference).copied().ok_or(error))
    }
}

/// Validates a whole file without writing anything.
///
/// # Errors
/// The file cannot be read, or the database fails.
pub async fn check(
    db: &Db,
    license_id: Id,
    file: impl BufRead,
    progress: impl Fn(u64),
) -> anyhow::Result<ImportSummary> {
    let mut importer = Importer::new(db, license_id, false).await?;
    importer.import_lines(file, progress).await?;
    Ok(importer.summary)
}

/// Imports a file. Invalid lines are skipped and reported.
///
/// # Errors
/// The file cannot be read, or the database fails.
pub async fn load(
    db: &Db,
    license_id: Id,
    file: impl BufRead,
    progress: impl Fn(u64),
) -> anyhow::Result<ImportSummary> {
    let mut importer = Importer::new(db, license_id, true).await?;
    importer.import_lines(file, progress).await?;
    Ok(importer.summary)
}

/// Imports records that were generated instead of read from a file.
pub async fn load_records(
    db: &Db,
    license_id: Id,
    records: impl Iterator<Item = Record>,
    progress: impl Fn(u64),
) -> Result<ImportSummary, Error> {
    let mut importer = Importer::new(db, license_id, true).await?;
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut number = 0;
    for record in records {
        number += 1;
        chunk.push((number, record));
        if chunk.len() == CHUNK {
            importer.import_chunk(std::mem::take(&mut chunk)).await?;
            progress(number);
        }
    }
    importer.import_chunk(chunk).await?;
    progress(number);
    Ok(importer.summary)
}

impl<'a> Importer<'a> {
    async fn new(db: &'a Db, license_id: Id, write: bool) -> Result<Self, Error> {
        let mut institutions = NameIndex::default();
        let rows: Vec<(Id, String, Option<String>)> = institution::Entity::find()
            .select_only()
            .columns([institution::Column::Id, institution::Column::Name, institution::Column::ExternalId])
            .filter(of_license(institution::Column::LicenseId, license_id))
            .into_tuple()
            .all(db.read())
            .await?;
        for (id, name, external_id) in rows {
            institutions.add(id, &name, external_id.as_deref());
        }
        let mut groups = NameIndex::default();
        let rows: Vec<(Id, String)> = group::Entity::find()
            .select_only()
            .columns([group::Column::Id, group::Column::Name])
            .filter(of_license(group::Column::LicenseId, license_id))
            .into_tuple()
            .all(db.read())
            .await?;
        for (id, name) in rows {
            groups.add(id, &name, None);
        }
        Ok(Self {
            db,
            license_id,
            write,
            institutions,
            groups,
            seen: users::SeenKeys::default(),
            summary: ImportSummary::default(),
        })
    }

    async fn import_lines(&mut self, mut file: impl BufRead, progress: impl Fn(u64)) -> anyhow::Result<()> {
        let (mut number, mut bytes, mut chunk) = (0, 0, Vec::with_capacity(CHUNK));
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = file.read_until(b'\n', &mut text)?;
            if length == 0 {
                break;
            }
            number += 1;
            bytes += length as u64;
            let line = if number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text) } else { &text };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse::parse(line) {
                Ok(record) => chunk.push((number, record)),
                Err(errors) => self.summary.invalid.push(InvalidLine::new(number, errors)),
            }
            if chunk.len() == CHUNK {
                self.import_chunk(std::mem::take(&mut chunk)).await?;
                progress(bytes);
            }
        }
        self.import_chunk(chunk).await?;
        progress(bytes);
        self.summary.invalid.sort_by_key(|line| line.number);
        self.summary.without_password.sort_by_key(|line| line.number);
        Ok(())
    }

    /// Imports records in their order. Institutions and groups come before the users of the same chunk, which may refer to them.
    /// The events of the chunk are sealed, so that the progress tells how much is left of all.
    async fn import_chunk(&mut self, chunk: Vec<(u64, Record)>) -> Result<(), Error> {
        let mut users = Vec::with_capacity(chunk.len());
        for (number, record) in chunk {
            match record {
                Record::User(record) => users.push((number, *record)),
                Record::Institution(record) => self.import_institution(number, record).await?,
                Record::Group(record) => self.import_group(number, record).await?,
            }
        }
        self.import_users(users).await?;
        if self.write {
            sealer::try_to_seal(self.db).await;
        }
        Ok(())
    }

    fn reject(&mut self, number: u64, error: Error) -> Result<(), Error> {
        self.reject_with(number, error, None)
    }

    /// Records an invalid line, with the validation errors and one more if there is one.
    fn reject_with(&mut self, number: u64, error: Error, more: Option<String>) -> Result<(), Error> {
        match error {
            Error::Rejected(errors) => {
                self.summary.invalid.push(InvalidLine::new(number, errors.iter().map(error_text).chain(more)));
                Ok(())
            }
            other => Err(other),
        }
    }
}

fn error_text(error: &MutationError) -> String {
    let path: Vec<&str> = error.path.iter().skip(1).map(String::as_str).collect();
    format!("{}: {}", path.join("."), error.message)
}
