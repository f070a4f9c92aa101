//! The external IDs of users who were erased, as keyed hashes that do not tell them.

use sea_orm::entity::prelude::*;

use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erased_references")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    pub license_id: Id,
    /// The ID of the server key with which the hash was made, in hexadecimal digits. `None` for the first key of the database.
    pub key_id: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
