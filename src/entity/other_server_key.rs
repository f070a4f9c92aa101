//! The server keys beside the current one.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

/// The state of a server key beside the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KeyState {
    /// It is about to become the current one: nothing has been made with it yet.
    Next,
    /// It was the current one, and only verifies.
    Old,
    /// It was the old one, and is not used any more.
    Retired,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "other_server_keys")]
pub struct Model {
    /// In hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub fingerprint: String,
    pub state: KeyState,
    /// The time at which it got this state.
    pub since: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
