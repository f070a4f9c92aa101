//! Imports institutions and groups, which users refer to.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::draft::storable;
use super::importer::Importer;
use super::origin::Origin;
use super::place::Place;
use super::reader::Parsed;
use super::record::{GroupRecord, History, InstitutionRecord, RecordKind};
use super::report::Outcome;
use crate::access::is_same_license;
use crate::audit::{self, Entry, difference};
use crate::db::Transaction;
use crate::db::batch::{self, IfExists};
use crate::db::conditions::one_of;
use crate::entity::audit_event::AuditAction;
use crate::entity::subject::Subject;
use crate::entity::versioned::Versioned;
use crate::entity::{external_reference, group, institution};
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::validation::{Validator, rule};

/// A row before and after the import. The audit event of a new row lists the differences from `empty`.
struct ImportedRow<M> {
    old: Option<M>,
    empty: M,
    row: M,
}

/// The rows of a chunk that are new or change, and their events.
struct RowChanges<M> {
    created: Vec<M>,
    updated: Vec<M>,
    entries: Vec<Entry>,
}

impl Importer<'_> {
    pub(super) async fn import_institutions(&mut self, records: Vec<Parsed<InstitutionRecord>>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let transaction = self.begin_alone().await?;
        let ids = records.iter().flat_map(|parsed| self.ids_of_institution(&parsed.record)).flatten().collect();
        let existing = self.existing::<institution::Entity>(transaction.as_ref(), institution::Column::Id, ids).await?;
        let existing: HashMap<Id, institution::Model> = existing.into_iter().map(|row| (row.id, row)).collect();
        let mut changes = RowChanges::new();
        for Parsed { origin, record, faults } in records {
            if self.is_left_as_it_is(&origin, RecordKind::Institution, record.id)? {
                continue;
            }
            match self.validate_institution(record, origin.place, &existing) {
                Ok(row) if faults.is_empty() => {
                    let actions = [AuditAction::InstitutionCreated, AuditAction::InstitutionUpdated];
                    self.add_row(&origin, RecordKind::Institution, row, actions, &mut changes)?;
                }
                result => self.reject(&origin, RecordKind::Institution, faults, result.err())?,
            }
        }
        changes.write(transaction).await
    }

    /// Returns the ids that may identify the institution of a record: its own, then those of the existing institutions with its
    /// external ID or one of its references, and with its name.
    fn ids_of_institution(&self, record: &InstitutionRecord) -> [Option<Id>; 3] {
        let external_id = record.fields.external_id.as_opt_ref().flatten().map(|id| id.trim());
        let name = record.core.name.as_opt_ref().flatten().map(|name| name.trim());
        let by_external_id = external_id.and_then(|id| self.institutions.by_external_id.get(id).copied());
        let references = &record.fields.external_references;
        let by_external_id = by_external_id.or_else(|| self.institutions.find_by_references(references));
        let by_name = name.filter(|_| external_id.is_none()).and_then(|name| self.institutions.find(name).ok());
        let by_name = by_name.filter(|id| self.institutions.is_free(*id, references));
        [record.id, by_external_id, by_name]
    }

    fn validate_institution(
        &mut self,
        record: InstitutionRecord,
        place: Place,
        existing: &HashMap<Id, institution::Model>,
    ) -> Result<ImportedRow<institution::Model>, Error> {
        let [own, by_external_id, by_name] = self.ids_of_institution(&record);
        let known = own.filter(|id| self.institutions.ids.contains(id));
        let id = known.or(by_external_id).or(own).or(by_name);
        let old = id.and_then(|id| existing.get(&id)).cloned();
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return Err(Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut validator = if old.is_some() { Validator::reimporting() } else { Validator::importing() };
        let empty = institution::Model::empty(id.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(|| empty.clone());
        row.apply(record.core, record.fields, &mut validator);
        if old.is_none() {
            let History { created_at, modified_at, version } = record.history.checked(&mut validator);
            row.created_at = created_at.unwrap_or(row.created_at);
            row.modified_at = modified_at.unwrap_or(row.modified_at);
            row.version = version.unwrap_or(row.version);
        }
        let holder = row.external_id.as_ref().and_then(|id| self.institutions.by_external_id.get(id));
        if holder.is_some_and(|id| *id != row.id) {
            validator.add_error("externalId", ErrorCode::Taken, "This external ID is taken.");
        }
        if self.institutions.is_taken(row.id, row.external_references.as_ref()) {
            validator.add_error(external_reference::FIELD, ErrorCode::Taken, external_reference::TAKEN);
        }
        self.check_first_mention(RecordKind::Institution, row.id, place, &mut validator);
        validator.finish()?;
        self.institutions.add(row.id, &row.name, row.external_id.as_deref(), row.external_references.as_ref());
        Ok(ImportedRow { old, empty, row })
    }

    pub(super) async fn import_groups(&mut self, records: Vec<Parsed<GroupRecord>>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let transaction = self.begin_alone().await?;
        let ids = records.iter().filter_map(|parsed| self.id_of_group(&parsed.record).ok().flatten()).collect();
        let existing = self.existing::<group::Entity>(transaction.as_ref(), group::Column::Id, ids).await?;
        let existing: HashMap<Id, group::Model> = existing.into_iter().map(|row| (row.id, row)).collect();
        let mut changes = RowChanges::new();
        for Parsed { origin, record, faults } in records {
            if self.is_left_as_it_is(&origin, RecordKind::Group, record.id)? {
                continue;
            }
            match self.validate_group(record, origin.place, &existing) {
                Ok(row) if faults.is_empty() => {
                    let actions = [AuditAction::GroupCreated, AuditAction::GroupUpdated];
                    self.add_row(&origin, RecordKind::Group, row, actions, &mut changes)?;
                }
                result => self.reject(&origin, RecordKind::Group, faults, result.err())?,
            }
        }
        changes.write(transaction).await
    }

    /// Returns the id that identifies the group of a record: its own, or that of the existing group with one of its references or
    /// with its name.
    fn id_of_group(&self, record: &GroupRecord) -> Result<Option<Id>, String> {
        let own = record.id.filter(|id| self.groups.ids.contains(id));
        let known = own.or_else(|| self.groups.find_by_references(&record.fields.external_references));
        if known.is_some() {
            return Ok(known);
        }
        let name = record.fields.name.as_opt_ref().flatten().filter(|_| record.id.is_none());
        let by_name = name.map(|name| self.groups.find_by_name(name.trim())).transpose()?;
        let by_name = by_name.flatten().filter(|id| self.groups.is_free(*id, &record.fields.external_references));
        Ok(record.id.or(by_name))
    }

    fn validate_group(
        &mut self,
        record: GroupRecord,
        place: Place,
        existing: &HashMap<Id, group::Model>,
    ) -> Result<ImportedRow<group::Model>, Error> {
        let id = self.id_of_group(&record);
        let id = id.map_err(|message| Error::rejected("name", ErrorCode::Invalid, message))?;
        let old = id.and_then(|id| existing.get(&id)).cloned();
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return Err(Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut validator = if old.is_some() { Validator::reimporting() } else { Validator::importing() };
        let empty = group::Model::empty(id.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(|| empty.clone());
        row.apply(record.fields, &mut validator);
        if old.is_none() {
            let History { created_at, modified_at, version } = record.history.checked(&mut validator);
            row.created_at = created_at.unwrap_or(row.created_at);
            row.modified_at = modified_at.unwrap_or(row.modified_at);
            row.version = version.unwrap_or(row.version);
        }
        if self.groups.is_taken(row.id, row.external_references.as_ref()) {
            validator.add_error(external_reference::FIELD, ErrorCode::Taken, external_reference::TAKEN);
        }
        self.check_first_mention(RecordKind::Group, row.id, place, &mut validator);
        validator.finish()?;
        self.groups.add(row.id, &row.name, None, row.external_references.as_ref());
        Ok(ImportedRow { old, empty, row })
    }

    /// Returns the existing rows with ids. Within a transaction they are locked until it ends.
    async fn existing<E: EntityTrait>(
        &self,
        transaction: Option<&Transaction>,
        id: E::Column,
        ids: Vec<Id>,
    ) -> Result<Vec<E::Model>, Error> {
        let rows = |backend| E::find().filter(one_of(backend, id, ids)).order_by_asc(id);
        Ok(match transaction {
            Some(transaction) => rows(transaction.get_database_backend()).lock_exclusive().all(transaction).await?,
            None => rows(self.db.read().get_database_backend()).all(self.db.read()).await?,
        })
    }

    /// Counts and reports a row, and adds it to the changes if it is new or changes. The actions are those of a new row and of a
    /// changed one.
    fn add_row<M: Subject + Versioned + PartialEq>(
        &mut self,
        origin: &Origin,
        kind: RecordKind,
        row: ImportedRow<M>,
        [created, updated]: [AuditAction; 2],
        changes: &mut RowChanges<M>,
    ) -> Result<(), Error> {
        let (id, _) = row.row.ids();
        let (outcome, action) = match &row.old {
            Some(old) if *old == row.row => (Outcome::Unchanged, updated),
            Some(_) => (Outcome::Changed, updated),
            None => (Outcome::Created, created),
        };
        self.summary.count(outcome);
        if outcome != Outcome::Unchanged {
            changes.add(row, action);
        }
        self.report.row(origin, kind, Some(id), outcome)
    }
}

impl History {
    /// Returns the values that can be stored; adds errors for the others.
    fn checked(self, validator: &mut Validator) -> Self {
        let created_at = storable("createdAt", self.created_at, validator);
        let modified_at = storable("modifiedAt", self.modified_at, validator);
        let version = self.version.and_then(|version| validator.check("version", rule::between(1, i32::MAX)(version)));
        Self { created_at, modified_at, version }
    }
}

impl<M: Subject + Versioned> RowChanges<M> {
    fn new() -> Self {
        Self { created: Vec::new(), updated: Vec::new(), entries: Vec::new() }
    }

    fn add(&mut self, row: ImportedRow<M>, action: AuditAction) {
        let ImportedRow { old, empty, mut row } = row;
        let changes = difference(old.as_ref().unwrap_or(&empty), &row);
        self.entries.push(Entry::new(action, &row).with(changes));
        if old.is_some() {
            row.advance();
            self.updated.push(row);
        } else {
            self.created.push(row);
        }
    }

    /// Writes the rows with their events, if there is a transaction.
    async fn write(self, transaction: Option<Transaction>) -> Result<(), Error> {
        let Some(transaction) = transaction else { return Ok(()) };
        batch::insert(&transaction, &self.created, IfExists::Fail).await?;
        batch::update(&transaction, &self.updated).await?;
        audit::commit_sealed(transaction, audit::prepare(self.entries)?).await
    }
}
