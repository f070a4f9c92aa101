//! Mutations: `login`, `activateAccount`, `logout`, `endSessions`, `forgetDevice`, `changePassword`, `setPin` and
//! `unlockUser`.

use async_graphql::{Context, Object};

use super::credentials::{self, PasswordChange};
use super::input::{
    ActivateAccountInput, ChangePasswordInput, EndSessionsInput, ForgetDeviceInput, LoginInput, SetPinInput,
    UnlockUserInput,
};
use super::sign_in::Authenticator;
use super::sign_in_log::SignInMetrics;
use super::start::NewSession;
use super::{EndSessionsRequest, Ended, activation};
use crate::access::{AuthMethod, SignedIn};
use crate::entity::user;
use crate::error::{Error, ErrorCode};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{ReceiptPayload, UserPayload, payload};
use crate::scalar::{Instant, Url};
use crate::validation::Validator;

payload! {
    /// Payload of `login` and `activateAccount`.
    LoginPayload {
        /// The user who signed in. Null if the mutation failed.
        user: Option<user::Model>,
        /// The bearer token of the new session, to be sent as `Authorization: Bearer ...`. Shown only once. Null if the
        /// mutation failed.
        token: Option<String>,
        /// The token with which this device can sign in with a PIN: the one that was sent if it is still valid, otherwise a
        /// new one. Null after a sign-in with a PIN, or if the mutation failed.
        device_token: Option<String>,
        /// The date and time when the session ends at the latest: 30 days after the sign-in by default (a server
        /// setting). Null if the mutation failed.
        expires_at: Option<Instant>,
        /// The URL to continue at after `activateAccount`: the `registrationEmailNextUrl` or `nextUrl` of the link. Roster's
        /// own page appends `#token=` and the session token when it redirects there. Null if none.
        next_url: Option<Url>,
    }
}

payload! {
    /// Payload of `logout`.
    LogoutPayload {}
}

payload! {
    /// Payload of `endSessions`.
    EndSessionsPayload {
        /// The number of sessions that were ended.
        sessions_ended: i32,
        /// The number of devices that were forgotten.
        devices_forgotten: i32,
    }
}

#[derive(Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Signs a user in with a username or email address, and a password or a PIN. An unknown login and a wrong password
    /// or PIN result in the same error (`INVALID_CREDENTIALS`). `INACTIVE` if the password or PIN is right, but the
    /// account is deactivated or its license is not valid. Ten wrong passwords for one login within 15 minutes lock
    /// sign-in with it for 15 minutes (`LOCKED`). Ten wrong passwords for one user with different logins do the same,
    /// but the error stays `INVALID_CREDENTIALS`, even for the right password. Devices with a valid `deviceToken` are
    /// counted separately. Five wrong PINs lock the PIN until the next sign-in with the password (`LOCKED`). After 100
    /// wrong passwords or PINs from one network address within 15 minutes (a server setting), further attempts are
    /// `RATE_LIMITED`. Open to everyone.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The login, with a password or a PIN.")] input: LoginInput,
    ) -> NullableField<LoginPayload> {
        authorized(ctx, async {
            let authenticator = authenticator(ctx)?;
            let typed_login = input.login.clone();
            let outcome = match validated(input) {
                Ok(LoginRequest { login, secret: Secret::Password { password, device_token } }) => {
                    Box::pin(authenticator.sign_in_with_password(&login, password, device_token)).await
                }
                Ok(LoginRequest { login, secret: Secret::Pin { pin, device_token } }) => {
                    Box::pin(authenticator.sign_in_with_pin(&login, pin, &device_token)).await
                }
                Err(error) => Err(error),
            };
            authenticator.log_failure(&typed_login, &outcome);
            ctx.data::<SignInMetrics>()?.count(&outcome);
            login_payload(ctx, outcome)
        })
        .await
    }

    /// Sets the password of the user for whom the link was issued, and signs the user in. For a visitor who registered,
    /// it creates the user first; `TAKEN` if the address has since become another user's email address or username. A
    /// link works once, within 14 days. A newer link, a deactivation, or a change of password or email address
    /// invalidates it (`EXPIRED`). After 20 attempts with one link within 15 minutes, further attempts are
    /// `RATE_LIMITED`. Open to everyone.
    async fn activate_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the link and the new password.")] input: ActivateAccountInput,
    ) -> NullableField<LoginPayload> {
        authorized(ctx, async {
            let authenticator = authenticator(ctx)?;
            let outcome = Box::pin(activation::activate(&authenticator, &input.token, input.password)).await;
            login_payload(ctx, outcome)
        })
        .await
    }

    /// Ends the current session. Open to every signed-in user. Not available to API keys.
    async fn logout(&self, ctx: &Context<'_>) -> NullableField<LogoutPayload> {
        authorized(ctx, async {
            LogoutPayload::of(super::end(ctx.db()?, ctx.viewer()?).await, |()| {
                LogoutPayload::done("You are signed out.")
            })
        })
        .await
    }

    /// Ends some or all sessions of the viewer or, for administrators, of a user of no higher rank. The user's devices are
    /// forgotten as well: none of them can sign in with a PIN until it has signed in with the password. Not available to API
    /// keys.
    async fn end_sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user and the sessions to end.")] input: EndSessionsInput,
    ) -> NullableField<EndSessionsPayload> {
        authorized(ctx, async {
            let EndSessionsInput { user_id, session_ids, include_current } = input;
            let request =
                EndSessionsRequest { user_id: user_id.map(|id| id.0), sessions: session_ids, include_current };
            EndSessionsPayload::of(super::end_sessions(ctx.db()?, ctx.viewer()?, request).await, |ended| {
                let Ended { sessions, devices } = ended;
                let message = format!("Sessions ended: {sessions}. Devices forgotten: {devices}.");
                EndSessionsPayload::done(message, sessions, devices)
            })
        })
        .await
    }

    /// Forgets a device of the viewer or, for administrators, of a user of no higher rank. The device cannot sign in with a PIN
    /// until it has signed in with the password. Its sessions continue. Not available to API keys.
    async fn forget_device(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The device to forget.")] input: ForgetDeviceInput,
    ) -> NullableField<ReceiptPayload> {
        authorized(ctx, async {
            ReceiptPayload::of(super::forget_device(ctx.db()?, ctx.viewer()?, &input.id).await, |()| {
                ReceiptPayload::done("The device was forgotten.")
            })
        })
        .await
    }

    /// Changes the viewer's password. Every other session ends, and no device can sign in with a PIN until it has signed in
    /// with the new password. API keys stay valid unless `revokeApiKeys` is set. Open to every signed-in user. Not available to
    /// API keys.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The current password and the new one.")] input: ChangePasswordInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let revoke_api_keys = input.revoke_api_keys;
            let outcome = credentials::change_password(&authenticator(ctx)?, ctx.viewer()?, input).await;
            UserPayload::of(outcome, |PasswordChange { user, revoked_api_keys }| {
                let revoked =
                    if revoke_api_keys { format!(" API keys revoked: {revoked_api_keys}.") } else { String::new() };
                UserPayload::done(format!("Your password was changed.{revoked}"), Some(user))
            })
        })
        .await
    }

    /// Sets or removes the viewer's PIN. `LOCKED` after five wrong PINs, until the next sign-in with the password. Open
    /// to every signed-in user. Not available to API keys.
    async fn set_pin(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The viewer's new PIN.")] input: SetPinInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = credentials::change_pin(&authenticator(ctx)?, ctx.viewer()?, input.pin).await;
            UserPayload::of(outcome, |user| {
                let state = if user.has_pin { "set" } else { "removed" };
                UserPayload::done(format!("Your PIN was {state}."), Some(user))
            })
        })
        .await
    }

    /// Unlocks a user who was locked out by wrong passwords. The user can sign in again at once, with every login and on every
    /// device. A locked PIN stays locked. Idempotent. Administrators only, for other users of no higher rank.
    async fn unlock_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user to unlock.")] input: UnlockUserInput,
    ) -> NullableField<UserPayload> {
        authorized(ctx, async {
            let outcome = credentials::unlock(&authenticator(ctx)?, ctx.viewer()?, &input.id).await;
            UserPayload::of(outcome, |user| {
                UserPayload::done(format!("{} can sign in again.", user.name()), Some(user))
            })
        })
        .await
    }
}

/// Returns the payload of a sign-in, and makes the signed-in user the viewer of the rest of the request.
fn login_payload(ctx: &Context<'_>, outcome: Result<NewSession, Error>) -> async_graphql::Result<Option<LoginPayload>> {
    if let Ok(session) = &outcome {
        let request_id = ctx.client()?.request_id.clone();
        let user = (&session.user).into();
        ctx.current_viewer()?.sign_in(SignedIn::new(&user, AuthMethod::Session(session.id), request_id));
    }
    LoginPayload::of(outcome, |session| {
        let message = format!("Welcome, {}.", session.user.name());
        let (token, expires_at) = (Some(session.token), Some(session.expires_at.into()));
        LoginPayload::done(message, Some(session.user), token, session.device_token, expires_at, session.next_url)
    })
}

/// A valid input of `login`.
struct LoginRequest {
    login: String,
    secret: Secret,
}

enum Secret {
    Password { password: String, device_token: Option<String> },
    Pin { pin: String, device_token: String },
}

/// Checks that the input has exactly one secret, and a device token if that is a PIN.
fn validated(input: LoginInput) -> Result<LoginRequest, Error> {
    let LoginInput { login, password, pin, device_token } = input;
    let mut validator = Validator::creating();
    let secret = match (password, pin, device_token) {
        (Some(password), None, device_token) => Some(Secret::Password { password, device_token }),
        (None, Some(pin), Some(device_token)) => Some(Secret::Pin { pin, device_token }),
        (None, Some(_), None) => {
            validator.add_error(
                "deviceToken",
                ErrorCode::Required,
                "A PIN can be used only with the token of a known device.",
            );
            None
        }
        (Some(_), Some(_), _) => {
            validator.add_error("pin", ErrorCode::Invalid, "Give either a password or a PIN, not both.");
            None
        }
        (None, None, _) => {
            validator.add_error("password", ErrorCode::Required, "A password or a PIN is required.");
            None
        }
    };
    validator.finish()?;
    let secret = secret.ok_or_else(|| Error::internal("a sign-in without a password or PIN passed validation"))?;
    Ok(LoginRequest { login, secret })
}

pub(super) fn authenticator<'a>(ctx: &'a Context<'_>) -> Result<Authenticator<'a>, Error> {
    Ok(Authenticator {
        db: ctx.db()?,
        hasher: ctx.hasher()?,
        policy: ctx.sign_in_policy()?,
        client: ctx.client()?,
        self_service: ctx.self_service()?,
    })
}
