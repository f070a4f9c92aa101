//! Search hits: the words of each user.

use sea_orm::entity::prelude::*;

use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "search_hits")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub word_id: i32,
    /// The short form of the license's ID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub license: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Id,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
