//! API keys: tokens with which programs act for the user who created them.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use sea_orm::Condition;
use sea_orm::entity::prelude::*;

use super::user::Role;
use crate::scalar::{Id, Instant, now};

/// An API key with which a program acts on behalf of the user who created it. The program has the rank of the key's
/// role, but never a higher rank than that user, and none of the user's `adminRights`. It cannot set passwords or
/// PINs, change email addresses, end sessions, forget devices, send invitations, export users or manage API keys.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "api_keys")]
#[graphql(name = "ApiKey", complex)]
pub struct Model {
    /// The ID of the API key, a UUID. It is not a secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    #[graphql(skip)]
    pub user_id: Id,
    #[graphql(skip)]
    pub license_id: Id,
    /// The API key's name, which states its purpose.
    pub name: String,
    /// The highest role with which the API key can act.
    pub role: Role,
    /// The first characters of the secret, which distinguish the API key from others.
    pub prefix: String,
    /// SHA-256 of the secret, which is shown once and stored nowhere.
    #[graphql(skip)]
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub token_hash: Vec<u8>,
    /// The date and time when the API key was created.
    #[graphql(skip, derived(name = "created_at", into = "Instant", owned))]
    pub created_at: DateTime<Utc>,
    /// The date and time when the API key was last used, updated at most once a minute. Null if it was never used.
    #[graphql(skip, derived(name = "last_used_at", into = "Option<Instant>", owned, with = Instant::optional))]
    pub last_used_at: Option<DateTime<Utc>>,
    /// The date and time when the API key expires. Null if it never expires.
    #[graphql(skip, derived(name = "expires_at", into = "Option<Instant>", owned, with = Instant::optional))]
    pub expires_at: Option<DateTime<Utc>>,
    /// The name of the set of trusted documents to which the API key is bound: it can execute only the documents of the
    /// set. Null if it is not bound to a set.
    pub document_set: Option<String>,
}

/// Returns the condition that an API key has not expired.
#[must_use]
pub fn alive() -> Condition {
    Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now()))
}

/// The maximum number of API keys of a license.
pub const MAX_KEYS_OF_A_LICENSE: u64 = 100;

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}
