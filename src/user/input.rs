//! Input objects of the mutations of users.

use crate::entity::attribute_value::AttributeInput;
use crate::entity::user::UserFields;
use crate::scalar::Upload;
use async_graphql::{ID, InputObject, MaybeUndefined};

/// A person to be entered.
#[derive(Clone, InputObject)]
pub struct CreateUserInput {
    /// The first name or names; at most 50 characters, at least one of them visible.
    pub first_name: String,
    /// The last name or names; at most 50 characters, at least one of them visible.
    pub last_name: String,
    /// The password: hard to guess, at most 128 characters, and at least 12 where the server is not set otherwise.
    pub password: MaybeUndefined<String>,
    /// A PIN of four digits, the second way to sign in.
    pub pin: MaybeUndefined<String>,
    /// Whether the person can sign in; true where nothing is said.
    pub is_active: MaybeUndefined<bool>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// Values of custom attributes, at most 100, each named once.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
    /// Whether the person is sent a link by which to choose a password and take the account into use, which works for 14
    /// days. It takes an e-mail address. Where nothing is said, true for who has an address, no password, and is active; not by
    /// an API key, which may not ask for it.
    pub send_registration_email: MaybeUndefined<bool>,
    /// Where the person is sent on to from there, signed in: an address that the server allows, at most 1,000 characters.
    /// Only together with the mail.
    pub registration_email_next_url: MaybeUndefined<String>,
    /// Whether only to try it out: everything is checked, and nothing changed.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// What is to change of a person: what is absent stays as it is, null clears a field that is optional.
#[derive(Clone, InputObject)]
pub struct UpdateUserInput {
    /// Who.
    pub id: ID,
    /// The version of the person that the change was made for: if it is not the present one, nothing is changed, the fault
    /// is CONFLICT, and the payload has the person as it is now.
    pub expected_version: Option<i32>,
    /// The first name or names; at most 50 characters, at least one of them visible.
    pub first_name: MaybeUndefined<String>,
    /// The last name or names; at most 50 characters, at least one of them visible.
    pub last_name: MaybeUndefined<String>,
    /// A new password: hard to guess, at most 128 characters, and at least 12 where the server is not set otherwise. Null
    /// removes it. Ends the person's sessions. Not for oneself.
    pub password: MaybeUndefined<String>,
    /// A new PIN of four digits. Null removes it. Not for oneself.
    pub pin: MaybeUndefined<String>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// Values of custom attributes, at most 100, each named once; those that are not named stay as they are.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
    /// Whether only to try it out: everything is checked, and nothing changed.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// Who is to be sent the link once more.
#[derive(InputObject)]
pub struct ResendActivationInput {
    /// Who.
    pub id: ID,
    /// Where the person is sent on to from there, signed in: an address that the server allows, at most 1,000 characters.
    /// Where nothing is said, as it was in the last mail; null for nowhere.
    pub next_url: MaybeUndefined<String>,
}

/// Who registers himself.
#[derive(InputObject)]
pub struct RegisterUserInput {
    /// The first name or names; at most 50 characters, at least one of them visible.
    pub first_name: String,
    /// The last name or names; at most 50 characters, at least one of them visible.
    pub last_name: String,
    /// The e-mail address, at most 250 characters.
    pub email: String,
    /// Where the person is sent on to once the link in the mail was used, signed in: an address that the server allows,
    /// at most 1,000 characters.
    pub next_url: MaybeUndefined<String>,
}

/// Whose picture is to be set, and to what.
#[derive(InputObject)]
pub struct SetUserAvatarInput {
    /// Who.
    pub id: ID,
    /// The picture: a PNG or JPEG of at most 2 MB (2,097,152 bytes), 10,000 pixels on each side and 40 million
    /// altogether. Null removes it.
    pub avatar: MaybeUndefined<Upload>,
}

/// Who is to be activated or deactivated.
#[derive(InputObject)]
pub struct SetActiveInput {
    /// Who.
    pub id: ID,
    /// True to let the person sign in, false to shut the person out.
    pub active: bool,
    /// Why, for the audit trail; at most 500 characters.
    pub reason: MaybeUndefined<String>,
}

/// Who is to be erased.
#[derive(InputObject)]
pub struct DeleteUserInput {
    /// Who.
    pub id: ID,
}
