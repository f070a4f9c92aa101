//! Links that let a person in once.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::{Id, Url};

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// To set the first password, or one in the place of a lost one, and sign in.
    Activation,
    /// To set a password in the place of a lost one, without signing in.
    PasswordReset,
    /// To show that mail to a new address arrives, which then takes the place of the old one.
    EmailChange,
}

impl Purpose {
    /// How long a link lives.
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
    /// The person's address when the link was made; it dies with the address.
    pub email_key: Option<String>,
    pub expires_at: DateTime<Utc>,
    /// Whether it went by mail, so that who has it has shown that mail to the address arrives.
    pub is_mailed: bool,
    /// Where the person is sent on to.
    pub next_url: Option<Url>,
    /// The address that is to take the place of the present one.
    pub new_email: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}
