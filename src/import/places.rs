//! Institutions and groups: what people refer to.

use sea_orm::{ActiveModelBehavior, ActiveModelTrait, EntityTrait, FromQueryResult, IntoActiveModel, ModelTrait};

use super::Importer;
use super::record::{GroupRecord, InstitutionRecord};
use crate::entity::{group, institution};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::scalar::now;

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
        if old.as_ref().is_some_and(|old| old.license_id != self.license_id) {
            return self.reject(number, Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut form = if old.is_some() { Form::changing() } else { Form::importing() };
        let blank = || institution::Model::blank(known.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(blank);
        row.lay_over(record.core, record.fields, &mut form);
        if by_external_id.is_some_and(|id| id != row.id) {
            form.fault("externalId", ErrorCode::Taken, "This external id is taken.");
        }
        self.note_seen(row.id, "institution", &mut form);
        if let Err(error) = form.finish() {
            return self.reject(number, error);
        }
        self.institutions.add(row.id, &row.name, row.external_id.as_deref());
        self.put(old, row, |row| {
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
        if old.as_ref().is_some_and(|old| old.license_id != self.license_id) {
            return self.reject(number, Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        let mut form = if old.is_some() { Form::changing() } else { Form::importing() };
        let blank = || group::Model::blank(known.unwrap_or_default(), self.license_id);
        let mut row = old.clone().unwrap_or_else(blank);
        row.lay_over(record.fields, &mut form);
        self.note_seen(row.id, "group", &mut form);
        if let Err(error) = form.finish() {
            return self.reject(number, error);
        }
        self.groups.add(row.id, &row.name, None);
        self.put(old, row, |row| {
            row.modified_at = now();
            row.version += 1;
        })
        .await
    }

    /// Writes a row that is new or has changed.
    async fn put<M, A>(&mut self, old: Option<M>, mut row: M, touch: impl FnOnce(&mut M)) -> Result<(), Error>
    where
        M: ModelTrait + IntoActiveModel<A> + FromQueryResult + Send + Sync + PartialEq,
        M::Entity: EntityTrait<Model = M>,
        A: ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
    {
        match old {
            Some(old) if old == row => self.tally.unchanged += 1,
            Some(_) => {
                touch(&mut row);
                self.tally.changed += 1;
                if self.write {
                    row.into_active_model().reset_all().update(self.db.write()).await?;
                }
            }
            None => {
                self.tally.created += 1;
                if self.write {
                    M::Entity::insert(row.into_active_model().reset_all())
                        .exec_without_returning(self.db.write())
                        .await?;
                }
            }
        }
        Ok(())
    }
}
