//! The reports of servers about their keys, while a server key is being replaced.

use sea_orm::entity::prelude::*;

use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "server_key_reports")]
pub struct Model {
    /// An ID that the process has given itself.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: Id,
    /// The name of the machine and the process, for operators.
    pub name: String,
    /// The fingerprints of the keys that it holds, in hexadecimal, separated by spaces.
    pub held: String,
    /// The fingerprint of the key with which it makes new hashes, in hexadecimal.
    pub used: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
