//! A password in the place of a lost one.

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

/// Sends a link by which a lost password is replaced to whoever has an address. The same is done whether or not there is
/// anybody.
///
/// # Errors
/// `Rejected` for what is no address; `RateLimited` where too many mails were asked for.
pub async fn request(gate: &Authenticator<'_>, email: &str) -> Result<(), Error> {
    let mut form = Validator::changing();
    let email = form.check("email", rule::email(rule::LONGEST_EMAIL)(email.trim()));
    form.finish()?;
    let email = email.unwrap_or_default();
    if gate.may_write_to(MailKind::PasswordReset, &email).await? {
        let asked = (gate.client.language, gate.client.request_id.clone());
        mail::look_up(gate.db.write(), &email, asked).await?;
    }
    Ok(())
}

/// Sets the password of whom a link lets in. It ends every session and signs nobody in; the link works once.
///
/// # Errors
/// `Rejected` for a link that is not, or no longer, of any use, and for a weak password; `RateLimited`.
#[expect(clippy::disallowed_methods, reason = "a link lets in whoever has it")]
pub async fn reset(gate: &Authenticator<'_>, token: &str, password: String) -> Result<(), Error> {
    let found = one_time_link::find(gate.db, Purpose::PasswordReset, token).await?.ok_or_else(expired)?;
    let password_hash = gate.hash_of_new(token, password, &found.person).await?;
    let transaction = gate.db.begin().await?;
    let old = lock_if_active(&transaction, found.person.id).await?.ok_or_else(expired)?;
    let mut new = user::Model { email_verified: true, ..old.clone() };
    set_by_link(&transaction, gate.client.language, &mut new, token, password_hash).await?;
    // Who was locked out by somebody's guesses gets in by the new password at once.
    guesses::forget(&transaction, gate.hasher, &new).await?;
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    let event = Entry::new(AuditAction::PasswordReset, &new).by_person(new.id, gate.client.request_id.clone());
    let event = event.with([Change::of_secret("password")]).with(difference(&old, &new));
    audit::commit(transaction, [event]).await
}
