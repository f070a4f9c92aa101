//! API keys: programs that act for the person who made them.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use sea_orm::Condition;
use sea_orm::entity::prelude::*;

use super::user::Role;
use crate::scalar::{Id, now};

/// A key by which a program acts for the person who made it, with the rank of the key's role and never more than the
/// person's own. It cannot sign in, sets no
/// passwords, PINs or e-mail addresses, sends no invitations and makes no keys.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "api_keys")]
#[graphql(name = "ApiKey", complex)]
pub struct Model {
    /// The key's id, a UUID. It is no secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    #[graphql(skip)]
    pub user_id: Id,
    #[graphql(skip)]
    pub license_id: Id,
    /// What it is for.
    pub name: String,
    /// What it may do at most.
    pub role: Role,
    /// The first characters of the secret, by which it is told from others.
    pub prefix: String,
    /// SHA-256 of the secret, which itself is shown once and kept nowhere.
    #[graphql(skip)]
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub token_hash: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute; null where it never was.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it ends; null where it does not.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The condition that a key has not ended.
#[must_use]
pub fn alive() -> Condition {
    Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now()))
}

/// How many API keys a license has at most.
pub const MOST_KEYS_OF_A_LICENSE: u64 = 100;

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}
