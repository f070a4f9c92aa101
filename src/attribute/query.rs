//! Query `attributeDefinitions`.

use async_graphql::{Context, Object, Result};

use crate::access::RequiresAction;
use crate::budget::ListItem;
use crate::entity::attribute_definition;
use crate::graphql::context::ContextExt;

#[derive(Default)]
pub struct AttributeQuery;

#[Object]
impl AttributeQuery {
    /// The custom attributes that the viewer's license defines, sorted by name. At most 100.
    #[graphql(guard = "RequiresAction")]
    async fn attribute_definitions(&self, ctx: &Context<'_>) -> Result<Vec<ListItem<attribute_definition::Model>>> {
        Ok(ListItem::list(super::list(ctx.db()?, ctx.viewer()?).await?))
    }
}
