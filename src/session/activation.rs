//! Activation of an account by a link.

use async_graphql::MaybeUndefined::Value as Given;

use super::errors::expired;
use super::sign_in::Authenticator;
use super::start::{NewSession, PasswordByLink};
use crate::auth::{one_time_link, pending_registration};
use crate::entity::link::Purpose;
use crate::entity::registration as registrations;
use crate::entity::user::{self, UserFields, UserNames};
use crate::error::Error;
use crate::scalar::Url;
use crate::validation::Validator;

/// Sets the password of the user that the link was issued for, and signs the user in. For a visitor that registered,
/// creates the user first. The link works once.
///
/// # Errors
/// `Rejected` with `EXPIRED` for a link that is not, or no longer, valid, with `TAKEN` if another user has the address of
/// a registration by now, and for a weak password; `RateLimited`.
pub async fn activate(authenticator: &Authenticator<'_>, token: &str, password: String) -> Result<NewSession, Error> {
    let Some(found) = one_time_link::find(authenticator.db, Purpose::Activation, token).await? else {
        let registration = pending_registration::find(authenticator.db, token).await?;
        // Registration may have been disabled since.
        let registration =
            registration.filter(|found| Some(found.license_id) == authenticator.self_service.registration);
        let registration = registration.ok_or_else(expired)?;
        return insert_registration(authenticator, registration, token, password).await;
    };
    let password_hash = authenticator.hash_of_new(token, password, &found.user).await?;
    let password = PasswordByLink { token, password_hash };
    let session = authenticator.begin_session(found.user.id).await?.with_link(password, found.is_mailed).await?;
    Ok(NewSession { next_url: still_allowed(authenticator, found.next_url), ..session })
}

async fn insert_registration(
    authenticator: &Authenticator<'_>,
    registration: registrations::Model,
    token: &str,
    password: String,
) -> Result<NewSession, Error> {
    let registrations::Model { license_id, first_name, last_name, email, next_url, .. } = registration;
    let mut validator = Validator::creating();
    let fields = UserFields { email: Given(email), ..UserFields::default() };
    let names = UserNames::new(first_name, last_name);
    let mut user = user::Model::with_email(license_id, names, fields, &mut validator);
    validator.finish()?;
    (user.has_activated, user.email_verified) = (true, true);
    let password_hash = authenticator.hash_of_new(token, password, &user).await?;
    let password = PasswordByLink { token, password_hash };
    let session = authenticator.begin_session(user.id).await?.with_registration(user, password).await?;
    Ok(NewSession { next_url: still_allowed(authenticator, next_url), ..session })
}

/// Returns the URL to continue at, if the server still allows it.
fn still_allowed(authenticator: &Authenticator<'_>, next_url: Option<Url>) -> Option<Url> {
    next_url.and_then(|url| authenticator.self_service.next_urls.check(&url.0).ok())
}
