//! Mutations `defineAttribute` and `removeAttribute`.

use async_graphql::{Context, Object};

use super::input::RemoveAttributeInput;
use crate::entity::attribute_definition::{self, DefineAttributeInput};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::payload;

payload! {
    /// Payload of `defineAttribute` and `removeAttribute`.
    AttributeDefinitionPayload {
        /// The current state of the definition, or its last state before it was removed. Null if the mutation failed.
        definition: Option<attribute_definition::Model>,
    }
}

#[derive(Default)]
pub struct AttributeMutation;

#[Object]
impl AttributeMutation {
    /// Defines a custom attribute for the users of the viewer's license, or changes the attribute with this name.
    /// Idempotent. A license can have at most 100 attributes (`NOT_ALLOWED` otherwise). License administrators,
    /// superusers, and administrators with the right `isAttributesAdmin` only.
    async fn define_attribute(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The attribute to define or change.")] input: DefineAttributeInput,
    ) -> NullableField<AttributeDefinitionPayload> {
        authorized(ctx, async {
            let outcome = super::define(ctx.db()?, ctx.viewer()?, input).await;
            AttributeDefinitionPayload::of(outcome, |definition| {
                let message = format!("The attribute {} was defined.", definition.name);
                AttributeDefinitionPayload::done(message, Some(definition))
            })
        })
        .await
    }

    /// Removes a custom attribute permanently, with every user's value. License administrators, superusers, and
    /// administrators with the right `isAttributesAdmin` only.
    async fn remove_attribute(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The attribute to remove.")] input: RemoveAttributeInput,
    ) -> NullableField<AttributeDefinitionPayload> {
        authorized(ctx, async {
            let outcome = super::remove(ctx.db()?, ctx.viewer()?, &input.name).await;
            AttributeDefinitionPayload::of(outcome, |definition| {
                let message = format!("The attribute {} was removed.", definition.name);
                AttributeDefinitionPayload::done(message, Some(definition))
            })
        })
        .await
    }
}
