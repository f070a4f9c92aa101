//! The query `apiKeys`, and the creator of a key.

use async_graphql::{ComplexObject, Context, ID, Object, Result};

use crate::access::RequiresAction;
use crate::budget::ListItem;
use crate::entity::{api_key, user};
use crate::error::located;
use crate::graphql::context::ContextExt;
use crate::graphql::loader::UserById;
use crate::scalar::Id;

#[derive(Default)]
pub struct ApiKeyQuery;

#[Object]
impl ApiKeyQuery {
    /// The API keys of a license, oldest first. At most 100. Administrators see only their own keys, license
    /// administrators and superusers all keys. Administrators only. Not available to API keys.
    #[graphql(guard = "RequiresAction")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The ID of the license. Defaults to the viewer's license. The list is empty if the viewer cannot see that license."
        )]
        license: Option<ID>,
    ) -> Result<Vec<ListItem<api_key::Model>>> {
        let license = license.map(|id| Id::given("license", &id)).transpose()?;
        Ok(ListItem::list(super::list(ctx.db()?, ctx.viewer()?, license).await?))
    }
}

#[ComplexObject]
impl api_key::Model {
    /// The user who created the API key and on whose behalf the program acts. Null if the viewer cannot see the user.
    async fn created_by(&self, ctx: &Context<'_>) -> Result<Option<user::Model>> {
        located(ctx, async { Ok(ctx.loaders()?.load_one(UserById(self.user_id)).await?) }).await
    }
}
