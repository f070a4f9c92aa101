//! createUser, updateUser, setActive.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};

use crate::access::Action;
use crate::context::{Answer, ContextExt, answer};
use crate::entity::user::{self, UserFields};
use crate::payload::payload;

/// A person to be entered.
#[derive(Clone, InputObject)]
pub struct CreateUserInput {
    /// The first name or names; at most 50 characters.
    pub first_name: String,
    /// The last name or names; at most 50 characters.
    pub last_name: String,
    /// The password: hard to guess, at most 128 characters, and at least 12 where the server is not set otherwise.
    pub password: MaybeUndefined<String>,
    /// Whether the person can sign in; true where nothing is said.
    pub is_active: MaybeUndefined<bool>,
    #[graphql(flatten)]
    pub fields: UserFields,
}

/// What is to change of a person: what is absent stays as it is, null clears a field that is optional.
#[derive(Clone, InputObject)]
pub struct UpdateUserInput {
    /// Who.
    pub id: ID,
    /// The first name or names; at most 50 characters.
    pub first_name: MaybeUndefined<String>,
    /// The last name or names; at most 50 characters.
    pub last_name: MaybeUndefined<String>,
    /// A new password: hard to guess, at most 128 characters, and at least 12 where the server is not set otherwise. Null removes it. Ends the person's sessions. Not for oneself.
    pub password: MaybeUndefined<String>,
    #[graphql(flatten)]
    pub fields: UserFields,
}

/// Who is to be activated or deactivated.
#[derive(InputObject)]
pub struct SetActiveInput {
    /// Who.
    pub id: ID,
    /// True to let the person sign in, false to shut the person out.
    pub active: bool,
}

payload! {
    /// The outcome of a change of a person.
    UserPayload {
        /// The person as it is now; null where nothing was done.
        user: Option<user::Model>,
    }
}

payload! {
    /// The outcome of activating or deactivating a person.
    SetActivePayload {
        /// The person as it is now; null where nothing was done.
        user: Option<user::Model>,
        /// How many of the person's sessions ended.
        sessions_ended: i32,
    }
}

#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Enters a person into the viewer's license. Administrators only, and for no more rights than they hold.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person.")] input: CreateUserInput,
    ) -> Answer<UserPayload> {
        answer(ctx, Action::CreateUser, async {
            let outcome = super::create(ctx.db()?, ctx.hasher()?, ctx.viewer()?, input).await;
            UserPayload::of(outcome, |user| UserPayload::done(format!("{} was entered.", user.name()), Some(user)))
        })
        .await
    }

    /// Changes a person. Everybody may change his own profile: names, nickname, position, phone, mobile, birthDate,
    /// gender, website, googleScholar, orcidId, atlasPreference, certifiedEmail. The rest is for administrators.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: UpdateUserInput,
    ) -> Answer<UserPayload> {
        answer(ctx, Action::UpdateUser, async {
            let outcome = Box::pin(super::update(ctx.db()?, ctx.hasher()?, ctx.viewer()?, input)).await;
            UserPayload::of(outcome, |user| UserPayload::done(format!("{} was changed.", user.name()), Some(user)))
        })
        .await
    }

    /// Activates or deactivates a person; may be repeated. Deactivating ends every session at once and hides the person,
    /// and keeps everything else. Administrators only, not for themselves.
    async fn set_active(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and which way.")] input: SetActiveInput,
    ) -> Answer<SetActivePayload> {
        answer(ctx, Action::SetActive, async {
            let outcome = super::set_active(ctx.db()?, ctx.viewer()?, &input.id, input.active).await;
            SetActivePayload::of(outcome, |(user, ended)| {
                let state = if user.is_active { "active" } else { "inactive" };
                SetActivePayload::done(format!("{} is {state}.", user.name()), Some(user), ended)
            })
        })
        .await
    }
}
