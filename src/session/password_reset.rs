//! Password reset: a link replaces a lost password.

use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::errors::expired;
use super::guesses;
use super::sign_in::Authenticator;
use super::start::set_by_link;
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::lock_if_active;
use crate::auth::one_time_link;
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
pub async fn request(gate: &Authenticator<'_>, email: &str) -> Result<(), Error> {
    let mut form = Validator::changing();
    let email = form.check("email", rule::email(rule::MAX_EMAIL_LENGTH)(email.trim()));
    form.finish()?;
    let email = email.unwrap_or_default();
    if gate.may_write_to(MailKind::PasswordReset, &email).await? {
        let asked = (gate.client.language, gate.client.request_id.clone());
        mail::look_up(gate.db.write(), &email, asked).await?;
    }
    Ok(())
}

/// Sets the password of the user that the link was sent to. Ends every session and does not sign the user in. The link
/// works once.
///
/// # Errors
/// `Rejected` with `EXPIRED` for a link that is not, or no longer, valid, and for a weak password; `RateLimited`.
#[expect(clippy::disallowed_methods, reason = "a link lets in whoever has it")]
pub async fn reset(gate: &Authenticator<'_>, token: &str, password: String) -> Result<(), Error> {
    let found = one_time_link::find(gate.db, Purpose::PasswordReset, token).await?.ok_or_else(expired)?;
    let password_hash = gate.hash_of_new(token, password, &found.person).await?;
    let transaction = gate.db.begin().await?;
    let old = lock_if_active(&transaction, found.person.id).await?.ok_or_else(expired)?;
    let mut new = user::Model { email_verified: true, ..old.clone() };
    set_by_link(&transaction, gate.client.language, &mut new, token, password_hash).await?;
    // A user who was locked out by another's guesses can sign in with the new password at once.
    guesses::forget(&transaction, gate.hasher, &new).await?;
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    let event = Entry::new(AuditAction::PasswordReset, &new).by_person(new.id, gate.client.request_id.clone());
    let event = event.with([Change::of_secret("password")]).with(difference(&old, &new));
    audit::commit(transaction, [event]).await
}
