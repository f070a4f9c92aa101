//! Input objects of the mutations of sessions and credentials.

use crate::scalar::Id;
use async_graphql::{ID, InputObject};

/// Who signs in, and by what: a password, or a PIN on a device that has signed in by password before.
#[derive(InputObject)]
pub struct LoginInput {
    /// The username or e-mail address.
    pub login: String,
    /// The password.
    pub password: Option<String>,
    /// The PIN; only together with the device's token.
    pub pin: Option<String>,
    /// The token that the last sign-in by password on this device returned. It is remembered for 30 days from its last use.
    /// Send it with a password too: wrong secrets of strangers do not count against a known device.
    pub device_token: Option<String>,
}

/// Which sessions are to end.
#[derive(InputObject)]
pub struct EndSessionsInput {
    /// Whose; the viewer's own where nobody is named. Those of others are for administrators to end.
    pub user_id: Option<ID>,
    /// Which, at most 100; all of them where none is named.
    pub session_ids: Option<Vec<Id>>,
    /// Whether the session that asks ends too.
    #[graphql(default = false)]
    pub include_current: bool,
}

/// The device to forget.
#[derive(InputObject)]
pub struct ForgetDeviceInput {
    /// The device's id.
    pub id: ID,
}

/// One's own new password.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The password as it is.
    pub current_password: String,
    /// The password as it is to be: at least 12 characters where nothing else is set, at most 128, hard to guess.
    pub new_password: String,
    /// Whether the viewer's API keys are revoked too. Defaults to `false`.
    #[graphql(default = false)]
    pub revoke_api_keys: bool,
}

/// A link, and the password to be set by it.
#[derive(InputObject)]
pub struct ActivateAccountInput {
    /// The token of the link: what stands behind its `#`.
    pub token: String,
    /// The password: at least 12 characters where nothing else is set, at most 128, hard to guess.
    pub password: String,
}

/// One's own PIN.
#[derive(InputObject)]
pub struct SetPinInput {
    /// Four digits; null removes the PIN.
    pub pin: Option<String>,
}

/// Who is to be let in again.
#[derive(InputObject)]
pub struct UnlockUserInput {
    /// Who.
    pub id: ID,
}
