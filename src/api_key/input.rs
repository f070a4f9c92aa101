//! Input objects of the mutations of API keys.

use crate::entity::user::Role;
use crate::scalar::Instant;
use async_graphql::{ID, InputObject};

/// An API key to be made.
#[derive(InputObject)]
pub struct CreateApiKeyInput {
    /// What it is for; at most 100 characters.
    pub name: String,
    /// What it may do at most: nothing above one's own rank.
    #[graphql(default_with = "Role::User")]
    pub role: Role,
    /// When it ends; never where nothing is said.
    pub expires_at: Option<Instant>,
}

/// The API key to be revoked.
#[derive(InputObject)]
pub struct RevokeApiKeyInput {
    /// Which.
    pub id: ID,
}
