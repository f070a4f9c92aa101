//! The license that the rows of a file are imported into.

use anyhow::Context as _;

use crate::cli::config::Import;
use crate::db::Db;
use crate::entity::license::{LicenseKind, Model, UNKNOWN_HOLDER};
use crate::import::record::LicenseRecord;
use crate::import::{LicenseRow, Source};
use crate::license::{self, NewLicense};
use crate::scalar::{Date, Id};

/// The license to import into, and its terms if it is to be created.
pub(super) struct Target {
    pub(super) id: Id,
    pub(super) number: String,
    holder: String,
    expires_on: Option<Date>,
    new: Option<NewLicense>,
    /// The last day of the license in the file of another system, if it is not imported.
    pub(super) ignored_end: Option<Date>,
}

impl Target {
    /// Finds the license for the rows of a file, or of its first part.
    pub(super) async fn find(db: &Db, import: &Import, source: &Source) -> anyhow::Result<Self> {
        let named = source.named_license()?;
        let end = named.as_ref().and_then(|record| record.expires_on);
        let target = Self::find_or_name(db, import, source, named).await?;
        let ignored_end = end.filter(|end| target.expires_on != Some(*end));
        Ok(Self { ignored_end, ..target })
    }

    /// Finds the license for the rows, which is the one that rows of another system name if that is possible.
    async fn find_or_name(
        db: &Db,
        import: &Import,
        source: &Source,
        named: Option<LicenseRecord>,
    ) -> anyhow::Result<Self> {
        let holder = import.holder.as_deref().unwrap_or(UNKNOWN_HOLDER);
        if import.license.is_none() {
            if let Some(license) = source.license()? {
                return Self::of_row(db, source, &license).await;
            }
            let is_empty = license::list(db).await?.is_empty();
            if let Some(record) = named {
                // With a last day that has passed, nobody could sign in.
                let expires_on = record.expires_on.filter(|last| *last >= Date::today());
                // Another system does not decide that there is one more license.
                let holder = import.holder.clone().unwrap_or(record.holder);
                let target = Self::of_record(db, LicenseRecord { holder, expires_on, ..record }).await?;
                if is_empty || target.new.is_none() {
                    return Ok(target);
                }
            }
            if is_empty {
                return Ok(Self::new(Id::new(), NewLicense::first("1", holder)));
            }
        }
        let found = license::resolve_or_create(db, import.license.as_deref(), holder).await?;
        Ok(Self::existing(found))
    }

    fn existing(license: Model) -> Self {
        let Model { id, number, holder, expires_on, .. } = license;
        Self { id, number, holder, expires_on, new: None, ignored_end: None }
    }

    fn new(id: Id, terms: NewLicense) -> Self {
        let NewLicense { number, holder, expires_on, .. } = terms.clone();
        Self { id, number, holder, expires_on, new: Some(terms), ignored_end: None }
    }

    /// Returns the license that a row describes.
    pub(super) async fn of_row(db: &Db, source: &Source, license: &LicenseRow) -> anyhow::Result<Self> {
        let record = license.record.clone();
        let invalid =
            || format!("{}: the license has no number, no holder, or an invalid value", source.name_of(license.place));
        Self::of_record(db, record.with_context(invalid)?).await
    }

    /// Returns the license that a file describes: the one with its id or its number, or a new one.
    async fn of_record(db: &Db, record: LicenseRecord) -> anyhow::Result<Self> {
        let LicenseRecord { id, number, holder, is_private, starts_on, expires_on } = record;
        if let Some(found) = license::find_same(db, id, &number).await? {
            return Ok(Self::existing(found));
        }
        let kind = if is_private { LicenseKind::Private } else { LicenseKind::Commercial };
        let starts_on = Some(starts_on.unwrap_or_else(Date::today));
        Ok(Self::new(id.unwrap_or_default(), NewLicense { number, holder, kind, starts_on, expires_on }))
    }

    /// Returns whether another target is the same license.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id || self.number == other.number
    }

    /// Returns whether the license is to be created.
    pub(super) fn is_new(&self) -> bool {
        self.new.is_some()
    }

    /// Returns the license in words, for the beginning of a sentence.
    pub(super) fn name(&self) -> String {
        let license = if self.is_new() { "New license" } else { "License" };
        format!("{license} {} ({})", self.number, self.holder)
    }

    /// Creates the license if it is a new one.
    pub(super) async fn create(&self, db: &Db) -> anyhow::Result<()> {
        if let Some(terms) = &self.new {
            license::create_with_id(db, self.id, terms.clone()).await?;
        }
        Ok(())
    }
}
