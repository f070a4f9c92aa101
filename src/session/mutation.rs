//! login, logout.

use async_graphql::{Context, InputObject, Object, Result};
use chrono::{DateTime, Utc};

use crate::access::Action;
use crate::context::ContextExt;
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
    #[graphql(guard = "Action::SignIn")]
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in, and by what.")] input: LoginInput,
    ) -> Result<Option<LoginPayload>> {
        let outcome = match input.password {
            Some(password) => super::login(ctx.db()?, ctx.hasher()?, ctx.lifetime()?, ctx.client()?, &input.login, password).await,
            None => Err(Error::rejected("password", ErrorCode::Required, "The password is missing.")),
        };
        LoginPayload::of(outcome, |opened| {
            let message = format!("Welcome, {}.", opened.user.name());
            LoginPayload::done(message, Some(opened.user), Some(opened.token), Some(opened.expires_at))
        })
    }

    /// Ends the session that asks. Open to everybody who is signed in.
    #[graphql(guard = "Action::UseSession")]
    async fn logout(&self, ctx: &Context<'_>) -> Result<Option<LogoutPayload>> {
        let session = ctx.viewer()?.signed_in()?.session_id;
        LogoutPayload::of(super::end(ctx.db()?, session).await, |()| LogoutPayload::done("You are signed out."))
    }
}
