//! Input objects of the mutations of API keys.

use crate::entity::user::Role;
use crate::scalar::Instant;
use async_graphql::{ID, InputObject};

/// Input of `createApiKey`.
#[derive(InputObject)]
pub struct CreateApiKeyInput {
    /// The purpose of the API key. At most 100 characters.
    pub name: String,
    /// The highest role that the API key can act with. Cannot exceed the viewer's own rank. Defaults to `USER`.
    #[graphql(default_with = "Role::User")]
    pub role: Role,
    /// The date and time when the API key expires. By default, it never expires.
    pub expires_at: Option<Instant>,
}

/// Input of `revokeApiKey`.
#[derive(InputObject)]
pub struct RevokeApiKeyInput {
    /// Identifies the target of the mutation.
    pub id: ID,
}
