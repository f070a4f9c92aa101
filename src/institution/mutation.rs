//! Mutations: `createInstitution`, `updateInstitution` and `deleteInstitution`.

use async_graphql::{Context, MaybeUndefined, Object};

use super::input::{CreateInstitutionInput, DeleteInstitutionInput, UpdateInstitutionInput};
use crate::entity::institution::{self, InstitutionCore};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{Updated, payload, stale};
use crate::scalar::Id;

payload! {
    /// Payload of `createInstitution` and `updateInstitution`.
    InstitutionPayload {
        /// The current state of the institution. Null if the mutation failed, except with `CONFLICT`.
        institution: Option<institution::Model>,
    }
}

payload! {
    /// Payload of `deleteInstitution`.
    DeleteInstitutionPayload {
        /// The ID of the deleted institution. Null if no institution was deleted.
        deleted_institution_id: Option<Id>,
    }
}

#[derive(Default)]
pub struct InstitutionMutation;

#[Object]
impl InstitutionMutation {
    /// Creates an institution in the viewer's license. Administrators with access to every site, license administrators
    /// and superusers only.
    async fn create_institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The institution to create.")] input: CreateInstitutionInput,
    ) -> NullableField<InstitutionPayload> {
        authorized(ctx, async {
            let core = InstitutionCore {
                name: MaybeUndefined::Value(input.name),
                kind: MaybeUndefined::Value(input.kind),
                country: MaybeUndefined::Value(input.country),
            };
            let outcome = super::create(ctx.db()?, ctx.viewer()?, core, input.fields).await;
            InstitutionPayload::of(outcome, |institution| {
                InstitutionPayload::done(format!("{} was created.", institution.name), Some(institution))
            })
        })
        .await
    }

    /// Updates an institution. Administrators with access to the institution, license administrators and superusers only.
    async fn update_institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes to make.")] input: UpdateInstitutionInput,
    ) -> NullableField<InstitutionPayload> {
        authorized(ctx, async {
            let outcome = super::update(ctx.db()?, ctx.viewer()?, input).await;
            InstitutionPayload::of(outcome, |updated| match updated {
                Updated::Saved(institution) => {
                    InstitutionPayload::done(format!("{} was updated.", institution.name), Some(institution))
                }
                Updated::DryRun(institution) => {
                    InstitutionPayload::done("Dry run: the input is valid; nothing was saved.", Some(institution))
                }
                Updated::Conflict(institution) => InstitutionPayload {
                    institution: Some(institution),
                    ..InstitutionPayload::rejected(stale("institution"))
                },
            })
        })
        .await
    }

    /// Deletes an institution permanently, with every user's access to it. `NOT_ALLOWED` while users belong to it, including
    /// inactive users. Administrators with access to the institution, license administrators and superusers only.
    async fn delete_institution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The institution to delete.")] input: DeleteInstitutionInput,
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
