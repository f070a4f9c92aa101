//! grantSiteAccess, revokeSiteAccess.

use async_graphql::{Context, Object};

use super::input::SiteAccessInput;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::UserPayload;

#[derive(Default)]
pub struct SiteAccessMutation;

#[Object]
impl SiteAccessMutation {
    /// Gives a person access to the data of an institution; may be repeated. With access to every site already, it counts
    /// once that ends. For administrators with access to the institution, to people of no higher rank, and for those above
    /// them.
    async fn grant_site_access(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and the data of which institution.")] input: SiteAccessInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = super::grant(ctx.db()?, ctx.viewer()?, &input).await;
            UserPayload::of(outcome, |user| {
                UserPayload::done(format!("{} has access to the institution.", user.name()), Some(user))
            })
        })
        .await
    }

    /// Takes back what `grantSiteAccess` gave; may be repeated. It takes nothing from a person with access to every site.
    /// For administrators with access to the institution, from people of no higher rank, and for those above them.
    async fn revoke_site_access(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and the data of which institution.")] input: SiteAccessInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = super::revoke(ctx.db()?, ctx.viewer()?, &input).await;
            UserPayload::of(outcome, |user| {
                UserPayload::done(
                    format!("What access {} was given to the institution was taken back.", user.name()),
                    Some(user),
                )
            })
        })
        .await
    }
}
