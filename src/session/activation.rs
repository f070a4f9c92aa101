//! Taking an account into use by a link.

use super::sign_in::{Gate, Opened, Proof};
use crate::entity::link::Purpose;
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::link;

/// Sets the password of whom a link lets in, and signs the person in. The link works once.
///
/// # Errors
/// `Rejected` for a link that is not, or no longer, of any use, and for a weak password; `RateLimited`.
pub async fn activate(gate: &Gate<'_>, token: String, password: String) -> Result<Opened, Error> {
    let person = link::find(gate.db, Purpose::Activation, &token).await?.ok_or_else(expired)?;
    let mut form = Form::creating();
    gate.hasher.check(&mut form, "password", &password, &person.known_words());
    form.finish()?;
    let password_hash = gate.hasher.hash(password).await?;
    gate.begin(person, Proof::Link { token, password_hash }).await
}

/// What a dead link gets, and the slower one of two who use a link at once.
#[must_use]
pub fn expired() -> Error {
    Error::rejected("token", ErrorCode::Expired, "This link is no longer valid; ask for a new one.")
}
