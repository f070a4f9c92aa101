//! The number of publications and withdrawals of trusted documents, by which servers notice them.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "document_revision")]
pub struct Model {
    /// Always 1, so that there is only one row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub only_one: i32,
    pub revision: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
