//! login, logout.

use async_graphql::{Context, InputObject, Object};
use chrono::{DateTime, Utc};

use crate::access::{Action, SignedIn};
use crate::context::{Answer, ContextExt, answer};
use crate::entity::user;
use crate::error::{Error, ErrorCode};
use crate::payload::payload;

/// Who signs in, and by what.
#[derive(InputObject)]
pub struct LoginInput {
    /// The username or e-mail address.
    pub login: String,
    /// The password.
    pub password: Option<String>,
}

payload! {
    /// The outcome of signing in.
    LoginPayload {
        /// Who signed in.
        user: Option<user::Model>,
        /// The bearer token of the new session, to be sent as `Authorization: Bearer ...`. It is shown this once.
        token: Option<String>,
        /// When the session ends at the latest.
        expires_at: Option<DateTime<Utc>>,
    }
}

payload! {
    /// The outcome of signing out.
    LogoutPayload {}
}

#[derive(Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Signs a person in by username or e-mail address and password. Unknown login and wrong password get the same
    /// answer. Open to everybody.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in, and by what.")] input: LoginInput,
    ) -> Answer<LoginPayload> {
        answer(ctx, Action::SignIn, async {
            let outcome = match input.password {
                Some(password) => {
                    super::login(ctx.db()?, ctx.hasher()?, ctx.lifetime()?, ctx.client()?, &input.login, password).await
                }
                None => Err(Error::rejected("password", ErrorCode::Required, "The password is missing.")),
            };
            if let Ok(opened) = &outcome {
                ctx.asking()?.signs_in(SignedIn::new(&opened.user, opened.id));
            }
            LoginPayload::of(outcome, |opened| {
                let message = format!("Welcome, {}.", opened.user.name());
                LoginPayload::done(message, Some(opened.user), Some(opened.token), Some(opened.expires_at))
            })
        })
        .await
    }

    /// Ends the session that asks. Open to everybody who is signed in.
    async fn logout(&self, ctx: &Context<'_>) -> Answer<LogoutPayload> {
        answer(ctx, Action::UseSession, async {
            let session = ctx.viewer()?.signed_in()?.session_id;
            LogoutPayload::of(super::end(ctx.db()?, session).await, |()| LogoutPayload::done("You are signed out."))
        })
        .await
    }
}
