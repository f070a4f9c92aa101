//! Loaders of the members of groups.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, JoinType, QueryFilter, QueryResult, QuerySelect, RelationTrait, Select};

use super::{Loaders, group_by_part};
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::list_total::CountedList;
use crate::entity::membership::{self, GroupRole};
use crate::entity::user;
use crate::error::Error;
use crate::graphql::pagination::{self, Page, PageRequest};
use crate::scalar::Id;

/// One page of the members of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MembersOfGroup(pub Id, pub PageRequest);

/// The number of members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberCountOfGroup(pub Id);

/// A user and their role in a group.
#[derive(Clone, Debug)]
pub struct Member {
    pub user: user::Model,
    pub role: GroupRole,
    pub joined_at: DateTime<Utc>,
}

impl Loaders {
    fn members(&self, groups: impl IntoIterator<Item = Id>) -> Select<user::Entity> {
        let backend = self.db.read().get_database_backend();
        user::Entity::find()
            .join_rev(JoinType::InnerJoin, membership::Relation::User.def())
            .filter(one_of(backend, membership::Column::GroupId, groups))
            .filter(no_index_hint(self.current_viewer.viewer().listed_users(false)))
    }
}

impl Loader<MembersOfGroup> for Loaders {
    type Value = Page<Member>;
    type Error = Error;

    async fn load(&self, keys: &[MembersOfGroup]) -> Result<HashMap<MembersOfGroup, Page<Member>>, Error> {
        let mut pages = HashMap::new();
        for (part, groups) in group_by_part(keys.iter().map(|key| (&key.1, key.0))) {
            let columns = self.selected_fields.columns();
            let select = columns
                .narrow(self.members(groups.keys().copied()))
                .column_as(membership::Column::Role, "member_role")
                .column_as(membership::Column::JoinedAt, "member_since");
            let member = |row: &QueryResult, user| {
                Ok(Member { user, role: row.try_get("", "member_role")?, joined_at: row.try_get("", "member_since")? })
            };
            let parent = membership::Column::GroupId;
            let rows = pagination::read_per_parent(self.db.read(), select, &columns, parent, &part, member).await?;
            let lists = super::pages(groups, rows).into_iter();
            pages.extend(lists.map(|list| (MembersOfGroup(list.parent_id, list.request.clone()), list.page)));
        }
        Ok(pages)
    }
}

impl Loader<MemberCountOfGroup> for Loaders {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[MemberCountOfGroup]) -> Result<HashMap<MemberCountOfGroup, i32>, Error> {
        let counts = self.kept_totals(CountedList::MembersOfGroup, keys.iter().map(|key| key.0)).await?;
        Ok(counts.into_iter().map(|(group, count)| (MemberCountOfGroup(group), count)).collect())
    }
}
