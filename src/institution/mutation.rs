//! createInstitution, updateInstitution, deleteInstitution.

use async_graphql::{Context, MaybeUndefined, Object};

use super::input::{CreateInstitutionInput, DeleteInstitutionInput, UpdateInstitutionInput};
use crate::entity::institution::{self, InstitutionCore};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{Updated, payload, stale};
use crate::scalar::Id;

payload! {
    /// The outcome of a change of an institution.
    InstitutionPayload {
        /// The institution as it is now; null where nothing was done.
        institution: Option<institution::Model>,
    }
}

payload! {
    /// The outcome of deleting an institution.
    DeleteInstitutionPayload {
        /// The id of the institution that was deleted; null where nothing was done.
        id: Option<Id>,
    }
}

#[derive(Default)]
pub struct InstitutionMutation;

#[Object]
impl InstitutionMutation {
    /// Enters an institution into the viewer's license. For administrators with access to every site.
    async fn create_institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The institution.")] input: CreateInstitutionInput,
    ) -> NullableField<InstitutionPayload> {
        authorized(ctx, async {
            let core = InstitutionCore {
                name: MaybeUndefined::Value(input.name),
                kind: MaybeUndefined::Value(input.kind),
                country: MaybeUndefined::Value(input.country),
            };
            let outcome = super::create(ctx.db()?, ctx.viewer()?, core, input.fields).await;
            InstitutionPayload::of(outcome, |institution| {
                InstitutionPayload::done(format!("{} was entered.", institution.name), Some(institution))
            })
        })
        .await
    }

    /// Changes an institution. For administrators with access to it, and those above them.
    async fn update_institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: UpdateInstitutionInput,
    ) -> NullableField<InstitutionPayload> {
        authorized(ctx, async {
            let outcome = super::update(ctx.db()?, ctx.viewer()?, input).await;
            InstitutionPayload::of(outcome, |updated| match updated {
                Updated::Saved(institution) => {
                    InstitutionPayload::done(format!("{} was changed.", institution.name), Some(institution))
                }
                Updated::DryRun(institution) => {
                    InstitutionPayload::done("Nothing was changed; it would have been.", Some(institution))
                }
                Updated::Conflict(institution) => InstitutionPayload {
                    institution: Some(institution),
                    ..InstitutionPayload::refused(stale("institution"))
                },
            })
        })
        .await
    }

    /// Deletes an institution, for good, with everybody's access to it. Refused while people belong to it, inactive ones
    /// too. For administrators with access to it, and those above them.
    async fn delete_institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which institution.")] input: DeleteInstitutionInput,
    ) -> NullableField<DeleteInstitutionPayload> {
        authorized(ctx, async {
            let outcome = super::delete(ctx.db()?, ctx.viewer()?, &input.id).await;
            DeleteInstitutionPayload::of(outcome, |institution| {
                DeleteInstitutionPayload::done(format!("{} was deleted.", institution.name), Some(institution.id))
            })
        })
        .await
    }
}
