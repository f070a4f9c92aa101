//! Activation, deactivation and erasure of users.

use sea_orm::EntityTrait;

use super::administrators::ensure_administrator_remains;
use super::input::SetActiveInput;
use crate::access::{Action, Viewer};
use crate::actor;
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::{self, RevokedAccess};
use crate::auth::password::{Hasher, ReferenceHash};
use crate::db::batch::{self, IfExists};
use crate::db::{Db, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::external_reference::{self, ExternalReference};
use crate::entity::{erased_reference, group, tombstone, user, versioned};
use crate::error::Error;
use crate::ownership::{self, Cause, PassedOn};
use crate::scalar::{Id, now};
use crate::validation::{Validator, rule};

/// The maximum length of a reason, in characters.
const MAX_REASON_LENGTH: usize = 500;

/// The result of activating or deactivating a user.
pub struct ActivationChange {
    pub user: user::Model,
    pub ended: RevokedAccess,
    /// The groups that have another owner now.
    pub groups_passed_on: Vec<group::Model>,
}

/// The result of erasing a user.
pub struct Erased {
    pub id: Id,
    /// The groups that have another owner now.
    pub groups_passed_on: Vec<group::Model>,
}

/// Activates or deactivates a user. Deactivating ends everything by which the user gets in. Idempotent.
///
/// # Errors
/// `Rejected` for an unknown ID, an invalid reason, and for the last administrator; `Forbidden`.
pub async fn set_active(db: &Db, viewer: &Viewer, input: SetActiveInput) -> Result<ActivationChange, Error> {
    let mut validator = Validator::changing();
    let id = validator.id("id", &input.id);
    let mut reason = None::<String>;
    validator.text("reason", input.reason, &mut reason, rule::lines(MAX_REASON_LENGTH));
    validator.finish()?;
    let (transaction, viewer, old) = actor::begin_on_known(db, viewer, "id", id).await?;
    viewer.may_on(Action::SetActive, &old)?;
    let new = user::Model { is_active: input.active, ..old.clone() };
    ensure_administrator_remains(&transaction, &old, &new).await?;
    let ended =
        if input.active { RevokedAccess::default() } else { credential::revoke_access(&transaction, &[id]).await? };
    let PassedOn { groups: groups_passed_on, events } = if input.active {
        PassedOn::default()
    } else {
        ownership::pass_on(&transaction, &viewer, &old, Cause::Deactivation).await?
    };
    if new == old && ended == RevokedAccess::default() && events.is_empty() {
        return Ok(ActivationChange { user: old, ended, groups_passed_on });
    }
    let action = if input.active { AuditAction::UserActivated } else { AuditAction::UserDeactivated };
    let reason = reason.map(|reason| Change::of("reason", None, Some(reason.into())));
    let event = Entry::new(action, &new).by(&viewer).with(difference(&old, &new)).with(reason);
    let new = versioned::save(&transaction, &old, new).await?;
    audit::commit(transaction, [event].into_iter().chain(events)).await?;
    Ok(ActivationChange { user: new, ended, groups_passed_on })
}

/// Erases a user: the row with everything that depends on it, and what the audit trail says about the user. A tombstone keeps the
/// ID, the license, the time, and the user who erased them; keyed hashes of the external ID and of the external references keep
/// imports from bringing them back. Groups of which the user is the last owner get another one.
///
/// # Errors
/// `Rejected` for an unknown ID and for the last administrator; `Forbidden`.
pub async fn delete(db: &Db, hasher: &Hasher, viewer: &Viewer, id: &str) -> Result<Erased, Error> {
    let id = Id::of_input("id", id)?;
    let (transaction, viewer, old) = actor::begin_on_known(db, viewer, "id", id).await?;
    viewer.may_on(Action::DeleteUser, &old)?;
    ensure_administrator_remains(&transaction, &old, &user::Model { is_active: false, ..old.clone() }).await?;
    let passed_on = ownership::pass_on(&transaction, &viewer, &old, Cause::Erasure).await?;
    let tombstone = tombstone::Model {
        user_id: id,
        license_id: old.license_id,
        deleted_at: now(),
        deleted_by: Some(viewer.signed_in()?.user_id),
    };
    rows::insert(&transaction, tombstone).await?;
    batch::insert(&transaction, &erased_references(hasher, &old), IfExists::Skip).await?;
    user::Entity::delete_by_id(id).exec(&transaction).await?;
    let was_active = audit::erase(&transaction, &old).await?;
    let never_active = (!was_active).then(|| Change::of(audit::WAS_ACTIVE, Some(false.into()), None));
    let event = Entry::new(AuditAction::UserDeleted, &old).by(&viewer).with(never_active);
    audit::commit(transaction, passed_on.events.into_iter().chain([event])).await?;
    // The user is erased even if this fails.
    if let Err(error) = db.checkpoint().await {
        tracing::warn!(error = error.for_log(), "erased data is still in the write-ahead log");
    }
    Ok(Erased { id, groups_passed_on: passed_on.groups })
}

/// Returns the rows by which imports know that a user was erased: a hash of the external ID, and one of each external reference.
fn erased_references(hasher: &Hasher, user: &user::Model) -> Vec<erased_reference::Model> {
    let references = external_reference::list(user.external_references.as_ref());
    let texts = references.iter().map(ExternalReference::text).chain(user.external_id.clone());
    let row = |text: String| {
        let ReferenceHash { hash, key_id } = hasher.hash_reference(user.license_id, &text);
        erased_reference::Model { hash, license_id: user.license_id, key_id: Some(key_id) }
    };
    texts.map(row).collect()
}
