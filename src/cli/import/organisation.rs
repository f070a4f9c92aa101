//! Imports institutions and groups, which users refer to.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, EntityTrait, FromQueryResult, IntoActiveModel, PrimaryKeyTrait, QuerySelect,
};

use super::Importer;
use super::record::{GroupRecord, InstitutionRecord};
use crate::access::is_same_license;
use crate::audit::{self, Entry, difference};
use crate::entity::audit_event::AuditAction;
use crate::entity::subject::Subject;
use crate::entity::{group, institution};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, now};
use crate::validation::Validator;

impl Importer<'_> {
    pub(super) async fn take_institution(&mut self, number: u64, record: InstitutionRecord) -> Result<(), Error> {
        let external_id = record.fields.external_id.as_opt_ref().flatten().map(|id| id.trim().to_owned());
        let name = record.core.name.as_opt_ref().flatten().map(|name| name.trim().to_owned());
        let by_external_id = external_id.as_ref().and_then(|id| self.institutions.by_external_id.get(id).copied());
        let by_name = name.as_ref().and_then(|name| self.institutions.find(name).ok());
        let by_id = record.id.filter(|id| self.institutions.ids.contains(id));
        let by_name = if external_id.is_none() { by_name } else { None };
        let known = by_id.or(by_external_id).or(record.id).or(by_name);
        let old = match known {
            Some(id) => institution::Entity::find_by_id(id).one(self.db.read()).await?,
            None => None,
        };
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return self.reject(number, Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut form = if old.is_some() { Validator::changing() } else { Validator::importing() };
        let blank = institution::Model::empty(known.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(|| blank.clone());
        row.apply(record.core, record.fields, &mut form);
        if by_external_id.is_some_and(|id| id != row.id) {
            form.fault("externalId", ErrorCode::Taken, "This external id is taken.");
        }
        self.note_seen(row.id, "institution", &mut form);
        if let Err(error) = form.finish() {
            return self.reject(number, error);
        }
        self.institutions.add(row.id, &row.name, row.external_id.as_deref());
        let actions = (AuditAction::InstitutionCreated, AuditAction::InstitutionUpdated);
        self.put(actions, old, &blank, row, |row| {
            row.modified_at = now();
            row.version += 1;
        })
        .await
    }

    pub(super) async fn take_group(&mut self, number: u64, record: GroupRecord) -> Result<(), Error> {
        let name = record.fields.name.as_opt_ref().flatten().map(|name| name.trim().to_owned());
        let by_name = name.as_ref().filter(|_| record.id.is_none()).map(|name| self.groups.named(name));
        let known = match by_name.transpose() {
            Ok(by_name) => record.id.or(by_name.flatten()),
            Err(message) => return self.reject(number, Error::rejected("name", ErrorCode::Invalid, message)),
        };
        let old = match known {
            Some(id) => group::Entity::find_by_id(id).one(self.db.read()).await?,
            None => None,
        };
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return self.reject(number, Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut form = if old.is_some() { Validator::changing() } else { Validator::importing() };
        let blank = group::Model::empty(known.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(|| blank.clone());
        row.apply(record.fields, &mut form);
        self.note_seen(row.id, "group", &mut form);
        if let Err(error) = form.finish() {
            return self.reject(number, error);
        }
        self.groups.add(row.id, &row.name, None);
        let actions = (AuditAction::GroupCreated, AuditAction::GroupUpdated);
        self.put(actions, old, &blank, row, |row| {
            row.modified_at = now();
            row.version += 1;
        })
        .await
    }

    /// Writes a row if it is new or changed. The audit event of a new row lists the differences from `blank`.
    #[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
    async fn put<M, A>(
        &mut self,
        (created, updated): (AuditAction, AuditAction),
        old: Option<M>,
        blank: &M,
        mut row: M,
        touch: impl FnOnce(&mut M),
    ) -> Result<(), Error>
    where
        M: Subject + IntoActiveModel<A> + FromQueryResult + Clone + Send + Sync + PartialEq,
        M::Entity: EntityTrait<Model = M>,
        <M::Entity as EntityTrait>::PrimaryKey: PrimaryKeyTrait<ValueType = Id>,
        A: ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
    {
        let changes = difference(old.as_ref().unwrap_or(blank), &row);
        let tally = match &old {
            Some(old) if *old == row => {
                self.tally.unchanged += 1;
                return Ok(());
            }
            Some(_) => &mut self.tally.changed,
            None => &mut self.tally.created,
        };
        *tally += 1;
        if !self.write {
            return Ok(());
        }
        let transaction = self.db.begin().await?;
        let (id, _) = row.ids();
        if old.is_some() && M::Entity::find_by_id(id).lock_exclusive().one(&transaction).await? != old {
            let message = "The record was changed during the import; import the file again.";
            return Err(Error::rejected("id", ErrorCode::Conflict, message));
        }
        let action = if old.is_some() { updated } else { created };
        let event = Entry::new(action, &row).with(changes);
        if old.is_some() {
            touch(&mut row);
            row.into_active_model().reset_all().update(&transaction).await?;
        } else {
            M::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(&transaction).await?;
        }
        audit::commit(transaction, [event]).await
    }
}
