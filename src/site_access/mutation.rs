//! Mutations: `grantSiteAccess` and `revokeSiteAccess`.

use async_graphql::{Context, Object};

use super::input::SiteAccessInput;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::UserPayload;

#[derive(Default)]
pub struct SiteAccessMutation;

#[Object]
impl SiteAccessMutation {
    /// Grants a user access to the data of an institution. Idempotent. For a user with access to every site, the grant
    /// takes effect when that access ends. License administrators, superusers, and administrators with access to the
    /// institution only. Administrators may do this only for users of no higher rank.
    async fn grant_site_access(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user and the institution.")] input: SiteAccessInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = super::grant(ctx.db()?, ctx.viewer()?, &input).await;
            UserPayload::of(outcome, |user| {
                UserPayload::done(format!("{} now has access to the institution.", user.name()), Some(user))
            })
        })
        .await
    }

    /// Revokes access that was granted by `grantSiteAccess`. Idempotent. A user with access to every site keeps access.
    /// License administrators, superusers, and administrators with access to the institution only. Administrators may do
    /// this only for users of no higher rank.
    async fn revoke_site_access(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user and the institution.")] input: SiteAccessInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = super::revoke(ctx.db()?, ctx.viewer()?, &input).await;
            UserPayload::of(outcome, |user| {
                UserPayload::done(format!("The access of {} to the institution was revoked.", user.name()), Some(user))
            })
        })
        .await
    }
}
