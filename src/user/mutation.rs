//! createUser, resendActivation, registerUser, updateUser, setUserAvatar, setActive, deleteUser.

use async_graphql::{Context, Object};

use super::foreign::Logins;
use super::input::{
    CreateUserInput, DeleteUserInput, RegisterUserInput, ResendActivationInput, SetActiveInput, SetUserAvatarInput,
    UpdateUserInput,
};
use super::lifecycle::{self, ActivationChange, Erased};
use super::{Updated, avatar, invitation};
use crate::entity::group;
use crate::entity::user::{self};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{self, ReceiptPayload, UserPayload, payload};
use crate::scalar::Id;

payload! {
    /// The outcome of activating or deactivating a person.
    SetActivePayload {
        /// The person as it is now; null where nothing was done.
        user: Option<user::Model>,
        /// How many of the person's sessions ended.
        sessions_ended: i32,
        /// How many links were revoked that would have let the person in.
        links_revoked: i32,
        /// How many of the person's API keys were revoked.
        keys_revoked: i32,
        /// The groups of which a deactivated user was the last active owner, and that have another owner now; at most 200.
        groups_passed_on: Vec<group::Model>,
    }
}

payload! {
    /// The outcome of erasing a person.
    DeleteUserPayload {
        /// The id of who was erased; null where nothing was done.
        id: Option<Id>,
        /// The groups of which the user was the last owner, and that have another owner now; at most 200.
        groups_passed_on: Vec<group::Model>,
    }
}

#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Enters a person into the viewer's license. Administrators only, and for no more rights than they hold. An API key sets
    /// no password and no PIN. After 20 usernames or e-mail addresses within 15 minutes that are taken in other licenses, an
    /// input with either is `RATE_LIMITED`, here and in `updateUser`, also when only tried out.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person.")] input: CreateUserInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = {
                let by_mail = (ctx.mail_queue()?, ctx.self_service()?);
                let (db, viewer, logins) = (ctx.db()?, ctx.viewer()?, Logins::of(&input.fields, input.dry_run));
                let create = Box::pin(super::create(db, ctx.hasher()?, viewer, by_mail, input));
                logins.guard(ctx.login_inputs()?, db, viewer, create).await
            };
            UserPayload::of(outcome, |created| match created {
                Some(user) => UserPayload::done(format!("{} was entered.", user.name()), Some(user)),
                None => UserPayload::done("Nothing was entered; it would have been.", None),
            })
        })
        .await
    }

    /// Sends a person once more the link by which to choose a password and take the account into use; an older one works
    /// no more. Only who is active, has an e-mail address and has not taken the account into use. Administrators only,
    /// for people whose every right they hold, sites included. Not by an API key.
    async fn resend_activation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and where to go on from there.")] input: ResendActivationInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let ResendActivationInput { id, next_url } = input;
            let by_mail = (ctx.mail_queue()?, ctx.self_service()?);
            let outcome = invitation::resend(ctx.db()?, ctx.viewer()?, by_mail, &id, next_url).await;
            ReceiptPayload::of(outcome, |person| {
                ReceiptPayload::done(format!("A mail to {} is on its way.", person.name()))
            })
        })
        .await
    }

    /// Asks to be entered into the directory: a mail goes to the address, and who uses the link in it chooses a password
    /// and is entered and signed in. Until then the person is in no directory. Custom attributes are not asked for, even
    /// if they are required. The answer is the same whether or not somebody has the address already; of the
    /// requests for one address within 15 minutes 3 are heard. FORBIDDEN unless the server allows it. Open to everybody.
    async fn register_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who.")] input: RegisterUserInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let by_mail = (ctx.mail_queue()?, ctx.self_service()?);
            let outcome = {
                let who = (ctx.client()?, ctx.sign_in_policy()?);
                invitation::register(ctx.db()?, ctx.hasher()?, who, by_mail, input).await
            };
            ReceiptPayload::of(outcome, |()| {
                ReceiptPayload::done("A mail is on its way to this address; the link in it leads on.")
            })
        })
        .await
    }

    /// Changes a person. Everybody may change his own profile: names, nickname, position, phone, mobile, birthDate,
    /// gender, website, googleScholar, orcidId, atlasPreference, certifiedEmail, and the custom attributes that are
    /// userEditable. The rest is for administrators; password, PIN and e-mail address of people whose every right they hold,
    /// sites included, and not by an API key.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: UpdateUserInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = {
                let (db, hasher, viewer) = (ctx.db()?, ctx.hasher()?, ctx.viewer()?);
                let logins = Logins::of(&input.fields, input.dry_run);
                let language = ctx.client()?.language;
                let update = super::update(db, hasher, viewer, language, input);
                Box::pin(logins.guard(ctx.login_inputs()?, db, viewer, update)).await
            };
            UserPayload::of(outcome, |updated| match updated {
                Updated::Saved(user) => UserPayload::done(format!("{} was changed.", user.name()), Some(user)),
                Updated::DryRun(user) => UserPayload::done("Nothing was changed; it would have been.", Some(user)),
                Updated::Conflict(user) => {
                    UserPayload { user: Some(user), ..UserPayload::refused(payload::stale("person")) }
                }
            })
        })
        .await
    }

    /// Sets or removes the picture of a person. It is cut to the square in its middle, made no larger than 512 pixels, and
    /// written anew without whatever else is in the file, such as where it was taken. Everybody may set his own; that of
    /// others is for administrators.
    async fn set_user_avatar(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose, and the picture.")] input: SetUserAvatarInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let file = input.avatar.map_value(|upload| ctx.take_file(upload)).transpose()?;
            let outcome = avatar::set(ctx.db()?, ctx.image_processor()?, ctx.viewer()?, &input.id, file).await;
            UserPayload::of(outcome, |user| {
                let state = if user.avatar.is_some() { "has this picture" } else { "has no picture" };
                UserPayload::done(format!("{} {state} now.", user.name()), Some(user))
            })
        })
        .await
    }

    /// Activates or deactivates a person; may be repeated. Deactivating ends every session and API key at once and hides
    /// the person, and keeps everything else; activating brings none of them back. Groups with other members of which the
    /// person was the last active owner get another owner: a manager, else an administrator, else the longest member.
    /// Administrators only, not for themselves.
    async fn set_active(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and which way.")] input: SetActiveInput,
    ) -> NullableField<SetActivePayload> {
        authorized(ctx, async {
            let outcome = lifecycle::set_active(ctx.db()?, ctx.viewer()?, input).await;
            SetActivePayload::of(outcome, |ActivationChange { person, ended, groups_passed_on }| {
                let state = if person.is_active { "active" } else { "inactive" };
                let message = format!("{} is {state}.{}", person.name(), passed_on(&groups_passed_on));
                let ended = (ended.sessions, ended.links, ended.api_keys);
                SetActivePayload::done(message, Some(person), ended.0, ended.1, ended.2, groups_passed_on)
            })
        })
        .await
    }

    /// Erases a person, for good: the person, memberships, sessions, API keys, and what the audit trail says of the person.
    /// Username and e-mail address are free again. Groups of which the person was the last owner get another owner: a
    /// manager, else an administrator, else the longest member. Administrators only, not for themselves.
    async fn delete_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who.")] input: DeleteUserInput,
    ) -> NullableField<DeleteUserPayload> {
        authorized(ctx, async {
            let outcome = lifecycle::delete(ctx.db()?, ctx.viewer()?, &input.id).await;
            DeleteUserPayload::of(outcome, |Erased { id, groups_passed_on }| {
                let message = format!("The person was erased.{}", passed_on(&groups_passed_on));
                DeleteUserPayload::done(message, Some(id), groups_passed_on)
            })
        })
        .await
    }
}

/// Says of groups that they have another owner now.
fn passed_on(groups: &[group::Model]) -> String {
    match groups {
        [] => String::new(),
        [only] => format!(" The group {} has another owner now.", only.name),
        several => format!(" {} groups have another owner now.", several.len()),
    }
}
