//! createApiKey, revokeApiKey.

use async_graphql::{Context, Object};

use super::input::{CreateApiKeyInput, RevokeApiKeyInput};
use crate::entity::api_key;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::payload;

payload! {
    /// The outcome of making an API key.
    CreateApiKeyPayload {
        /// The key; null where nothing was done.
        api_key: Option<api_key::Model>,
        /// The secret, to be sent as `Authorization: Bearer ...`. It is shown this once.
        secret: Option<String>,
    }
}

payload! {
    /// The outcome of a change of an API key.
    ApiKeyPayload {
        /// The key as it was; null where nothing was done.
        api_key: Option<api_key::Model>,
    }
}

#[derive(Default)]
pub struct ApiKeyMutation;

#[Object]
impl ApiKeyMutation {
    /// Makes a key by which a program acts for the viewer, with at most the key's role. It ends with the account, and a
    /// license has at most 100. Administrators only.
    async fn create_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key.")] input: CreateApiKeyInput,
    ) -> NullableField<CreateApiKeyPayload> {
        authorized(ctx, async {
            CreateApiKeyPayload::of(super::create(ctx.db()?, ctx.viewer()?, input).await, |(key, secret)| {
                let message = format!("The key {} was made. Its secret is shown this once.", key.name);
                CreateApiKeyPayload::done(message, Some(key), Some(secret))
            })
        })
        .await
    }

    /// Revokes a key at once, for good. Administrators their own, license administrators every one of the license.
    async fn revoke_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: RevokeApiKeyInput,
    ) -> NullableField<ApiKeyPayload> {
        authorized(ctx, async {
            ApiKeyPayload::of(super::revoke(ctx.db()?, ctx.viewer()?, &input.id).await, |key| {
                ApiKeyPayload::done(format!("The key {} was revoked.", key.name), Some(key))
            })
        })
        .await
    }
}
