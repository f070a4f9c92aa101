//! One-time links, by which a user activates the account, replaces a lost password or confirms a new email address.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::{Id, Url};

/// The purpose of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// Sets the first password, or replaces a lost one, and signs in.
    Activation,
    /// Replaces a lost password, without signing in.
    PasswordReset,
    /// Shows that email to a new address arrives, which then replaces the old address.
    EmailChange,
}

impl Purpose {
    /// Returns the time for which a link is valid.
    #[must_use]
    pub const fn lives(self) -> TimeDelta {
        match self {
            Self::Activation => TimeDelta::days(14),
            Self::PasswordReset => TimeDelta::hours(1),
            Self::EmailChange => TimeDelta::hours(2),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "links")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Id,
    #[sea_orm(primary_key, auto_increment = false)]
    pub purpose: Purpose,
    /// SHA-256 of the token in the link.
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub token_hash: Vec<u8>,
    /// The key of the user's email address when the link was created. The link is invalid once the address changes.
    pub email_key: Option<String>,
    pub expires_at: DateTime<Utc>,
    /// Whether the link was sent by email, so that its use shows that email to the address arrives.
    pub is_mailed: bool,
    /// The URL to which the user is redirected.
    pub next_url: Option<Url>,
    /// The address that is to replace the current one.
    pub new_email: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}
