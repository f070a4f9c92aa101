//! Trusted documents: published by the operator of the server, in sets.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "trusted_documents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub set_name: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: Option<String>,
    /// The text. It is the same in all sets.
    pub body: String,
    pub published_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The maximum length of the name of a set, in characters.
pub const MAX_SET_NAME: usize = 100;

/// Returns whether a text is the name of a set: letters, digits, `.`, `_` and `-`.
#[must_use]
pub fn is_set_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_SET_NAME).contains(&text.len()) && text.bytes().all(is_plain)
}
