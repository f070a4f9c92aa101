//! Loaders of the members of groups.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryResult, QuerySelect, RelationTrait, Select,
};

use super::{Loaders, group_by_part};
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::list_total::CountedList;
use crate::entity::membership::{self, GroupRole};
use crate::entity::{group, user};
use crate::error::Error;
use crate::graphql::pagination::{self, Page, PageRequest};
use crate::scalar::Id;

/// One page of the members of a group; the inactive ones only if requested.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MembersOfGroup {
    pub group_id: Id,
    pub include_inactive: bool,
    pub page_request: PageRequest,
}

/// The number of members of a group; of the inactive ones only if requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberCountOfGroup {
    pub group_id: Id,
    pub include_inactive: bool,
}

/// A user and their role in a group.
#[derive(Clone, Debug)]
pub struct Member {
    pub user: user::Model,
    pub role: GroupRole,
    pub joined_at: DateTime<Utc>,
}

impl Loaders {
    fn members(&self, groups: impl IntoIterator<Item = Id>, include_inactive: bool) -> Select<user::Entity> {
        let backend = self.db.read().get_database_backend();
        user::Entity::find()
            .join_rev(JoinType::InnerJoin, membership::Relation::User.def())
            .filter(one_of(backend, membership::Column::GroupId, groups))
            .filter(no_index_hint(self.current_viewer.viewer().listed_users(include_inactive)))
    }

    /// Returns the groups, each as often as it has members, active or not: members belong to the license of their group.
    fn groups_of_members(&self, groups: impl IntoIterator<Item = Id>) -> Select<group::Entity> {
        let backend = self.db.read().get_database_backend();
        group::Entity::find()
            .join_rev(JoinType::InnerJoin, membership::Relation::Group.def())
            .filter(one_of(backend, membership::Column::GroupId, groups))
            .filter(no_index_hint(self.current_viewer.viewer().visible_groups()))
    }
}

impl Loader<MembersOfGroup> for Loaders {
    type Value = Page<Member>;
    type Error = Error;

    async fn load(&self, keys: &[MembersOfGroup]) -> Result<HashMap<MembersOfGroup, Page<Member>>, Error> {
        let mut pages = HashMap::new();
        for include_inactive in [false, true] {
            let of_list = keys.iter().filter(|key| key.include_inactive == include_inactive);
            for (part, groups) in group_by_part(of_list.map(|key| (&key.page_request, key.group_id))) {
                let columns = self.selected_fields.columns();
                let select = columns
                    .narrow(self.members(groups.keys().copied(), include_inactive))
                    .column_as(membership::Column::Role, "member_role")
                    .column_as(membership::Column::JoinedAt, "member_since");
                let parent = membership::Column::GroupId;
                let rows = pagination::read_per_parent(self.db.read(), select, &columns, parent, &part, member).await?;
                pages.extend(super::pages(groups, rows).into_iter().map(|list| {
                    let (group_id, page_request) = (list.parent_id, list.request.clone());
                    (MembersOfGroup { group_id, include_inactive, page_request }, list.page)
                }));
            }
        }
        Ok(pages)
    }
}

impl Loader<MemberCountOfGroup> for Loaders {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[MemberCountOfGroup]) -> Result<HashMap<MemberCountOfGroup, i32>, Error> {
        let mut counts = HashMap::new();
        for include_inactive in [false, true] {
            let of_list = keys.iter().filter(|key| key.include_inactive == include_inactive);
            let groups: Vec<Id> = of_list.map(|key| key.group_id).collect();
            let found = match (groups.is_empty(), include_inactive) {
                (true, _) => continue,
                (false, false) => self.kept_totals(CountedList::MembersOfGroup, groups).await?,
                (false, true) => self.counts(self.groups_of_members(groups), membership::Column::GroupId).await?,
            };
            let count = |(group_id, count)| (MemberCountOfGroup { group_id, include_inactive }, count);
            counts.extend(found.into_iter().map(count));
        }
        Ok(counts)
    }
}

fn member(row: &QueryResult, user: user::Model) -> Result<Member, DbErr> {
    Ok(Member { user, role: row.try_get("", "member_role")?, joined_at: row.try_get("", "member_since")? })
}
