//! Input objects of the mutations of users.

use crate::entity::attribute_value::AttributeInput;
use crate::entity::user::UserFields;
use crate::scalar::Upload;
use async_graphql::{ID, InputObject, MaybeUndefined};

/// Input of `createUser`. Optional fields can be omitted, but not null (`NULL_NOT_ALLOWED`). Blank text counts as
/// omitted, except in `password` and `pin`.
#[derive(Clone, InputObject)]
pub struct CreateUserInput {
    /// The user's first name or names. At most 50 characters. Must not be blank.
    pub first_name: String,
    /// The user's last name or names. At most 50 characters. Must not be blank.
    pub last_name: String,
    /// The user's password. At least 12 characters by default (a server setting), at most 128, and hard to guess. By default,
    /// the user has none.
    pub password: MaybeUndefined<String>,
    /// The user's PIN, a second way to sign in. Exactly four digits. By default, the user has none.
    pub pin: MaybeUndefined<String>,
    /// Whether the user can sign in. Defaults to `true`.
    pub is_active: MaybeUndefined<bool>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// The values of custom attributes. At most 100, each attribute at most once. Required attributes must be included.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
    /// Whether to send the user an invitation email with a link to choose a password and activate the account. The link
    /// is valid for 14 days. Requires an active user with an email address (`NOT_ALLOWED` otherwise). Defaults to
    /// `true` for such a user without a password, otherwise to `false`. Not available to API keys, for which the
    /// default is `false`.
    pub send_registration_email: MaybeUndefined<bool>,
    /// The URL to which the activation page redirects the user, with `#token=` and the session token appended. A server
    /// setting must allow it (`INVALID` otherwise). At most 1,000 characters. Only allowed if the invitation email is
    /// sent (`NOT_ALLOWED` otherwise).
    pub registration_email_next_url: MaybeUndefined<String>,
    /// Whether this is a dry run: the input and the viewer's rights are checked, but nothing is saved. `success` then
    /// states whether the mutation would succeed. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// Input of `updateUser`. Omitted fields stay unchanged, except that `fullSiteAccess` becomes `true` when a user
/// becomes a license administrator, and `false` when a user ceases to be one. Null clears a value, as does blank
/// text except in `password` and `pin`. For `firstName`, `lastName`, `adminRights`, `attributes`, enums and
/// booleans, null is an error (`NULL_NOT_ALLOWED`).
#[derive(Clone, InputObject)]
pub struct UpdateUserInput {
    /// The ID of the user to update.
    pub id: ID,
    /// The version of the user that the change is based on. If it is not the current version, nothing is changed, the
    /// error is `CONFLICT`, and the payload contains the current user. By default, the version is not checked.
    pub expected_version: Option<i32>,
    /// The user's first name or names. At most 50 characters. Must not be blank.
    pub first_name: MaybeUndefined<String>,
    /// The user's last name or names. At most 50 characters. Must not be blank.
    pub last_name: MaybeUndefined<String>,
    /// The user's new password. At least 12 characters by default (a server setting), at most 128, and hard to guess.
    /// Null removes the password. Setting or removing it ends the user's sessions, forgets their devices and
    /// invalidates their links. Viewers cannot change their own password this way; see `changePassword`.
    pub password: MaybeUndefined<String>,
    /// The user's new PIN. Exactly four digits. Null removes the PIN. Viewers cannot change their own PIN this way; see
    /// `setPin`.
    pub pin: MaybeUndefined<String>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// The values of custom attributes. At most 100, each attribute at most once. Other attributes stay unchanged.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
    /// Whether this is a dry run: the input and the viewer's rights are checked, but nothing is saved. `success` then
    /// states whether the mutation would succeed. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// Input of `resendActivation`.
#[derive(InputObject)]
pub struct ResendActivationInput {
    /// The ID of the user to invite.
    pub id: ID,
    /// The URL to which the activation page redirects the user, with `#token=` and the session token appended. A server
    /// setting must allow it (`INVALID` otherwise). At most 1,000 characters. Defaults to the URL of the previous email.
    /// Null means no redirect.
    pub next_url: MaybeUndefined<String>,
}

/// Input of `registerUser`. `nextUrl` can be omitted or blank, but not null (`NULL_NOT_ALLOWED`).
#[derive(InputObject)]
pub struct RegisterUserInput {
    /// The user's first name or names. At most 50 characters. Must not be blank.
    pub first_name: String,
    /// The user's last name or names. At most 50 characters. Must not be blank.
    pub last_name: String,
    /// The email address. At most 250 characters.
    pub email: String,
    /// The URL to which the activation page redirects the user, with `#token=` and the session token appended. A server
    /// setting must allow it (`INVALID` otherwise). At most 1,000 characters.
    pub next_url: MaybeUndefined<String>,
}

/// Input of `setUserAvatar`.
#[derive(InputObject)]
pub struct SetUserAvatarInput {
    /// The ID of the user whose picture is set.
    pub id: ID,
    /// The picture, a PNG or JPEG file of at most 2 MB (2,097,152 bytes). At most 10,000 pixels on each side and 40
    /// million pixels in total. Null removes the picture. Cannot be omitted.
    pub avatar: MaybeUndefined<Upload>,
}

/// Input of `exportUser`.
#[derive(InputObject)]
pub struct ExportUserInput {
    /// The ID of the user to export.
    pub id: ID,
}

/// Input of `setActive`.
#[derive(InputObject)]
pub struct SetActiveInput {
    /// The ID of the user to activate or deactivate.
    pub id: ID,
    /// Whether the user can sign in: `true` activates the user, `false` deactivates the user.
    pub active: bool,
    /// The reason for the change, for the audit trail. At most 500 characters.
    pub reason: MaybeUndefined<String>,
}

/// Input of `deleteUser`.
#[derive(InputObject)]
pub struct DeleteUserInput {
    /// The ID of the user to erase.
    pub id: ID,
}
