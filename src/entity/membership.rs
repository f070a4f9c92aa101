//! Memberships: the groups that a user belongs to, and the role in each.

use async_graphql::Enum;
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::scalar::Id;

/// The role of a user in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GroupRole {
    /// A manager who can also update and delete the group, and choose its owners. A group always has an owner: when the last
    /// one leaves, another user becomes the owner.
    Owner,
    /// A member who can also add and remove members and managers.
    Manager,
    /// A member without further rights in the group.
    Member,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "memberships")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Id,
    #[sea_orm(primary_key, auto_increment = false)]
    pub group_id: Id,
    pub role: GroupRole,
    pub joined_at: DateTime<Utc>,
}

/// The maximum number of groups that a user can belong to.
pub const MAX_GROUPS_OF_A_USER: u64 = 200;

/// The maximum number of groups that a user can own without the right to administer groups.
pub const MAX_GROUPS_OWNED_BY_A_USER: u64 = 50;

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::group::Entity", from = "Column::GroupId", to = "super::group::Column::Id")]
    Group,
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}

/// Returns the owners of a group other than a user. A group always has an owner.
#[must_use]
pub fn other_owners(group_id: Id, user_id: Id) -> Select<Entity> {
    Entity::find()
        .filter(Column::GroupId.eq(group_id))
        .filter(Column::Role.eq(GroupRole::Owner))
        .filter(Column::UserId.ne(user_id))
}
