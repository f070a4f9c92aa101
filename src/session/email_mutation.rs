//! requestPasswordReset, resetPassword, requestEmailChange, confirmEmailChange.

use async_graphql::{Context, InputObject, Object};

use super::email_change;
use super::mutation::authenticator;
use super::password_reset;
use crate::access::Action;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{ReceiptPayload, UserPayload};

/// Whose password is lost.
#[derive(InputObject)]
pub struct RequestPasswordResetInput {
    /// The e-mail address of the account, in any spelling; at most 250 characters.
    pub email: String,
}

/// A link, and the password to be set by it.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The token of the link: what stands behind its `#`.
    pub token: String,
    /// The password: at least 12 characters where nothing else is set, at most 128, hard to guess.
    pub password: String,
}

/// One's own new address.
#[derive(InputObject)]
pub struct RequestEmailChangeInput {
    /// The address as it is to be; at most 250 characters.
    pub new_email: String,
    /// The password as it is.
    pub current_password: String,
}

/// A link by which a new address is confirmed.
#[derive(InputObject)]
pub struct ConfirmEmailChangeInput {
    /// The token of the link: what stands behind its `#`.
    pub token: String,
}

#[derive(Default)]
pub struct ByMailMutation;

#[Object]
impl ByMailMutation {
    /// Sends a link by which a lost password is replaced to the person of an address; it works once, for an hour. The
    /// answer is the same whether or not there is anybody. Of the requests for one address within 15 minutes 3 are heard, and
    /// the rest is passed over; too many from one network address are `RATE_LIMITED`. Open to everybody.
    async fn request_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose.")] input: RequestPasswordResetInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            ReceiptPayload::of(password_reset::request(&authenticator(ctx)?, &input.email).await, |()| {
                ReceiptPayload::done("If there is an account with this address, a mail is on its way to it.")
            })
        })
        .await
    }

    /// Sets the password of the person whom a link lets in, who was sent it for having lost the old one. Every session
    /// ends, and nobody is signed in. Open to everybody.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The link and the password.")] input: ResetPasswordInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let ResetPasswordInput { token, password } = input;
            ReceiptPayload::of(password_reset::reset(&authenticator(ctx)?, &token, password).await, |()| {
                ReceiptPayload::done("Your password was set; sign in with it.")
            })
        })
        .await
    }

    /// Asks for another e-mail address: a link goes to the new one, which takes the place of the present one when it is
    /// used within two hours; the present one is told. A change of the password stops it. At most 3 mails within 15
    /// minutes go to one address. Open to everybody who is signed in and knows the own password.
    async fn request_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new address and the present password.")] input: RequestEmailChangeInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            let RequestEmailChangeInput { new_email, current_password } = input;
            let outcome =
                email_change::request(&authenticator(ctx)?, ctx.viewer()?, &new_email, current_password).await;
            ReceiptPayload::of(outcome, |()| {
                ReceiptPayload::done("A mail is on its way to the new address; the link in it confirms it.")
            })
        })
        .await
    }

    /// Confirms a new e-mail address by the link that went to it; the old one is told. Sessions go on. TAKEN if the address is another user's
    /// by now, as an e-mail address or a username. The person is shown to who is signed in and sees him. Open to everybody.
    async fn confirm_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The link.")] input: ConfirmEmailChangeInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let viewer = ctx.viewer()?;
            UserPayload::of(email_change::confirm(ctx.db()?, ctx.client()?, &input.token).await, |person| {
                let seen = viewer.may_on(Action::ReadDirectory, &person).is_ok();
                UserPayload::done("Your e-mail address was changed.", seen.then_some(person))
            })
        })
        .await
    }
}
