//! Mutations: `requestPasswordReset`, `resetPassword`, `requestEmailChange` and `confirmEmailChange`.

use async_graphql::{Context, InputObject, Object};

use super::mutation::authenticator;
use super::{email_change, password_reset};
use crate::access::Action;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{ReceiptPayload, UserPayload};

/// Input of `requestPasswordReset`.
#[derive(InputObject)]
pub struct RequestPasswordResetInput {
    /// The email address of the account, ignoring case. At most 250 characters.
    pub email: String,
}

/// Input of `resetPassword`: the token of a link and the password to set with it.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The token of the link: the part of its URL after the `#`.
    pub token: String,
    /// The new password. At least 12 characters by default (a server setting), at most 128, and hard to guess.
    pub password: String,
}

/// Input of `requestEmailChange`.
#[derive(InputObject)]
pub struct RequestEmailChangeInput {
    /// The new email address. At most 250 characters. `INVALID` if it is the current one.
    pub new_email: String,
    /// The viewer's current password. `INVALID_CREDENTIALS` if it is wrong. After ten wrong passwords within 15
    /// minutes, `LOCKED` for 15 minutes.
    pub current_password: String,
}

/// Input of `confirmEmailChange`: the token of the link that confirms a new email address.
#[derive(InputObject)]
pub struct ConfirmEmailChangeInput {
    /// The token of the link: the part of its URL after the `#`.
    pub token: String,
}

#[derive(Default)]
pub struct EmailMutation;

#[Object]
impl EmailMutation {
    /// Sends a password reset link to the user with the given email address. The link works once, within one hour. The
    /// response is the same whether or not there is such a user. At most 3 requests for one address within 15 minutes
    /// are handled; the rest are ignored. After 100 requests for emails from one network address within 15 minutes (a
    /// server setting), further ones are `RATE_LIMITED`. Open to everyone.
    async fn request_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The email address of the account.")] input: RequestPasswordResetInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            ReceiptPayload::of(password_reset::request(&authenticator(ctx)?, &input.email).await, |()| {
                ReceiptPayload::done("If an account with this address exists, an email will be sent to it.")
            })
        })
        .await
    }

    /// Sets a new password with the link from `requestPasswordReset`. A link works once, within one hour. A newer link,
    /// a deactivation, or a change of password or email address invalidates it (`EXPIRED`). Every session of the user
    /// ends, and no device can sign in with a PIN until it has signed in with the new password. Sign-in is unlocked,
    /// but the user is not signed in. After 20 attempts with one link within 15 minutes, further attempts are
    /// `RATE_LIMITED`. Open to everyone.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the link and the new password.")] input: ResetPasswordInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let ResetPasswordInput { token, password } = input;
            ReceiptPayload::of(password_reset::reset(&authenticator(ctx)?, &token, password).await, |()| {
                ReceiptPayload::done("Your password was set; sign in with it.")
            })
        })
        .await
    }

    /// Requests a change of the viewer's email address. A link is sent to the new address. When it is used within two
    /// hours (`confirmEmailChange`), the new address replaces the current one. The current address is notified. A
    /// change of password cancels the request. The response is the same if the new address is taken, but no link is
    /// sent. At most 3 emails within 15 minutes are sent to one address. After 10 requests within 15 minutes, further
    /// ones are `RATE_LIMITED`. Open to every signed-in user. Not available to API keys.
    async fn request_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new email address and the current password.")] input: RequestEmailChangeInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let RequestEmailChangeInput { new_email, current_password } = input;
            let outcome =
                email_change::request(&authenticator(ctx)?, ctx.viewer()?, &new_email, current_password).await;
            ReceiptPayload::of(outcome, |()| {
                ReceiptPayload::done(
                    "An email will be sent to the new address; follow the link in it to confirm the address.",
                )
            })
        })
        .await
    }

    /// Confirms a new email address with the link that was sent to it. A link works once, within two hours. A newer
    /// link, a deactivation, or a change of password or email address invalidates it (`EXPIRED`). The old address is
    /// notified. Sessions continue. `TAKEN` if the address has since become another user's email address or username.
    /// The payload contains the user only if the viewer is signed in and can see the user. Open to everyone.
    async fn confirm_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the link.")] input: ConfirmEmailChangeInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let viewer = ctx.viewer()?;
            UserPayload::of(email_change::confirm(ctx.db()?, ctx.client()?, &input.token).await, |user| {
                let seen = viewer.may_on(Action::ReadDirectory, &user).is_ok();
                UserPayload::done("Your email address was changed.", seen.then_some(user))
            })
        })
        .await
    }
}
