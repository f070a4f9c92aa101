//! The number of rows of each list. Triggers of the database change it in the transaction that changes the rows.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Condition;

use crate::scalar::Id;

/// A list whose rows are counted as they change. Of users, only a whole license counts the inactive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CountedList {
    ActiveUsers,
    InactiveUsers,
    UsersOfInstitution,
    MembersOfGroup,
    Groups,
    Institutions,
    AuditEvents,
}

/// A part of the number of rows of a list. On PostgreSQL, a list can have several, whose sum is the number.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "list_totals")]
pub struct Model {
    pub list: CountedList,
    /// The license, institution or group that the list belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub parent_id: Id,
    /// The license of the rows.
    #[sea_orm(primary_key, auto_increment = false)]
    pub license_id: Id,
    pub total: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Returns the numbers of rows of these lists, as far as they are `visible`.
#[must_use]
pub fn of(lists: impl IntoIterator<Item = CountedList>, visible: Condition) -> Select<Entity> {
    Entity::find().filter(Column::List.is_in(lists)).filter(visible)
}
