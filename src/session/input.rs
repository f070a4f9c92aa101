//! Input objects of the mutations of sessions and credentials.

use crate::scalar::Id;
use async_graphql::{ID, InputObject, MaybeUndefined};

/// Input of `login`: a username or email address, and either a password or a PIN. A PIN works only on a device that has signed
/// in with the password before.
#[derive(InputObject)]
pub struct LoginInput {
    /// The user's username or email address, ignoring case.
    pub login: String,
    /// The user's password.
    pub password: Option<String>,
    /// The user's PIN. Requires `deviceToken`.
    pub pin: Option<String>,
    /// The `deviceToken` of an earlier sign-in on this device. Required with a PIN. Send it with a password too, so that wrong
    /// passwords from other devices do not lock this one out. It expires 30 days after its last use.
    pub device_token: Option<String>,
}

/// Input of `endSessions`.
#[derive(InputObject)]
pub struct EndSessionsInput {
    /// The ID of the user whose sessions to end. Only administrators can end the sessions of another user. Defaults to
    /// the viewer.
    pub user_id: Option<ID>,
    /// The IDs of the sessions to end. At most 100. Defaults to all of the user's sessions. IDs that do not belong to
    /// one of the user's sessions are ignored. If no session ends, no device is forgotten.
    pub session_ids: Option<Vec<Id>>,
    /// Whether to end the viewer's current session too. If `false`, it continues, even if `sessionIds` contains it.
    /// Defaults to `false`.
    #[graphql(default = false)]
    pub include_current: bool,
}

/// Input of `forgetDevice`.
#[derive(InputObject)]
pub struct ForgetDeviceInput {
    /// The ID of the device to forget.
    pub id: ID,
}

/// Input of `changePassword`, which sets the viewer's own password.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The viewer's current password. `INVALID_CREDENTIALS` if it is wrong. After ten wrong passwords within 15
    /// minutes, `LOCKED` for 15 minutes.
    pub current_password: String,
    /// The viewer's new password. At least 12 characters by default (a server setting), at most 128, and hard to guess.
    pub new_password: String,
    /// Whether to revoke the viewer's API keys too. Defaults to `false`.
    #[graphql(default = false)]
    pub revoke_api_keys: bool,
}

/// Input of `activateAccount`: the token of a link and the password to set with it.
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
    /// The viewer's new PIN. Exactly four digits. Null removes the PIN. Cannot be omitted.
    pub pin: MaybeUndefined<String>,
}

/// Input of `unlockUser`.
#[derive(InputObject)]
pub struct UnlockUserInput {
    /// The ID of the user to unlock.
    pub id: ID,
}
