//! Password reset: a link replaces a lost password.

use super::attempts;
use super::errors::expired;
use super::sign_in::Authenticator;
use super::start::{PasswordByLink, set_password_by_link};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::lock_if_active;
use crate::auth::one_time_link;
use crate::db::rows;
use crate::entity::audit_event::AuditAction;
use crate::entity::link::Purpose;
use crate::entity::mail::MailKind;
use crate::entity::user;
use crate::error::Error;
use crate::mail;
use crate::validation::{Validator, rule};

/// Sends a password reset link to the user with the given email address. Does the same work whether or not there is such
/// a user.
///
/// # Errors
/// `Rejected` for an invalid address; `RateLimited` if too many emails were requested.
pub async fn request(authenticator: &Authenticator<'_>, email: &str) -> Result<(), Error> {
    let mut validator = Validator::changing();
    let email = validator.check("email", rule::email(rule::MAX_EMAIL_LENGTH)(email.trim()));
    validator.finish()?;
    let email = email.unwrap_or_default();
    if authenticator.count_anonymous_mail(MailKind::PasswordReset, &email).await? {
        let client = authenticator.client;
        mail::queue_password_reset(authenticator.db.write(), &email, client.language, client.request_id.clone())
            .await?;
    }
    Ok(())
}

/// Sets the password of the user that the link was sent to. Ends every session and does not sign the user in. The link
/// works once.
///
/// # Errors
/// `Rejected` with `EXPIRED` for a link that is not, or no longer, valid, and for a weak password; `RateLimited`.
#[expect(clippy::disallowed_methods, reason = "anyone with the link may use it, signed in or not")]
pub async fn reset(authenticator: &Authenticator<'_>, token: &str, password: String) -> Result<(), Error> {
    let found = one_time_link::find(authenticator.db, Purpose::PasswordReset, token).await?.ok_or_else(expired)?;
    let password_hash = authenticator.hash_of_new(token, password, &found.user).await?;
    let transaction = authenticator.db.begin().await?;
    let old = lock_if_active(&transaction, found.user.id).await?.ok_or_else(expired)?;
    let mut new = user::Model { email_verified: true, ..old.clone() };
    let password = PasswordByLink { token, password_hash };
    set_password_by_link(&transaction, authenticator.client.language, &mut new, password).await?;
    // A user who was locked out by another's guesses can sign in with the new password at once.
    attempts::reset_all(&transaction, authenticator.hasher, &new).await?;
    rows::update(&transaction, &old, new.clone()).await?;
    let event = Entry::new(AuditAction::PasswordReset, &new).by_user(new.id, authenticator.client.request_id.clone());
    let event = event.with([Change::of_secret("password")]).with(difference(&old, &new));
    audit::commit(transaction, [event]).await
}
