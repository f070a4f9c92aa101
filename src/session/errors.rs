//! Errors of a sign-in.

use sea_orm::DbErr;

use crate::error::{Error, ErrorCode, MutationError};

/// The message for a locked account.
pub const LOCKED: &str = "Too many wrong passwords; try again in 15 minutes, or ask an administrator.";

/// Returns the error for an unknown login, a wrong secret and a missing secret alike: `INVALID_CREDENTIALS`.
#[must_use]
pub fn invalid_credentials() -> Error {
    rejected(ErrorCode::InvalidCredentials, "The username, email address, password or PIN is wrong.")
}

/// Returns the error for the right secret of an inactive user or in an expired license: `INACTIVE`.
#[must_use]
pub fn inactive() -> Error {
    rejected(ErrorCode::Inactive, "This account is deactivated, or its license is not valid; ask an administrator.")
}

/// Returns the error after too many wrong passwords: `LOCKED`.
#[must_use]
pub fn locked() -> Error {
    rejected(ErrorCode::Locked, LOCKED)
}

/// Returns the error after too many wrong PINs: `LOCKED`.
#[must_use]
pub fn pin_locked() -> Error {
    rejected(ErrorCode::Locked, "The PIN is locked after too many wrong PINs; sign in with your password.")
}

/// Returns the error for an invalid link, and for the slower of two requests that use the same link: `EXPIRED`.
#[must_use]
pub fn expired() -> Error {
    Error::rejected("token", ErrorCode::Expired, "This link is no longer valid; request a new one.")
}

/// Maps the failed write of the email address that a link brings: `TAKEN` if another user has the address by now.
#[must_use]
pub fn address_taken(error: DbErr) -> Error {
    Error::taken("token", "Another user now has this address as their email address or username.")(error)
}

fn rejected(code: ErrorCode, message: &str) -> Error {
    Error::Rejected(vec![MutationError { code, path: vec!["input".to_owned()], message: message.to_owned() }])
}
