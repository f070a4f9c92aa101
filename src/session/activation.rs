//! Activation of an account by a link.

use async_graphql::MaybeUndefined::Value as Given;

use super::errors::expired;
use super::sign_in::Authenticator;
use super::start::{NewSession, VerifiedCredential};
use crate::auth::{one_time_link, pending_registration};
use crate::entity::link::Purpose;
use crate::entity::registration as registrations;
use crate::entity::user::{self, UserFields};
use crate::error::Error;
use crate::scalar::Url;
use crate::validation::Validator;

/// Sets the password of the user that the link was issued for, and signs the user in. For a visitor that registered,
/// creates the user first. The link works once.
///
/// # Errors
/// `Rejected` with `EXPIRED` for a link that is not, or no longer, valid, with `TAKEN` if another user has the address of
/// a registration by now, and for a weak password; `RateLimited`.
pub async fn activate(gate: &Authenticator<'_>, token: String, password: String) -> Result<NewSession, Error> {
    let Some(found) = one_time_link::find(gate.db, Purpose::Activation, &token).await? else {
        let registration = pending_registration::find(gate.db, &token).await?;
        // Registration may have been disabled since.
        let registration = registration.filter(|found| Some(found.license_id) == gate.ways.registration);
        let registration = registration.ok_or_else(expired)?;
        return insert_registration(gate, registration, token, password).await;
    };
    let password_hash = gate.hash_of_new(&token, password, &found.person).await?;
    let proof = VerifiedCredential::Link { token, password_hash, is_mailed: found.is_mailed };
    let opened = gate.begin(found.person, proof).await?;
    Ok(NewSession { next_url: still_allowed(gate, found.next_url), ..opened })
}

async fn insert_registration(
    gate: &Authenticator<'_>,
    registration: registrations::Model,
    token: String,
    password: String,
) -> Result<NewSession, Error> {
    let registrations::Model { license_id, first_name, last_name, email, next_url, .. } = registration;
    let mut form = Validator::creating();
    let fields = UserFields { email: Given(email), ..UserFields::default() };
    let mut person = user::Model::addressed(license_id, (first_name, last_name), fields, &mut form);
    form.finish()?;
    (person.has_activated, person.email_verified) = (true, true);
    let password_hash = gate.hash_of_new(&token, password, &person).await?;
    let opened = gate.begin(person, VerifiedCredential::Registration { token, password_hash }).await?;
    Ok(NewSession { next_url: still_allowed(gate, next_url), ..opened })
}

/// Returns the URL to continue at, if the server still allows it.
fn still_allowed(gate: &Authenticator<'_>, next_url: Option<Url>) -> Option<Url> {
    next_url.and_then(|url| gate.ways.next_urls.check(&url.0).ok())
}
