//! The groups that the users of a chunk belong to.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::ExistingRows;
use crate::db::Transaction;
use crate::db::conditions::one_of;
use crate::entity::group;
use crate::entity::membership::{self, GroupRole};
use crate::error::Error;
use crate::scalar::Id;

impl ExistingRows {
    /// Locks groups and those that the users belong to, and reads the memberships of the users. Under the locks nobody else changes
    /// who owns these groups.
    pub(in crate::import) async fn lock_memberships(
        &mut self,
        transaction: &Transaction,
        group_ids: &HashSet<Id>,
    ) -> Result<(), Error> {
        self.read_memberships(transaction).await?;
        // SQLite has one writer at a time.
        if transaction.get_database_backend() == DatabaseBackend::Postgres {
            let own = self.memberships.values().flat_map(HashMap::keys);
            let ids: Vec<Id> = group_ids.iter().chain(own).copied().collect();
            let groups = group::Entity::find().select_only().column(group::Column::Id);
            let groups = groups.filter(one_of(DatabaseBackend::Postgres, group::Column::Id, ids));
            let groups = groups.order_by_asc(group::Column::Id).lock_exclusive();
            groups.into_tuple::<Id>().all(transaction).await?;
            self.memberships.clear();
            self.read_memberships(transaction).await?;
        }
        Ok(())
    }

    /// Reads the memberships of the users.
    pub(super) async fn read_memberships(&mut self, db: &impl ConnectionTrait) -> Result<(), Error> {
        let of_users = one_of(db.get_database_backend(), membership::Column::UserId, self.ids());
        for row in membership::Entity::find().filter(of_users).all(db).await? {
            self.memberships.entry(row.user_id).or_default().insert(row.group_id, row);
        }
        Ok(())
    }

    /// Returns the groups that the users own.
    pub(in crate::import) fn owned_groups(&self) -> impl Iterator<Item = Id> {
        let all = self.memberships.values().flat_map(HashMap::values);
        all.filter(|membership| membership.role == GroupRole::Owner).map(|membership| membership.group_id)
    }

    /// Returns the role of a user in a group.
    pub(in crate::import) fn role_in(&self, user_id: Id, group_id: Id) -> Option<GroupRole> {
        self.memberships.get(&user_id)?.get(&group_id).map(|membership| membership.role)
    }
}
