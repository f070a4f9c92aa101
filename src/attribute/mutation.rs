//! defineAttribute, removeAttribute.

use async_graphql::{Context, Object};

use super::input::RemoveAttributeInput;
use crate::entity::attribute_definition::{self, DefineAttributeInput};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::payload;

payload! {
    /// The outcome of a change of the definition of an attribute.
    AttributeDefinitionPayload {
        /// The definition as it is now, or as it was where it was removed; null where nothing was done.
        definition: Option<attribute_definition::Model>,
    }
}

#[derive(Default)]
pub struct AttributeMutation;

#[Object]
impl AttributeMutation {
    /// Defines a custom attribute of the people of the viewer's license, or changes the one of this name; may be repeated. A
    /// license defines at most 100. For license administrators, and administrators with the right isAttributesAdmin.
    async fn define_attribute(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The attribute.")] input: DefineAttributeInput,
    ) -> NullableField<AttributeDefinitionPayload> {
        authorized(ctx, async {
            let outcome = super::define(ctx.db()?, ctx.viewer()?, input).await;
            AttributeDefinitionPayload::of(outcome, |definition| {
                let message = format!("The attribute {} is defined.", definition.name);
                AttributeDefinitionPayload::done(message, Some(definition))
            })
        })
        .await
    }

    /// Removes a custom attribute for good, with everybody's values. For license administrators, and administrators with
    /// the right isAttributesAdmin.
    async fn remove_attribute(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: RemoveAttributeInput,
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
