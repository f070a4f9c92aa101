//! A snapshot of a license: its rows in pages, in the order of their ids.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::access::of_license;
use crate::attribute_values::{self, Values};
use crate::db::Db;
use crate::db::conditions::one_of;
use crate::entity::{
    attribute_definition, audit_event, avatar, credential, group, institution, license, membership, pin, site_access,
    user,
};
use crate::error::Error;
use crate::scalar::Id;

/// The number of rows that are read at once, and that of users with pictures.
const PAGE: u64 = 500;
const PAGE_WITH_PICTURES: u64 = 20;

/// Data that is exported besides the fields of users.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Content {
    pub(in crate::cli) secrets: bool,
    pub(in crate::cli) avatars: bool,
}

/// A license at one moment.
pub(in crate::cli) struct Snapshot {
    transaction: DatabaseTransaction,
    pub(super) license: license::Model,
    /// The definitions of custom attributes, by id.
    pub(super) definitions: BTreeMap<Id, attribute_definition::Model>,
    content: Content,
}

/// A user with the rows that belong to it.
pub(super) struct ExportedUser {
    pub(super) row: user::Model,
    pub(super) memberships: Vec<membership::Model>,
    pub(super) grants: Vec<site_access::Model>,
    pub(super) attributes: Values,
    pub(super) password_hash: Option<String>,
    pub(super) pin_hash: Option<String>,
    pub(super) avatar: Option<avatar::Model>,
}

impl Snapshot {
    pub(in crate::cli) async fn of(db: &Db, license: license::Model, content: Content) -> Result<Self, Error> {
        let transaction = db.snapshot().await?;
        let definitions = attribute_values::definitions(&transaction, license.id).await?;
        let definitions = definitions.into_values().map(|definition| (definition.id, definition)).collect();
        Ok(Self { transaction, license, definitions, content })
    }

    /// Ends the snapshot.
    pub(in crate::cli) async fn end(self) -> Result<(), Error> {
        Ok(self.transaction.rollback().await?)
    }

    /// Passes each institution to `write`, in the order of their IDs.
    pub(super) async fn for_each_institution(
        &self,
        mut write: impl FnMut(&institution::Model) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after: Option<Id> = None;
        loop {
            let all = institution::Entity::find().filter(of_license(institution::Column::LicenseId, self.license.id));
            let rows = all.filter(after_id(institution::Column::Id, after)).order_by_asc(institution::Column::Id);
            let page = rows.limit(PAGE).all(&self.transaction).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            page.iter().try_for_each(&mut write)?;
        }
    }

    /// Passes each group to `write`, in the order of their IDs.
    pub(super) async fn for_each_group(
        &self,
        mut write: impl FnMut(&group::Model) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after: Option<Id> = None;
        loop {
            let page = self.groups(after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            page.iter().try_for_each(&mut write)?;
        }
    }

    /// Passes each user to `write`, with everything that belongs to the user, in the order of their IDs.
    pub(super) async fn for_each_user(
        &self,
        mut write: impl FnMut(&ExportedUser) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after: Option<Id> = None;
        loop {
            let page = self.users(after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.row.id);
            page.iter().try_for_each(&mut write)?;
        }
    }

    /// Returns the groups after an id.
    pub(super) async fn groups(&self, after: Option<Id>) -> Result<Vec<group::Model>, Error> {
        let all = group::Entity::find().filter(of_license(group::Column::LicenseId, self.license.id));
        let rows = all.filter(after_id(group::Column::Id, after)).order_by_asc(group::Column::Id);
        Ok(rows.limit(PAGE).all(&self.transaction).await?)
    }

    /// Returns the ids of a group's members after an id.
    pub(super) async fn members(&self, group_id: Id, after: Option<Id>) -> Result<Vec<Id>, Error> {
        let all = membership::Entity::find().filter(membership::Column::GroupId.eq(group_id));
        let rows = all.filter(after_id(membership::Column::UserId, after)).order_by_asc(membership::Column::UserId);
        let rows = rows.limit(PAGE).all(&self.transaction).await?;
        Ok(rows.into_iter().map(|row| row.user_id).collect())
    }

    /// Returns the audit events after a number.
    pub(super) async fn audit_events(&self, after: i64) -> Result<Vec<audit_event::Model>, Error> {
        let all = audit_event::Entity::find().filter(of_license(audit_event::Column::LicenseId, self.license.id));
        let rows = all.filter(audit_event::Column::Seq.gt(after)).order_by_asc(audit_event::Column::Seq);
        Ok(rows.limit(PAGE).all(&self.transaction).await?)
    }

    /// Returns the number of users and groups.
    pub(super) async fn count(&self) -> Result<u64, Error> {
        let users = user::Entity::find().filter(of_license(user::Column::LicenseId, self.license.id));
        let groups = group::Entity::find().filter(of_license(group::Column::LicenseId, self.license.id));
        Ok(users.count(&self.transaction).await? + groups.count(&self.transaction).await?)
    }

    /// Returns the users after an id, each with everything that belongs to it.
    async fn users(&self, after: Option<Id>) -> Result<Vec<ExportedUser>, Error> {
        let page = if self.content.avatars { PAGE_WITH_PICTURES } else { PAGE };
        let all = user::Entity::find().filter(of_license(user::Column::LicenseId, self.license.id));
        let rows = all.filter(after_id(user::Column::Id, after)).order_by_asc(user::Column::Id);
        let rows = rows.limit(page).all(&self.transaction).await?;
        let ids: Vec<Id> = rows.iter().map(|user| user.id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut related = Related::read(&self.transaction, &ids, self.content).await?;
        Ok(rows.into_iter().map(|row| related.take(row)).collect())
    }
}

/// The rows that belong to the users of a page.
#[derive(Default)]
struct Related {
    memberships: HashMap<Id, Vec<membership::Model>>,
    grants: HashMap<Id, Vec<site_access::Model>>,
    attributes: BTreeMap<Id, Values>,
    passwords: HashMap<Id, String>,
    pins: HashMap<Id, String>,
    avatars: HashMap<Id, avatar::Model>,
}

impl Related {
    async fn read(db: &DatabaseTransaction, ids: &[Id], content: Content) -> Result<Self, Error> {
        let mut related = Self::default();
        let (backend, ids) = (db.get_database_backend(), || ids.iter().copied());
        let of_users = one_of(backend, membership::Column::UserId, ids());
        let memberships = membership::Entity::find().filter(of_users).order_by_asc(membership::Column::GroupId);
        for row in memberships.all(db).await? {
            related.memberships.entry(row.user_id).or_default().push(row);
        }
        let of_users = one_of(backend, site_access::Column::UserId, ids());
        let grants = site_access::Entity::find().filter(of_users).order_by_asc(site_access::Column::InstitutionId);
        for row in grants.all(db).await? {
            related.grants.entry(row.user_id).or_default().push(row);
        }
        related.attributes = attribute_values::values(db, ids()).await?;
        if content.secrets {
            let of_users = one_of(backend, credential::Column::UserId, ids());
            let passwords = credential::Entity::find().filter(of_users).all(db).await?;
            related.passwords = passwords.into_iter().map(|row| (row.user_id, row.password_hash)).collect();
            let of_users = one_of(backend, pin::Column::UserId, ids());
            let pins = pin::Entity::find().filter(of_users).all(db).await?;
            related.pins = pins.into_iter().map(|row| (row.user_id, row.pin_hash)).collect();
        }
        if content.avatars {
            let of_users = one_of(backend, avatar::Column::UserId, ids());
            let avatars = avatar::Entity::find().filter(of_users).all(db).await?;
            related.avatars = avatars.into_iter().map(|row| (row.user_id, row)).collect();
        }
        Ok(related)
    }

    fn take(&mut self, row: user::Model) -> ExportedUser {
        let id = row.id;
        ExportedUser {
            row,
            memberships: self.memberships.remove(&id).unwrap_or_default(),
            grants: self.grants.remove(&id).unwrap_or_default(),
            attributes: self.attributes.remove(&id).unwrap_or_default(),
            password_hash: self.passwords.remove(&id),
            pin_hash: self.pins.remove(&id),
            avatar: self.avatars.remove(&id),
        }
    }
}

/// Returns the condition that a row comes after an id.
fn after_id(column: impl ColumnTrait, after: Option<Id>) -> sea_orm::sea_query::Condition {
    sea_orm::sea_query::Condition::all().add_option(after.map(|id| column.gt(id)))
}
