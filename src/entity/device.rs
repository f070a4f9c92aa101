//! Devices on which somebody has signed in by password, and may now by PIN.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "devices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub user_id: Id,
    /// SHA-256 of the device token.
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub token_hash: Vec<u8>,
    pub last_used_at: DateTime<Utc>,
}

/// How many devices of a person are remembered; with one more the longest unused is forgotten.
pub const MOST_DEVICES_OF_A_USER: u64 = 20;
/// How long a device is remembered after its last use.
pub const REMEMBERED: TimeDelta = TimeDelta::days(30);

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
