//! Registrations: visitors who asked to register and have not shown yet that email to their address arrives.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::{Id, Url};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registrations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub email_key: String,
    /// The license that the user will belong to.
    pub license_id: Id,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    /// SHA-256 of the token in the link.
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub token_hash: Vec<u8>,
    /// The URL to which the user is redirected.
    pub next_url: Option<Url>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::license::Entity", from = "Column::LicenseId", to = "super::license::Column::Id")]
    License,
}

impl ActiveModelBehavior for ActiveModel {}
