//! license.

use async_graphql::{Context, Object, Result};

use crate::access::Action;
use crate::context::ContextExt;
use crate::entity::license;
use crate::loader::LicenseById;
use crate::scalar::Id;

#[derive(Default)]
pub struct LicenseQuery;

#[Object]
impl LicenseQuery {
    /// One license; null where there is none, or none that the viewer can see.
    #[graphql(guard = "Action::ReadDirectory")]
    async fn license(&self, ctx: &Context<'_>, #[graphql(desc = "The license's id.")] id: Id) -> Result<Option<license::Model>> {
        Ok(ctx.links()?.load_one(LicenseById(id)).await?)
    }
}
