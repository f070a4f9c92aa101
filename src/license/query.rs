//! The query `license`.

use async_graphql::{Context, ID, Object};

use crate::entity::license;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::loader::LicenseById;
use crate::scalar::Id;

#[derive(Default)]
pub struct LicenseQuery;

#[Object]
impl LicenseQuery {
    /// A license by its ID. Null if it does not exist or the viewer cannot see it.
    async fn license(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The license's ID.")] id: ID,
    ) -> NullableField<license::Model> {
        authorized(ctx, async { Ok(ctx.loaders()?.load_one(LicenseById(Id::given("id", &id)?)).await?) }).await
    }
}
