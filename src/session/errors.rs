//! What a sign-in is refused with.

use crate::error::{Error, ErrorCode, MutationError};

/// What is said of an account that is locked.
pub const LOCKED: &str = "Too many wrong passwords; try again in 15 minutes, or ask an administrator.";

/// One answer for an unknown login, a wrong secret, and no secret set.
#[must_use]
pub fn wrong() -> Error {
    refused(ErrorCode::InvalidCredentials, "The username, email address, password or PIN is wrong.")
}

/// For who knows the right secret, but is nobody.
#[must_use]
pub fn inactive() -> Error {
    refused(ErrorCode::Inactive, "This account is deactivated; ask an administrator.")
}

/// After too many wrong passwords.
#[must_use]
pub fn locked() -> Error {
    refused(ErrorCode::Locked, LOCKED)
}

/// After too many wrong PINs.
#[must_use]
pub fn pin_is_off() -> Error {
    refused(ErrorCode::Locked, "The PIN is disabled after too many wrong PINs; sign in with your password.")
}

/// For a dead link, and the slower one of two who use a link at once.
#[must_use]
pub fn expired() -> Error {
    Error::rejected("token", ErrorCode::Expired, "This link is no longer valid; request a new one.")
}

fn refused(code: ErrorCode, message: &str) -> Error {
    Error::Rejected(vec![MutationError { code, path: vec!["input".to_owned()], message: message.to_owned() }])
}
