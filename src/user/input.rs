//! Input objects of the mutations of users.

use crate::entity::attribute_value::AttributeInput;
use crate::entity::user::UserFields;
use crate::scalar::Upload;
use async_graphql::{ID, InputObject, MaybeUndefined};

/// Input of `createUser`.
#[derive(Clone, InputObject)]
pub struct CreateUserInput {
    /// The user's first name or names. At most 50 characters, at least one of them visible.
    pub first_name: String,
    /// The user's last name or names. At most 50 characters, at least one of them visible.
    pub last_name: String,
    /// The user's password. Must be hard to guess. At least 12 characters unless the server is configured otherwise, and at
    /// most 128.
    pub password: MaybeUndefined<String>,
    /// The user's PIN, a second way to sign in. Exactly four digits.
    pub pin: MaybeUndefined<String>,
    /// Whether the user can sign in. Defaults to `true`.
    pub is_active: MaybeUndefined<bool>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// The values of custom attributes. At most 100, and each attribute at most once.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
    /// Whether to send the user an invitation email with a link to choose a password and activate the account. The link is
    /// valid for 14 days. Requires an email address. Defaults to `true` for an active user with an email address and no
    /// password, otherwise to `false`. An API key cannot request the email, and its default is `false`.
    pub send_registration_email: MaybeUndefined<bool>,
    /// The URL to which the user is redirected, signed in, after using the link in the invitation email. Must be allowed by the
    /// server. At most 1,000 characters. Only allowed if the invitation email is sent.
    pub registration_email_next_url: MaybeUndefined<String>,
    /// Whether this is a dry run: the input is validated, but nothing is saved. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// Input of `updateUser`. Absent fields stay unchanged; null clears optional fields.
#[derive(Clone, InputObject)]
pub struct UpdateUserInput {
    /// The user.
    pub id: ID,
    /// The version of the user that the change is based on. If it is not the current version, nothing is changed, the error is
    /// `CONFLICT`, and the payload contains the current user.
    pub expected_version: Option<i32>,
    /// The user's first name or names. At most 50 characters, at least one of them visible.
    pub first_name: MaybeUndefined<String>,
    /// The user's last name or names. At most 50 characters, at least one of them visible.
    pub last_name: MaybeUndefined<String>,
    /// A new password that is hard to guess. At most 128 characters, and at least 12 unless the server is configured otherwise.
    /// Null removes the password. Setting or removing it ends the user's sessions. Viewers cannot change their own password
    /// this way.
    pub password: MaybeUndefined<String>,
    /// A new PIN of four digits. Null removes the PIN. Viewers cannot change their own PIN this way.
    pub pin: MaybeUndefined<String>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// The values of custom attributes. At most 100, each named once. Attributes that are not named stay unchanged.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
    /// Whether this is a dry run: the input is validated, but nothing is saved. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// Input of `resendActivation`.
#[derive(InputObject)]
pub struct ResendActivationInput {
    /// The user.
    pub id: ID,
    /// The URL to which the user is redirected, signed in, after using the link. The server must allow it. At most 1,000
    /// characters. Defaults to the URL of the previous email. Null means no redirect.
    pub next_url: MaybeUndefined<String>,
}

/// Input of `registerUser`.
#[derive(InputObject)]
pub struct RegisterUserInput {
    /// The user's first name or names. At most 50 characters, at least one of them visible.
    pub first_name: String,
    /// The user's last name or names. At most 50 characters, at least one of them visible.
    pub last_name: String,
    /// The email address. At most 250 characters.
    pub email: String,
    /// The URL to which the user is redirected, signed in, after using the link in the email. The server must allow it. At most
    /// 1,000 characters.
    pub next_url: MaybeUndefined<String>,
}

/// Input of `setUserAvatar`.
#[derive(InputObject)]
pub struct SetUserAvatarInput {
    /// The user.
    pub id: ID,
    /// The picture, a PNG or JPEG file of at most 2 MB (2,097,152 bytes). At most 10,000 pixels on each side and 40 million
    /// pixels in total. Null removes the picture.
    pub avatar: MaybeUndefined<Upload>,
}

/// Input of `setActive`.
#[derive(InputObject)]
pub struct SetActiveInput {
    /// The user.
    pub id: ID,
    /// Whether the user can sign in: `true` activates the user, `false` deactivates the user.
    pub active: bool,
    /// The reason for the change, for the audit trail. At most 500 characters.
    pub reason: MaybeUndefined<String>,
}

/// Input of `deleteUser`.
#[derive(InputObject)]
pub struct DeleteUserInput {
    /// The user.
    pub id: ID,
}
