//! Taking an account into use by a link.

use super::opening::{Opened, Proof};
use super::refusal::expired;
use super::sign_in::Gate;
use crate::entity::link::Purpose;
use crate::error::Error;
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
