//! Imports institutions and groups, which users refer to.

use sea_orm::{EntityTrait, IntoActiveModel, PrimaryKeyTrait, QuerySelect};

use super::Importer;
use super::record::{GroupRecord, InstitutionRecord};
use crate::access::is_same_license;
use crate::audit::{self, Entry, difference};
use crate::db::rows;
use crate::entity::audit_event::AuditAction;
use crate::entity::subject::Subject;
use crate::entity::versioned::{self, Versioned};
use crate::entity::{group, institution};
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::validation::Validator;

/// The audit actions for a new row and for a changed one.
#[derive(Clone, Copy)]
struct Actions {
    created: AuditAction,
    updated: AuditAction,
}

impl Importer<'_> {
    pub(super) async fn import_institution(&mut self, number: u64, record: InstitutionRecord) -> Result<(), Error> {
        let external_id = record.fields.external_id.as_opt_ref().flatten().map(|id| id.trim().to_owned());
        let name = record.core.name.as_opt_ref().flatten().map(|name| name.trim().to_owned());
        let by_external_id = external_id.as_ref().and_then(|id| self.institutions.by_external_id.get(id).copied());
        let by_name = name.as_ref().and_then(|name| self.institutions.find(name).ok());
        let by_id = record.id.filter(|id| self.institutions.ids.contains(id));
        let by_name = if external_id.is_none() { by_name } else { None };
        let id = by_id.or(by_external_id).or(record.id).or(by_name);
        let old = match id {
            Some(id) => institution::Entity::find_by_id(id).one(self.db.read()).await?,
            None => None,
        };
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return self.reject(number, Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut validator = if old.is_some() { Validator::changing() } else { Validator::importing() };
        let empty = institution::Model::empty(id.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(|| empty.clone());
        row.apply(record.core, record.fields, &mut validator);
        if by_external_id.is_some_and(|id| id != row.id) {
            validator.add_error("externalId", ErrorCode::Taken, "This external id is taken.");
        }
        self.check_first_mention(row.id, "institution", &mut validator);
        if let Err(error) = validator.finish() {
            return self.reject(number, error);
        }
        self.institutions.add(row.id, &row.name, row.external_id.as_deref());
        let actions = Actions { created: AuditAction::InstitutionCreated, updated: AuditAction::InstitutionUpdated };
        self.write_row(actions, old, &empty, row).await
    }

    pub(super) async fn import_group(&mut self, number: u64, record: GroupRecord) -> Result<(), Error> {
        let name = record.fields.name.as_opt_ref().flatten().map(|name| name.trim().to_owned());
        let by_name = name.as_ref().filter(|_| record.id.is_none()).map(|name| self.groups.find_by_name(name));
        let id = match by_name.transpose() {
            Ok(by_name) => record.id.or(by_name.flatten()),
            Err(message) => return self.reject(number, Error::rejected("name", ErrorCode::Invalid, message)),
        };
        let old = match id {
            Some(id) => group::Entity::find_by_id(id).one(self.db.read()).await?,
            None => None,
        };
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return self.reject(number, Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut validator = if old.is_some() { Validator::changing() } else { Validator::importing() };
        let empty = group::Model::empty(id.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(|| empty.clone());
        row.apply(record.fields, &mut validator);
        self.check_first_mention(row.id, "group", &mut validator);
        if let Err(error) = validator.finish() {
            return self.reject(number, error);
        }
        self.groups.add(row.id, &row.name, None);
        let actions = Actions { created: AuditAction::GroupCreated, updated: AuditAction::GroupUpdated };
        self.write_row(actions, old, &empty, row).await
    }

    /// Writes a row if it is new or changed. The audit event of a new row lists the differences from `empty`.
    #[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
    async fn write_row<M>(&mut self, actions: Actions, old: Option<M>, empty: &M, row: M) -> Result<(), Error>
    where
        M: Subject + Versioned + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + PartialEq,
        M::Entity: EntityTrait<Model = M>,
        <M::Entity as EntityTrait>::PrimaryKey: PrimaryKeyTrait<ValueType = Id>,
        <M::Entity as EntityTrait>::ActiveModel: Send,
    {
        if !self.count_row(old.as_ref(), &row) || !self.write {
            return Ok(());
        }
        let transaction = self.db.begin().await?;
        let (id, _) = row.ids();
        if old.is_some() && M::Entity::find_by_id(id).lock_exclusive().one(&transaction).await? != old {
            let message = "The record was changed during the import; import the file again.";
            return Err(Error::rejected("id", ErrorCode::Conflict, message));
        }
        let action = if old.is_some() { actions.updated } else { actions.created };
        let event = Entry::new(action, &row).with(difference(old.as_ref().unwrap_or(empty), &row));
        match &old {
            Some(old) => {
                versioned::save(&transaction, old, row).await?;
            }
            None => rows::insert(&transaction, row).await?,
        }
        audit::commit(transaction, [event]).await
    }

    /// Counts a row. Returns whether it is new or changed.
    fn count_row<M: PartialEq>(&mut self, old: Option<&M>, row: &M) -> bool {
        let count = match old {
            Some(old) if old == row => {
                self.summary.unchanged += 1;
                return false;
            }
            Some(_) => &mut self.summary.changed,
            None => &mut self.summary.created,
        };
        *count += 1;
        true
    }
}
