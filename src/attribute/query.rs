//! attributeDefinitions.

use async_graphql::{Context, Object, Result};

use crate::access::Allowed;
use crate::budget::Item;
use crate::entity::attribute_definition;
use crate::graphql::context::ContextExt;

#[derive(Default)]
pub struct AttributeQuery;

#[Object]
impl AttributeQuery {
    /// The custom attributes that the viewer's license defines, by name; at most 100.
    #[graphql(guard = "Allowed")]
    async fn attribute_definitions(&self, ctx: &Context<'_>) -> Result<Vec<Item<attribute_definition::Model>>> {
        Ok(Item::list(super::list(ctx.db()?, ctx.viewer()?).await?))
    }
}
