//! Input objects of the mutations of sessions and credentials.

use crate::scalar::Id;
use async_graphql::{ID, InputObject};

/// Input of `login`: a username or email address with a password, or with a PIN on a device that has signed in with a password
/// before.
#[derive(InputObject)]
pub struct LoginInput {
    /// The username or email address.
    pub login: String,
    /// The password.
    pub password: Option<String>,
    /// The PIN. Requires `deviceToken`.
    pub pin: Option<String>,
    /// The token returned by the last sign-in with a password on this device. It is remembered for 30 days from its last use.
    /// Send it with a password too: wrong secrets from unknown devices do not count against a known device.
    pub device_token: Option<String>,
}

/// Input of `endSessions`.
#[derive(InputObject)]
pub struct EndSessionsInput {
    /// The ID of the user whose sessions end. Defaults to the viewer. Administrators only for other users.
    pub user_id: Option<ID>,
    /// The IDs of the sessions to end. At most 100. By default, all of the user's sessions.
    pub session_ids: Option<Vec<Id>>,
    /// Whether to end the viewer's current session too. Defaults to `false`.
    #[graphql(default = false)]
    pub include_current: bool,
}

/// Input of `forgetDevice`.
#[derive(InputObject)]
pub struct ForgetDeviceInput {
    /// The device's ID.
    pub id: ID,
}

/// Input of `changePassword`, which sets the viewer's own password.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The viewer's current password.
    pub current_password: String,
    /// The viewer's new password. At least 12 characters by default (a server setting), at most 128, and hard to guess.
    pub new_password: String,
    /// Whether the viewer's API keys are revoked too. Defaults to `false`.
    #[graphql(default = false)]
    pub revoke_api_keys: bool,
}

/// The token of a link and the password to set with it.
#[derive(InputObject)]
pub struct ActivateAccountInput {
    /// The token of the link: the part of its URL after the `#`.
    pub token: String,
    /// The new password. At least 12 characters by default (a server setting), at most 128, and hard to guess.
    pub password: String,
}

/// Input of `setPin`.
#[derive(InputObject)]
pub struct SetPinInput {
    /// The PIN of four digits. Null removes the PIN.
    pub pin: Option<String>,
}

/// Input of `unlockUser`.
#[derive(InputObject)]
pub struct UnlockUserInput {
    /// The user.
    pub id: ID,
}
