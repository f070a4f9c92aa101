//! Change of the viewer's email address, confirmed by a link.

use super::credentials::{CURRENT_PASSWORD, begin_verified, find};
use super::errors::{address_taken, expired};
use super::sign_in::Authenticator;
use crate::access::{Action, Viewer};
use crate::audit::{self, Entry, difference};
use crate::auth::credential::lock_if_active;
use crate::auth::one_time_link;
use crate::client::Client;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::link::Purpose;
use crate::entity::mail::MailKind;
use crate::entity::{user, versioned};
use crate::error::{Error, ErrorCode};
use crate::mail::{self, MailQueue};
use crate::validation::{Validator, rule};

/// Sends a link that confirms the viewer's new email address, and notifies the current address. Whether another user has
/// the new address is checked only when the email is sent; that user then gets a different email. Sends nothing, without
/// an error, if too many emails went to the new address.
///
/// # Errors
/// `Rejected` for an invalid address, for the current one (`INVALID`), and for a wrong password (`INVALID_CREDENTIALS`);
/// `RateLimited`.
pub async fn request(
    authenticator: &Authenticator<'_>,
    viewer: &Viewer,
    new_email: &str,
    password: String,
) -> Result<(), Error> {
    viewer.may(Action::UseOwnAccount)?;
    let user_id = viewer.signed_in()?.user_id;
    let user = find(authenticator.db.read(), user_id).await?;
    let mut validator = Validator::changing();
    let new_email =
        validator.check("newEmail", rule::email(rule::MAX_EMAIL_LENGTH)(new_email.trim())).unwrap_or_default();
    if Some(&new_email) == user.email.as_ref() {
        validator.add_error("newEmail", ErrorCode::Invalid, "This is already your email address.");
    }
    validator.finish()?;
    let verified = authenticator.verify_own_password(&user, password, CURRENT_PASSWORD).await?;
    if !authenticator.count_user_mail(user_id, MailKind::EmailConfirmation, &new_email).await? {
        return Ok(());
    }

    let (transaction, viewer, user) = begin_verified(authenticator, viewer, verified, CURRENT_PASSWORD).await?;
    let mail_queue = MailQueue { keys: authenticator.hasher.key_ring(), language: authenticator.client.language };
    mail_queue.ask_to_confirm(&transaction, &user, new_email).await?;
    audit::commit(transaction, [Entry::new(AuditAction::EmailChangeRequested, &user).by(&viewer)]).await
}

/// Replaces the user's email address with the one of the link, and notifies the old address. The link works once.
///
/// # Errors
/// `Rejected` with `EXPIRED` for a link that is not, or no longer, valid, and with `TAKEN` if another user has the
/// address by now.
#[expect(clippy::disallowed_methods, reason = "anyone with the link may use it, signed in or not")]
pub async fn confirm(db: &Db, client: &Client, token: &str) -> Result<user::Model, Error> {
    let found = one_time_link::find(db, Purpose::EmailChange, token).await?.ok_or_else(expired)?;
    let new_email = found.new_email.ok_or_else(|| Error::internal("an email change link without a new address"))?;
    let transaction = db.begin().await?;
    let old = lock_if_active(&transaction, found.user.id).await?.ok_or_else(expired)?;
    if !one_time_link::consume(&transaction, old.id, token).await? {
        return Err(expired());
    }
    // Links that were sent to the old address must not work any more.
    one_time_link::revoke(&transaction, &[old.id]).await?;
    let mut new = user::Model { email: Some(new_email), email_verified: true, ..old.clone() };
    new.update_derived_since(&old);
    let new = versioned::save(&transaction, &old, new).await.map_err(address_taken)?;
    mail::notify(&transaction, &old, MailKind::EmailChanged, client.language).await?;
    let event = Entry::new(AuditAction::EmailChanged, &new).by_user(new.id, client.request_id.clone());
    audit::commit(transaction, [event.with(difference(&old, &new))]).await?;
    Ok(new)
}
