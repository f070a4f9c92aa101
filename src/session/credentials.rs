//! Credentials: the viewer's own password and PIN, and unlocking of users.

use std::ops::ControlFlow;

use async_graphql::MaybeUndefined;
use sea_orm::{ConnectionTrait, EntityTrait};

use super::attempts;
use super::input::ChangePasswordInput;
use super::sign_in::Authenticator;
use super::verified::Verified;
use crate::access::{Action, Viewer};
use crate::actor::{self, Actor};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::{revoke_api_keys, set_password, set_pin};
use crate::auth::password::PasswordCandidate;
use crate::db::Transaction;
use crate::entity::audit_event::AuditAction;
use crate::entity::mail::MailKind;
use crate::entity::pin::MAX_WRONG_PINS;
use crate::entity::{credential, pin, user, versioned};
use crate::error::{Error, ErrorCode};
use crate::mail;
use crate::scalar::Id;
use crate::validation::{Validator, rule};

/// The input fields of the passwords.
pub(super) const CURRENT_PASSWORD: &str = "currentPassword";
const NEW_PASSWORD: &str = "newPassword";

/// The result of a change of password.
pub struct PasswordChange {
    pub user: user::Model,
    /// The number of API keys that were revoked.
    pub revoked_api_keys: usize,
}

/// Changes the viewer's own password, for which the current one is required. Ends every other session and, if requested,
/// revokes the viewer's API keys.
///
/// # Errors
/// `Rejected` for a wrong or a weak password; `RateLimited`.
pub async fn change_password(
    authenticator: &Authenticator<'_>,
    viewer: &Viewer,
    input: ChangePasswordInput,
) -> Result<PasswordChange, Error> {
    let ChangePasswordInput { current_password, new_password, revoke_api_keys: revokes_api_keys } = input;
    viewer.may(Action::UseOwnAccount)?;
    let signed_in = viewer.signed_in()?;
    let user = find(authenticator.db.read(), signed_in.user_id).await?;
    let mut validator = Validator::changing();
    authenticator.hasher.check_format(&mut validator, NEW_PASSWORD, &new_password);
    validator.finish()?;
    let verified = authenticator.verify_own_password(&user, current_password, CURRENT_PASSWORD).await?;
    // Only after the current password was verified: estimating the strength takes as long as computing a hash.
    let mut validator = Validator::changing();
    let candidate = PasswordCandidate {
        field: NEW_PASSWORD,
        password: &new_password,
        known_words: &user.known_words(),
        on_behalf_of: Some(user.id),
    };
    authenticator.hasher.check(&mut validator, candidate).await?;
    validator.finish()?;
    let password_hash = authenticator.hasher.hash(new_password, Some(user.id)).await?;

    let (transaction, viewer, old) = begin_verified(authenticator, viewer, verified, CURRENT_PASSWORD).await?;
    set_password(&transaction, old.id, Some(password_hash), signed_in.session_id()).await?;
    mail::notify(&transaction, &old, MailKind::PasswordChanged, authenticator.client.language).await?;
    let new = versioned::save(&transaction, &old, old.clone()).await?;
    let event = Entry::new(AuditAction::PasswordChanged, &new).by(&viewer).with([Change::of_secret("password")]);
    let keys = if revokes_api_keys { revoke_api_keys(&transaction, new.id).await? } else { Vec::new() };
    let revocations = keys.iter().map(|key| Entry::new(AuditAction::ApiKeyRevoked, key).by(&viewer));
    audit::commit(transaction, [event].into_iter().chain(revocations)).await?;
    Ok(PasswordChange { user: new, revoked_api_keys: keys.len() })
}

/// Sets the viewer's own PIN; null removes it.
///
/// # Errors
/// `Rejected` for an invalid PIN, and with `LOCKED` if the PIN is disabled; `RateLimited`.
pub async fn change_pin(
    authenticator: &Authenticator<'_>,
    viewer: &Viewer,
    pin: MaybeUndefined<String>,
) -> Result<user::Model, Error> {
    viewer.may(Action::UseOwnAccount)?;
    let mut validator = Validator::changing();
    let pin = match pin {
        MaybeUndefined::Value(pin) => validator.check("pin", rule::pin(&pin)),
        MaybeUndefined::Null => None,
        MaybeUndefined::Undefined => {
            validator.add_error("pin", ErrorCode::Required, "This field is required; null removes the PIN.");
            None
        }
    };
    validator.finish()?;
    let user_id = viewer.signed_in()?.user_id;
    check_pin_not_locked(authenticator.db.read(), user_id).await?;
    let pin_hash = match pin {
        Some(pin) => Some(authenticator.hasher.hash(pin, Some(user_id)).await?),
        None => None,
    };
    let (transaction, viewer, old) = actor::begin_on_oneself(authenticator.db, viewer).await?;
    let user_id = old.id;
    let has_pin = pin_hash.is_some();
    check_pin_not_locked(&transaction, user_id).await?;
    if !set_pin(&transaction, user_id, pin_hash).await? {
        return Ok(old);
    }
    mail::notify(&transaction, &old, MailKind::PinChanged, authenticator.client.language).await?;
    let new = versioned::save(&transaction, &old, user::Model { has_pin, ..old.clone() }).await?;
    let event = Entry::new(AuditAction::PinChanged, &new).by(&viewer);
    let event = event.with([Change::of_secret("pin")]).with(difference(&old, &new));
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Unlocks a user who was locked out by wrong passwords. May be repeated.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for an unknown ID; `Forbidden`.
pub async fn unlock(authenticator: &Authenticator<'_>, viewer: &Viewer, id: &str) -> Result<user::Model, Error> {
    let id = Id::of_input("id", id)?;
    let (transaction, viewer, user) = actor::begin_on_known(authenticator.db, viewer, "id", id).await?;
    viewer.may_on(Action::UnlockUser, &user)?;
    let was_counted = attempts::reset_all(&transaction, authenticator.hasher, &user).await?;
    let event = Entry::new(AuditAction::UserUnlocked, &user).by(&viewer);
    audit::commit(transaction, was_counted.then_some(event)).await?;
    Ok(user)
}

/// Refuses a user whose PIN is disabled: a new PIN must not enable it.
async fn check_pin_not_locked(db: &impl ConnectionTrait, user_id: Id) -> Result<(), Error> {
    let current = pin::Entity::find_by_id(user_id).one(db).await?;
    if current.is_some_and(|current| current.wrong >= MAX_WRONG_PINS) {
        let message = "The PIN is locked after too many wrong PINs; sign in with your password first.";
        return Err(Error::rejected("pin", ErrorCode::Locked, message));
    }
    Ok(())
}

/// Begins a mutation of the viewer, whose password must still be the verified one; `field` is the input field of the
/// password.
pub(super) async fn begin_verified(
    authenticator: &Authenticator<'_>,
    viewer: &Viewer,
    password: Verified,
    field: &str,
) -> Result<(Transaction, Actor, user::Model), Error> {
    let user_id = viewer.signed_in()?.user_id;
    let begun = password.redeem(authenticator, user_id, |password| async move {
        let (transaction, actor, user) = actor::begin_on_oneself(authenticator.db, viewer).await?;
        let current = credential::Entity::find_by_id(user.id).one(&transaction).await?;
        let is_current = current.is_some_and(|current| current.password_hash == password.hash);
        let begun = (transaction, actor, user);
        Ok(if is_current { ControlFlow::Break(begun) } else { ControlFlow::Continue(password) })
    });
    begun.await?.ok_or_else(|| Error::rejected(field, ErrorCode::InvalidCredentials, "The password is wrong."))
}

/// Returns the row of the signed-in user.
pub(super) async fn find(db: &impl ConnectionTrait, id: Id) -> Result<user::Model, Error> {
    user::Entity::find_by_id(id).one(db).await?.ok_or(Error::Unauthenticated)
}
