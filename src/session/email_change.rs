//! Change of the viewer's email address, confirmed by a link.

use sea_orm::{ActiveModelTrait, IntoActiveModel, SqlErr};

use super::credentials::{begin_proven, find};
use super::errors::expired;
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
use crate::entity::user;
use crate::error::{Error, ErrorCode};
use crate::mail::{self, MailQueue};
use crate::scalar::now;
use crate::search_index;
use crate::validation::{Validator, rule};

/// Sends a link that confirms the viewer's new email address, and notifies the current address. Whether another user has
/// the new address is checked only when the email is sent; that user then gets a different email. Sends nothing, without
/// an error, if too many emails went to the new address.
///
/// # Errors
/// `Rejected` for an invalid address, for the current one (`INVALID`), and for a wrong password (`INVALID_CREDENTIALS`);
/// `RateLimited`.
pub async fn request(
    gate: &Authenticator<'_>,
    viewer: &Viewer,
    new_email: &str,
    password: String,
) -> Result<(), Error> {
    viewer.may(Action::UseOwnAccount)?;
    let user_id = viewer.signed_in()?.user_id;
    let person = find(gate.db.read(), user_id).await?;
    let mut form = Validator::changing();
    let new_email = form.check("newEmail", rule::email(rule::MAX_EMAIL_LENGTH)(new_email.trim())).unwrap_or_default();
    if Some(&new_email) == person.email.as_ref() {
        form.fault("newEmail", ErrorCode::Invalid, "This is already your email address.");
    }
    form.finish()?;
    let verified = gate.prove(&person, password, "currentPassword").await?;
    if !gate.may_write_for(user_id, MailKind::EmailConfirmation, &new_email).await? {
        return Ok(());
    }

    let (transaction, viewer, person) = begin_proven(gate.db, viewer, &verified, "currentPassword").await?;
    let desk = MailQueue { key: gate.hasher.key(), language: gate.client.language };
    desk.ask_to_confirm(&transaction, &person, new_email).await?;
    audit::commit(transaction, [Entry::new(AuditAction::EmailChangeRequested, &person).by(&viewer)]).await
}

/// Replaces the user's email address with the one of the link, and notifies the old address. The link works once.
///
/// # Errors
/// `Rejected` with `EXPIRED` for a link that is not, or no longer, valid, and with `TAKEN` if another user has the
/// address by now.
#[expect(clippy::disallowed_methods, reason = "a link lets in whoever has it")]
pub async fn confirm(db: &Db, client: &Client, token: &str) -> Result<user::Model, Error> {
    let found = one_time_link::find(db, Purpose::EmailChange, token).await?.ok_or_else(expired)?;
    let new_email = found.new_email.ok_or_else(|| Error::internal("an email change link without a new address"))?;
    let transaction = db.begin().await?;
    let old = lock_if_active(&transaction, found.person.id).await?.ok_or_else(expired)?;
    if !one_time_link::consume(&transaction, old.id, token).await? {
        return Err(expired());
    }
    // Links that were sent to the old address must not work any more.
    one_time_link::revoke(&transaction, &[old.id]).await?;
    let mut new = user::Model { email: Some(new_email), email_verified: true, ..old.clone() };
    new.update_derived();
    new.keep_logins_of(&old);
    (new.modified_at, new.version) = (now(), old.version + 1);
    match new.clone().into_active_model().reset_all().update(&transaction).await {
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            return Err(Error::rejected(
                "token",
                ErrorCode::Taken,
                "Another user now has this address as their email address or username.",
            ));
        }
        updated => updated?,
    };
    search_index::update(&transaction, [(Some(&old), Some(&new))]).await?;
    mail::notify(&transaction, &old, MailKind::EmailChanged, client.language).await?;
    let event = Entry::new(AuditAction::EmailChanged, &new).by_person(new.id, client.request_id.clone());
    audit::commit(transaction, [event.with(difference(&old, &new))]).await?;
    Ok(new)
}
