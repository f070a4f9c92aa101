//! Mutations `createUser`, `resendActivation`, `registerUser`, `updateUser`, `setUserAvatar`, `exportUser`, `setActive` and
//! `deleteUser`.

use async_graphql::{Context, Object};

use super::foreign::Logins;
use super::input::{
    CreateUserInput, DeleteUserInput, ExportUserInput, RegisterUserInput, ResendActivationInput, SetActiveInput,
    SetUserAvatarInput, UpdateUserInput,
};
use super::invitation::{self, ActivationEmails};
use super::lifecycle::{self, ActivationChange, Erased};
use super::{avatar, create, export, update};
use crate::auth::credential::RevokedAccess;
use crate::entity::group;
use crate::entity::user;
use crate::error::Error;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{self, ReceiptPayload, Updated, UserPayload, payload};
use crate::scalar::{Id, Json};

payload! {
    /// Payload of `exportUser`.
    ExportUserPayload {
        /// All data that the directory holds about the user and that the viewer can see, as a JSON object. Null if the
        /// mutation failed.
        export: Option<Json>,
    }
}

payload! {
    /// Payload of `setActive`.
    SetActivePayload {
        /// The current state of the user. Null if the mutation failed.
        user: Option<user::Model>,
        /// The number of the user's sessions that were ended.
        sessions_ended: i32,
        /// The number of the user's unused links that were revoked, such as activation links.
        links_revoked: i32,
        /// The number of the user's API keys that were revoked.
        keys_revoked: i32,
        /// The groups that have a new owner because the user was their last active owner. At most 200.
        groups_passed_on: Vec<group::Model>,
    }
}

payload! {
    /// Payload of `deleteUser`.
    DeleteUserPayload {
        /// The ID of the erased user. Null if no user was erased.
        deleted_user_id: Option<Id>,
        /// The groups that have a new owner because the user was their last owner. At most 200.
        groups_passed_on: Vec<group::Model>,
    }
}

#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Creates a user in the viewer's license. After 20 attempts within 15 minutes to use a username or email address
    /// that is taken in another license, further inputs with a username or email address are `RATE_LIMITED`. Attempts
    /// in `updateUser`, `importUsers` and dry runs count too. Administrators only, for users of no higher rank than their
    /// own. An API key cannot set a password or a PIN.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user to create.")] input: CreateUserInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = {
                let emails = activation_emails(ctx)?;
                let (db, viewer) = (ctx.db()?, ctx.viewer()?);
                let logins = Logins::checked_by_work(&input.fields, input.dry_run);
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

    /// Sends a user an email with a new link to set a password and activate the account. The link is valid for 14 days;
    /// older links stop working. `INACTIVE` if the user is inactive, and `NOT_ALLOWED` if the user has no email address
    /// or has already activated the account. Administrators only, for users whose rights, including access to sites, do
    /// not exceed their own. Not available to API keys.
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

    /// Requests registration as a user. A link that is valid for 14 days is sent to the email address. The user is
    /// created, and signed in, when the visitor sets a password with the link (`activateAccount`). The new user has no
    /// custom attributes, even if some are required. The response is the same whether or not the address belongs to a
    /// user. At most 3 requests for one address within 15 minutes are handled; the rest are ignored. After 100 requests
    /// for emails from one network address within 15 minutes (a server setting), further ones are `RATE_LIMITED`.
    /// `FORBIDDEN` unless the server allows registration. Open to everyone.
    async fn register_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user to register.")] input: RegisterUserInput,
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

    /// Updates a user. Users may update these fields of their own profile: `firstName`, `lastName`, `nickname`,
    /// `position`, `phone`, `mobile`, `birthDate`, `gender`, `website`, `googleScholar`, `orcidId`, `atlasPreference`
    /// and `certifiedEmail`. They may also update custom attributes that are `userEditable`. Only administrators may
    /// update anything else, for users of no higher rank. Only license administrators and superusers may change their
    /// own rank. `NOT_ALLOWED` when demoting the last active superuser, or the last active license administrator of a
    /// license. The password, PIN and email address can be changed only for other users whose rights, including access
    /// to sites, do not exceed the administrator's. An API key cannot change them. For the viewer's own, see
    /// `changePassword`, `setPin` and `requestEmailChange`. Attempts to use a username or email address that is taken in
    /// another license are limited as in `createUser` (`RATE_LIMITED`).
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

    /// Sets or removes a user's picture. The picture is cropped to the square in its center, scaled down to at most 512
    /// by 512 pixels, and re-encoded without metadata such as the location. Users may set their own picture.
    /// Administrators may also set the pictures of users of no higher rank.
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

    /// Exports all data that the directory holds about a user, for example to answer a data access request: fields,
    /// custom attributes, groups, sites, the picture, sessions, devices, API keys, queued emails, and the latest 1,000
    /// audit events about the user and by the user (fewer if their changes are long). If there are more events,
    /// `isComplete` in the JSON is `false`. Passwords, PINs, tokens and their hashes are never included, nor are values
    /// of other users. Recorded in the audit trail. Users may export themselves. Administrators may also export users
    /// of no higher rank. Not available to API keys.
    async fn export_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user to export.")] input: ExportUserInput,
    ) -> NullableField<ExportUserPayload> {
        authorized(ctx, async {
            let outcome = export::export(ctx.db()?, ctx.viewer()?, &input.id).await;
            ExportUserPayload::of(outcome, |(user, export)| {
                ExportUserPayload::done(format!("Everything about {} was exported.", user.name()), Some(export))
            })
        })
        .await
    }

    /// Activates or deactivates a user. Idempotent. Deactivating ends every session, forgets every device, revokes
    /// every API key and link, hides the user, and keeps everything else. Activating shows the user again and restores
    /// nothing else. Groups with other active members of which the user was the last active owner get another owner: a
    /// manager, else an administrator, else the longest-standing member. `NOT_ALLOWED` when deactivating the last
    /// active superuser, or the last active license administrator of a license. Administrators only, for other users of
    /// no higher rank.
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

    /// Erases a user permanently: the user, their memberships, sessions and API keys, and their values in the audit
    /// trail. The username and email address become available again. Groups of which the user was the last owner get
    /// another owner: a manager, else an administrator, else the longest-standing member. A group that no user can take
    /// over is deleted. `NOT_ALLOWED` for the last active superuser, and for the last active license administrator of a
    /// license. Administrators only, for other users of no higher rank.
    async fn delete_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user to erase.")] input: DeleteUserInput,
    ) -> NullableField<DeleteUserPayload> {
        authorized(ctx, async {
            let outcome = lifecycle::delete(ctx.db()?, ctx.hasher()?, ctx.viewer()?, &input.id).await;
            if outcome.is_ok() {
                ctx.search_index()?.remove_file().await;
            }
            DeleteUserPayload::of(outcome, |Erased { id, groups_passed_on }| {
                let message = format!("The user was erased.{}", passed_on(&groups_passed_on));
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
