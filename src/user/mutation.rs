//! Mutations `createUser`, `resendActivation`, `registerUser`, `updateUser`, `setUserAvatar`, `setActive` and `deleteUser`.

use async_graphql::{Context, Object};

use super::foreign::Logins;
use super::input::{
    CreateUserInput, DeleteUserInput, RegisterUserInput, ResendActivationInput, SetActiveInput, SetUserAvatarInput,
    UpdateUserInput,
};
use super::invitation::{self, ActivationEmails};
use super::lifecycle::{self, ActivationChange, Erased};
use super::{avatar, create, update};
use crate::auth::credential::RevokedAccess;
use crate::entity::group;
use crate::entity::user;
use crate::error::Error;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{self, ReceiptPayload, Updated, UserPayload, payload};
use crate::scalar::Id;

payload! {
    /// Payload of `setActive`.
    SetActivePayload {
        /// The user as it is now. Null if nothing was done.
        user: Option<user::Model>,
        /// The number of the user's sessions that were ended.
        sessions_ended: i32,
        /// The number of links that were revoked and would have let the user sign in.
        links_revoked: i32,
        /// The number of the user's API keys that were revoked.
        keys_revoked: i32,
        /// The groups whose last active owner was the deactivated user, and that have another owner now. At most 200.
        groups_passed_on: Vec<group::Model>,
    }
}

payload! {
    /// Payload of `deleteUser`.
    DeleteUserPayload {
        /// The ID of the erased user. Null if no user was erased.
        deleted_user_id: Option<Id>,
        /// The groups of which the user was the last owner and that have another owner now. At most 200.
        groups_passed_on: Vec<group::Model>,
    }
}

#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Creates a user in the viewer's license. Administrators only, with no more rights than they hold. An API key cannot set a
    /// password or a PIN. After 20 usernames or email addresses within 15 minutes that are taken in other licenses, an input
    /// with either is `RATE_LIMITED`. This limit is shared with `updateUser` and includes dry runs.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user.")] input: CreateUserInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = {
                let emails = activation_emails(ctx)?;
                let (db, viewer, logins) = (ctx.db()?, ctx.viewer()?, Logins::of(&input.fields, input.dry_run));
                let create = Box::pin(create::create(db, ctx.hasher()?, viewer, emails, input));
                logins.guard(ctx.login_inputs()?, db, viewer, create).await
            };
            UserPayload::of(outcome, |created| match created {
                Some(user) => UserPayload::done(format!("{} was created.", user.name()), Some(user)),
                None => UserPayload::done("Dry run: the input is valid; nothing was saved.", None),
            })
        })
        .await
    }

    /// Resends the link by which a user chooses a password and activates the account. Older links stop working. The user must
    /// be active, have an email address and not have activated the account yet. Administrators only, for users whose every
    /// right they hold, sites included. Not available to API keys.
    async fn resend_activation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user, and the URL to continue at afterwards.")] input: ResendActivationInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let ResendActivationInput { id, next_url } = input;
            let emails = activation_emails(ctx)?;
            let outcome = invitation::resend(ctx.db()?, ctx.viewer()?, emails, &id, next_url).await;
            ReceiptPayload::of(outcome, |user| {
                ReceiptPayload::done(format!("An invitation email to {} will be sent shortly.", user.name()))
            })
        })
        .await
    }

    /// Requests registration in the directory. An email is sent to the address; the visitor sets a password by its link, and is
    /// then created as a user and signed in. Until then the visitor is not in the directory. Custom attributes are not asked
    /// for, even if they are required. The answer is the same whether or not a user has the address already. At most 3 requests
    /// for one address within 15 minutes are handled. `FORBIDDEN` unless the server allows registration. Open to everyone.
    async fn register_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user.")] input: RegisterUserInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let outcome = {
                let (client, policy, emails) = (ctx.client()?, ctx.sign_in_policy()?, activation_emails(ctx)?);
                invitation::register(ctx.db()?, ctx.hasher()?, client, policy, emails, input).await
            };
            ReceiptPayload::of(outcome, |()| {
                ReceiptPayload::done("An email will be sent to this address; follow the link in it to continue.")
            })
        })
        .await
    }

    /// Updates a user. Users may update these fields of their own profile: `firstName`, `lastName`, `nickname`, `position`,
    /// `phone`, `mobile`, `birthDate`, `gender`, `website`, `googleScholar`, `orcidId`, `atlasPreference` and `certifiedEmail`.
    /// They may also update custom attributes that are `userEditable`. Only administrators may update anything else.
    /// Administrators may change the password, PIN and email address only of users whose every right they hold, sites included.
    /// An API key may not change them.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes to make.")] input: UpdateUserInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = {
                let (db, hasher, viewer) = (ctx.db()?, ctx.hasher()?, ctx.viewer()?);
                let logins = Logins::of(&input.fields, input.dry_run);
                let language = ctx.client()?.language;
                let update = update::update(db, hasher, viewer, language, input);
                Box::pin(logins.guard(ctx.login_inputs()?, db, viewer, update)).await
            };
            UserPayload::of(outcome, |updated| match updated {
                Updated::Saved(user) => UserPayload::done(format!("{} was updated.", user.name()), Some(user)),
                Updated::DryRun(user) => {
                    UserPayload::done("Dry run: the input is valid; nothing was saved.", Some(user))
                }
                Updated::Conflict(user) => {
                    UserPayload { user: Some(user), ..UserPayload::rejected(payload::stale("user")) }
                }
            })
        })
        .await
    }

    /// Sets or removes a user's picture. The picture is cropped to the square in its center and scaled down to at most 512
    /// pixels. It is re-encoded without any other data of the file, such as where it was taken. Users may set their own
    /// picture. Only administrators may set the picture of other users.
    async fn set_user_avatar(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user and the picture.")] input: SetUserAvatarInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let file = input.avatar.map_value(|upload| ctx.take_file(upload)).transpose()?;
            let outcome = avatar::set(ctx.db()?, ctx.image_processor()?, ctx.viewer()?, &input.id, file).await;
            UserPayload::of(outcome, |user| {
                let state = if user.avatar.is_some() { "set" } else { "removed" };
                UserPayload::done(format!("The picture of {} was {state}.", user.name()), Some(user))
            })
        })
        .await
    }

    /// Activates or deactivates a user. Idempotent. Deactivating ends every session and API key at once, hides the user, and
    /// keeps everything else. Activating restores no session or API key. Groups with other members of which the user was the
    /// last active owner get another owner: a manager, else an administrator, else the longest-standing member. Administrators
    /// only, and not for themselves.
    async fn set_active(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user, and whether to activate or deactivate them.")] input: SetActiveInput,
    ) -> NullableField<SetActivePayload> {
        authorized(ctx, async {
            let outcome = lifecycle::set_active(ctx.db()?, ctx.viewer()?, input).await;
            SetActivePayload::of(outcome, |ActivationChange { user, ended, groups_passed_on }| {
                let state = if user.is_active { "active" } else { "inactive" };
                let message = format!("{} is now {state}.{}", user.name(), passed_on(&groups_passed_on));
                let RevokedAccess { sessions, links, api_keys } = ended;
                SetActivePayload::done(message, Some(user), sessions, links, api_keys, groups_passed_on)
            })
        })
        .await
    }

    /// Erases a user permanently: the user, their memberships, sessions and API keys, and what the audit trail says about them.
    /// The username and email address become available again. Groups of which the user was the last owner get another owner: a
    /// manager, else an administrator, else the longest-standing member. Administrators only, and not for themselves.
    async fn delete_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user.")] input: DeleteUserInput,
    ) -> NullableField<DeleteUserPayload> {
        authorized(ctx, async {
            let outcome = lifecycle::delete(ctx.db()?, ctx.viewer()?, &input.id).await;
            DeleteUserPayload::of(outcome, |Erased { id, groups_passed_on }| {
                let message = format!("The user was deleted.{}", passed_on(&groups_passed_on));
                DeleteUserPayload::done(message, Some(id), groups_passed_on)
            })
        })
        .await
    }
}

fn activation_emails<'a>(ctx: &'a Context<'_>) -> Result<ActivationEmails<'a>, Error> {
    Ok(ActivationEmails { queue: ctx.mail_queue()?, policy: ctx.self_service()? })
}

/// Returns a sentence which says that groups have another owner now. Empty if there are none.
fn passed_on(groups: &[group::Model]) -> String {
    match groups {
        [] => String::new(),
        [only] => format!(" The group {} has a new owner.", only.name),
        several => format!(" {} groups have a new owner.", several.len()),
    }
}
