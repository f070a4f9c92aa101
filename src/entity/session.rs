//! Sessions: the results of sign-ins.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Condition;

use crate::scalar::{Id, now};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub user_id: Id,
    /// SHA-256 of the bearer token, which is shown once and stored nowhere.
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub token_hash: Vec<u8>,
    pub created_at: DateTime<Utc>,
    /// The time of the last use, written at most once a minute.
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub user_agent: Option<String>,
    pub ip_address: Option<String>,
}

/// Returns the condition that a session has not ended. A session also ends after the time `idle` without use.
#[must_use]
pub fn alive(idle: Duration) -> Condition {
    let now = now();
    Condition::all().add(Column::ExpiresAt.gt(now)).add(Column::LastSeenAt.gt(now - idle))
}

/// The maximum number of sessions of a user. With one more, the oldest ends.
pub const MAX_SESSIONS_OF_A_USER: u64 = 20;

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}
