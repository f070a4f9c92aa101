//! Mutations: `createApiKey` and `revokeApiKey`.

use async_graphql::{Context, Object};

use super::NewApiKey;
use super::input::{CreateApiKeyInput, RevokeApiKeyInput};
use crate::entity::api_key;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::payload;

payload! {
    /// Payload of `createApiKey`.
    CreateApiKeyPayload {
        /// The created API key. Null if no key was created.
        api_key: Option<api_key::Model>,
        /// The API key's secret, to be sent as `Authorization: Bearer ...`. Shown only once. Null if no key was created.
        secret: Option<String>,
    }
}

payload! {
    /// Payload of `revokeApiKey`.
    ApiKeyPayload {
        /// The API key in its last state before it was revoked. Null if the mutation failed.
        api_key: Option<api_key::Model>,
    }
}

#[derive(Default)]
pub struct ApiKeyMutation;

#[Object]
impl ApiKeyMutation {
    /// Creates an API key with which a program acts on behalf of the viewer. The key is revoked when the viewer is
    /// deactivated or erased. A license can have at most 100 API keys, including expired ones (`NOT_ALLOWED`
    /// otherwise). Administrators only. Not available to API keys.
    async fn create_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The API key to create.")] input: CreateApiKeyInput,
    ) -> NullableField<CreateApiKeyPayload> {
        authorized(ctx, async {
            CreateApiKeyPayload::of(
                super::create(ctx.db()?, ctx.viewer()?, input).await,
                |NewApiKey { key, secret }| {
                    let message = format!("The API key {} was created. Its secret is shown only once.", key.name);
                    CreateApiKeyPayload::done(message, Some(key), Some(secret))
                },
            )
        })
        .await
    }

    /// Revokes an API key immediately and permanently. Administrators may revoke their own keys, license administrators
    /// every key of the license, and superusers every key. Not available to API keys.
    async fn revoke_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The API key to revoke.")] input: RevokeApiKeyInput,
    ) -> NullableField<ApiKeyPayload> {
        authorized(ctx, async {
            ApiKeyPayload::of(super::revoke(ctx.db()?, ctx.viewer()?, &input.id).await, |key| {
                ApiKeyPayload::done(format!("The API key {} was revoked.", key.name), Some(key))
            })
        })
        .await
    }
}
