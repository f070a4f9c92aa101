//! attributeDefinitions.

use async_graphql::{Context, Object, Result};

use crate::access::Allowed;
use crate::context::ContextExt;
use crate::entity::attribute_definition;

#[derive(Default)]
pub struct AttributeQuery;

#[Object]
impl AttributeQuery {
    /// The custom attributes that the viewer's license defines, by name; at most 100.
    #[graphql(guard = "Allowed", complexity = "DEFINITIONS_OF_A_LICENSE * child_complexity")]
    async fn attribute_definitions(&self, ctx: &Context<'_>) -> Result<Vec<attribute_definition::Model>> {
        Ok(super::list(ctx.db()?, ctx.viewer()?).await?)
    }
}

/// As many attributes as a license may define.
const DEFINITIONS_OF_A_LICENSE: usize = 100;
