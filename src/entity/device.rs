//! Devices on which a user has signed in with the password, and can now sign in with the PIN.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Condition;

use crate::scalar::{Id, now};

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

/// The maximum number of remembered devices of a user. With one more, the one that was not used for longest is forgotten.
pub const MAX_DEVICES_OF_A_USER: u64 = 20;
/// The time for which a device is remembered after its last use.
pub const REMEMBERED: TimeDelta = TimeDelta::days(30);

/// Returns the condition that a device is still remembered.
#[must_use]
pub fn remembered() -> Condition {
    Condition::all().add(Column::LastUsedAt.gt(now() - REMEMBERED))
}

impl Model {
    /// Returns the time of the first sign-in on the device, which its ID contains, a UUIDv7.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        let (seconds, nanos) = self.id.0.get_timestamp().map(|timestamp| timestamp.to_unix()).unwrap_or_default();
        let seconds = i64::try_from(seconds).unwrap_or_default();
        DateTime::from_timestamp(seconds, nanos).unwrap_or(self.last_used_at)
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}
