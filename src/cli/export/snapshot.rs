//! A snapshot of a license: its rows in pages, in the order of their ids.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::access::of_license;
use crate::attribute_values;
use crate::db::Db;
use crate::entity::{attribute_definition, audit_event, group, institution, license, membership, user};
use crate::error::Error;
use crate::export::{ExportContent, ExportedUser};
use crate::scalar::Id;

/// The number of rows that are read at once, and that of users with pictures.
const PAGE: u64 = 500;
const PAGE_WITH_PICTURES: u64 = 20;

/// A license at one moment.
pub(in crate::cli) struct Snapshot {
    transaction: DatabaseTransaction,
    pub(super) license: license::Model,
    /// The definitions of custom attributes, by id.
    pub(super) definitions: BTreeMap<Id, attribute_definition::Model>,
    content: ExportContent,
}

impl Snapshot {
    pub(in crate::cli) async fn of(db: &Db, license: license::Model, content: ExportContent) -> Result<Self, Error> {
        let transaction = db.snapshot_on_standby().await?;
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

    /// Returns the number of users, groups and institutions.
    pub(super) async fn count(&self) -> Result<u64, Error> {
        let users = user::Entity::find().filter(of_license(user::Column::LicenseId, self.license.id));
        let groups = group::Entity::find().filter(of_license(group::Column::LicenseId, self.license.id));
        let institutions =
            institution::Entity::find().filter(of_license(institution::Column::LicenseId, self.license.id));
        let members = users.count(&self.transaction).await? + groups.count(&self.transaction).await?;
        Ok(members + institutions.count(&self.transaction).await?)
    }

    /// Returns the users after an id, each with everything that belongs to it.
    async fn users(&self, after: Option<Id>) -> Result<Vec<ExportedUser>, Error> {
        let page = if self.content.avatars { PAGE_WITH_PICTURES } else { PAGE };
        let all = user::Entity::find().filter(of_license(user::Column::LicenseId, self.license.id));
        let rows = all.filter(after_id(user::Column::Id, after)).order_by_asc(user::Column::Id);
        let rows = rows.limit(page).all(&self.transaction).await?;
        ExportedUser::read(&self.transaction, rows, self.content).await
    }
}

/// Returns the condition that a row comes after an id.
fn after_id(column: impl ColumnTrait, after: Option<Id>) -> sea_orm::sea_query::Condition {
    sea_orm::sea_query::Condition::all().add_option(after.map(|id| column.gt(id)))
}
