//! Input objects of the mutations of API keys.

use crate::entity::user::Role;
use crate::scalar::Instant;
use async_graphql::{ID, InputObject};

/// Input of `createApiKey`.
#[derive(InputObject)]
pub struct CreateApiKeyInput {
    /// The API key's name, which states its purpose. At most 100 characters. Must not be blank.
    pub name: String,
    /// The highest role with which the API key can act. Must not exceed the viewer's own rank (`FORBIDDEN` otherwise).
    /// Defaults to `USER`.
    #[graphql(default_with = "Role::User")]
    pub role: Role,
    /// The date and time when the API key expires. Must be in the future. By default, it never expires.
    pub expires_at: Option<Instant>,
    /// The name of the set of trusted documents to which the API key is bound, as given to
    /// `roster documents publish --set`. The API key can execute only the documents of the set (`DOCUMENT_NOT_TRUSTED`
    /// otherwise). At most 100 characters: ASCII letters, digits, `.`, `_` and `-`. By default, the API key is not
    /// bound to a set.
    pub document_set: Option<String>,
}

/// Input of `revokeApiKey`.
#[derive(InputObject)]
pub struct RevokeApiKeyInput {
    /// The ID of the API key to revoke.
    pub id: ID,
}
