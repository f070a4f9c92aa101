//! createInstitution.

use async_graphql::{Context, InputObject, MaybeUndefined, Object};

use crate::context::{Answer, ContextExt, answer};
use crate::entity::institution::{self, InstitutionCore, InstitutionFields, InstitutionKind};
use crate::payload::payload;

/// An institution to be entered.
#[derive(InputObject)]
pub struct CreateInstitutionInput {
    /// Its name; at most 200 characters.
    pub name: String,
    /// What kind of house it is.
    pub kind: InstitutionKind,
    /// The country it lies in, as ISO 3166-1 alpha-2 has it, such as `AU`.
    pub country: String,
    #[graphql(flatten)]
    pub fields: InstitutionFields,
}

payload! {
    /// The outcome of a change of an institution.
    InstitutionPayload {
        /// The institution as it is now; null where nothing was done.
        institution: Option<institution::Model>,
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
    ) -> Answer<InstitutionPayload> {
        answer(ctx, async {
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
}
