//! Credentials: the viewer's own password and PIN, and unlocking of users.

use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel};

use super::guesses;
use super::sign_in::Authenticator;
use crate::access::{Action, Viewer};
use crate::actor::{self, Actor};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::{revoke_api_keys, set_password, set_pin};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::mail::MailKind;
use crate::entity::pin::MAX_WRONG_PINS;
use crate::entity::{credential, pin, user};
use crate::error::{Error, ErrorCode};
use crate::mail;
use crate::scalar::{Id, now};
use crate::validation::{Validator, rule};

/// Changes the viewer's own password, for which the current one is required. Ends every other session and, if requested,
/// revokes the viewer's API keys. Returns the user and the number of revoked keys.
///
/// # Errors
/// `Rejected` for a wrong or a weak password; `RateLimited`.
pub async fn change_password(
    gate: &Authenticator<'_>,
    viewer: &Viewer,
    current: String,
    new: String,
    revokes_api_keys: bool,
) -> Result<(user::Model, usize), Error> {
    viewer.may(Action::UseOwnAccount)?;
    let signed_in = viewer.signed_in()?;
    let person = find(gate.db.read(), signed_in.user_id).await?;
    let mut form = Validator::changing();
    gate.hasher.check_form(&mut form, "newPassword", &new);
    form.finish()?;
    let verified = gate.prove(&person, current, "currentPassword").await?;
    // Only after the current password was verified: estimating the strength takes as long as computing a hash.
    let mut form = Validator::changing();
    let (user, known) = (Some(person.id), person.known_words());
    gate.hasher.check(&mut form, ("newPassword", &new), &known, user).await?;
    form.finish()?;
    let password_hash = gate.hasher.hash(new, user).await?;

    let (transaction, viewer, old) = begin_proven(gate.db, viewer, &verified, "currentPassword").await?;
    set_password(&transaction, old.id, Some(password_hash), signed_in.session_id()).await?;
    mail::notify(&transaction, &old, MailKind::PasswordChanged, gate.client.language).await?;
    let new = user::Model { modified_at: now(), version: old.version + 1, ..old };
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    let event = Entry::new(AuditAction::PasswordChanged, &new).by(&viewer).with([Change::of_secret("password")]);
    let keys = if revokes_api_keys { revoke_api_keys(&transaction, new.id).await? } else { Vec::new() };
    let revoked = keys.iter().map(|key| Entry::new(AuditAction::ApiKeyRevoked, key).by(&viewer));
    audit::commit(transaction, [event].into_iter().chain(revoked)).await?;
    Ok((new, keys.len()))
}

/// Sets the viewer's own PIN; `None` removes it.
///
/// # Errors
/// `Rejected` for an invalid PIN, and with `LOCKED` if the PIN is disabled; `RateLimited`.
pub async fn change_pin(gate: &Authenticator<'_>, viewer: &Viewer, pin: Option<String>) -> Result<user::Model, Error> {
    viewer.may(Action::UseOwnAccount)?;
    let mut form = Validator::changing();
    let pin = match pin {
        Some(pin) => form.check("pin", rule::pin(&pin)),
        None => None,
    };
    form.finish()?;
    let user_id = viewer.signed_in()?.user_id;
    check_pin_is_on(gate.db.read(), user_id).await?;
    let pin_hash = match pin {
        Some(pin) => Some(gate.hasher.hash(pin, Some(user_id)).await?),
        None => None,
    };
    let (transaction, viewer, old) = actor::begin_on_oneself(gate.db, viewer).await?;
    let user_id = old.id;
    let has_pin = pin_hash.is_some();
    check_pin_is_on(&transaction, user_id).await?;
    if !set_pin(&transaction, user_id, pin_hash).await? {
        return Ok(old);
    }
    mail::notify(&transaction, &old, MailKind::PinChanged, gate.client.language).await?;
    let new = user::Model { has_pin, modified_at: now(), version: old.version + 1, ..old.clone() };
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    let event = Entry::new(AuditAction::PinChanged, &new).by(&viewer);
    let event = event.with([Change::of_secret("pin")]).with(difference(&old, &new));
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Unlocks a user who was locked out by wrong passwords. May be repeated.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for an unknown ID; `Forbidden`.
pub async fn unlock(gate: &Authenticator<'_>, viewer: &Viewer, id: &str) -> Result<user::Model, Error> {
    let id = Id::of_input("id", id)?;
    let (transaction, viewer, person) = actor::begin_on_known(gate.db, viewer, "id", id).await?;
    viewer.may_on(Action::UnlockUser, &person)?;
    let forgotten = guesses::forget(&transaction, gate.hasher, &person).await?;
    let event = Entry::new(AuditAction::UserUnlocked, &person).by(&viewer);
    audit::commit(transaction, forgotten.then_some(event)).await?;
    Ok(person)
}

/// Refuses a user whose PIN is disabled: a new PIN must not enable it.
async fn check_pin_is_on(db: &impl ConnectionTrait, user_id: Id) -> Result<(), Error> {
    let current = pin::Entity::find_by_id(user_id).one(db).await?;
    if current.is_some_and(|current| current.wrong >= MAX_WRONG_PINS) {
        let message = "The PIN is disabled after too many wrong PINs; sign in with your password first.";
        return Err(Error::rejected("pin", ErrorCode::Locked, message));
    }
    Ok(())
}

/// Begins a mutation of the viewer, whose password must still be the verified one; `field` is the input field of the
/// password.
pub(super) async fn begin_proven(
    db: &Db,
    viewer: &Viewer,
    verified: &str,
    field: &str,
) -> Result<(DatabaseTransaction, Actor, user::Model), Error> {
    let (transaction, actor, person) = actor::begin_on_oneself(db, viewer).await?;
    let current = credential::Entity::find_by_id(person.id).one(&transaction).await?;
    if current.is_none_or(|current| current.password_hash != verified) {
        return Err(Error::rejected(field, ErrorCode::InvalidCredentials, "The password is wrong."));
    }
    Ok((transaction, actor, person))
}

/// Returns the row of the signed-in user.
pub(super) async fn find(db: &impl ConnectionTrait, id: Id) -> Result<user::Model, Error> {
    user::Entity::find_by_id(id).one(db).await?.ok_or(Error::Unauthenticated)
}
