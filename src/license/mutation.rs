//! Mutation `renameLicense`.

use async_graphql::{Context, Object};

use super::input::RenameLicenseInput;
use crate::entity::license;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::payload;

payload! {
    /// Payload of `renameLicense`.
    LicensePayload {
        /// The current state of the license. Null if the mutation failed.
        license: Option<license::Model>,
    }
}

#[derive(Default)]
pub struct LicenseMutation;

#[Object]
impl LicenseMutation {
    /// Changes the holder of a license. Idempotent. License administrators of the license, and superusers only. The number
    /// and the last day of a license are changed on the command line.
    async fn rename_license(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The license, and its new holder.")] input: RenameLicenseInput,
    ) -> NullableField<LicensePayload> {
        authorized(ctx, async {
            let outcome = super::change_holder(ctx.db()?, ctx.viewer()?, &input.id, input.holder).await;
            LicensePayload::of(outcome, |license| {
                LicensePayload::done(format!("The holder of the license is {}.", license.holder), Some(license))
            })
        })
        .await
    }
}
