//! Shutting people out, letting them in again, and erasing them.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};

use super::ensure_administrator_remains;
use super::input::SetActiveInput;
use crate::access::{Action, Viewer};
use crate::actor;
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::{self, RevokedAccess};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::{group, tombstone, user};
use crate::error::Error;
use crate::ownership::{self, Cause, PassedOn};
use crate::scalar::{Id, now};
use crate::search_index;
use crate::validation::{Validator, rule};

/// The most characters of a reason.
const LONGEST_REASON: usize = 500;

/// What ended when a person was activated or deactivated.
pub struct ActivationChange {
    pub person: user::Model,
    pub ended: RevokedAccess,
    /// The groups that have another owner now.
    pub groups_passed_on: Vec<group::Model>,
}

/// What became of an erasure.
pub struct Erased {
    pub id: Id,
    /// The groups that have another owner now.
    pub groups_passed_on: Vec<group::Model>,
}

/// Activates or deactivates a person; deactivating ends all by which the person gets in. It may be repeated.
///
/// # Errors
/// `Rejected` for an unknown id, a bad reason and for the last administrator; `Forbidden`.
pub async fn set_active(db: &Db, viewer: &Viewer, input: SetActiveInput) -> Result<ActivationChange, Error> {
    let mut form = Validator::changing();
    let id = form.id("id", &input.id);
    let mut reason = None::<String>;
    form.text("reason", input.reason, &mut reason, rule::lines(LONGEST_REASON));
    form.finish()?;
    let id = id.ok_or_else(|| Error::internal("an invalid ID passed validation"))?;
    let (transaction, viewer, old) = actor::begin_on_known(db, viewer, "id", id).await?;
    viewer.may_on(Action::SetActive, &old)?;
    let new = user::Model { is_active: input.active, ..old.clone() };
    ensure_administrator_remains(&transaction, &old, &new).await?;
    let ended = if input.active { RevokedAccess::default() } else { credential::shut_out(&transaction, &[id]).await? };
    let PassedOn { groups: groups_passed_on, events } = if input.active {
        PassedOn::default()
    } else {
        ownership::pass_on(&transaction, &viewer, &old, Cause::Deactivation).await?
    };
    if new == old && ended == RevokedAccess::default() && events.is_empty() {
        return Ok(ActivationChange { person: old, ended, groups_passed_on });
    }
    let action = if input.active { AuditAction::UserActivated } else { AuditAction::UserDeactivated };
    let reason = reason.map(|reason| Change::of("reason", None, Some(reason.into())));
    let event = Entry::new(action, &new).by(&viewer).with(difference(&old, &new)).with(reason);
    let new = user::Model { modified_at: now(), version: old.version + 1, ..new };
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    audit::commit(transaction, [event].into_iter().chain(events)).await?;
    Ok(ActivationChange { person: new, ended, groups_passed_on })
}

/// Erases a person: the row with all that hangs on it, and what the audit trail says of the person. A tombstone keeps the
/// id, when, and by whom. Groups of which the person is the last owner get another one.
///
/// # Errors
/// `Rejected` for an unknown id and for the last administrator; `Forbidden`.
pub async fn delete(db: &Db, viewer: &Viewer, id: &str) -> Result<Erased, Error> {
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
    tombstone.into_active_model().reset_all().insert(&transaction).await?;
    audit::erase(&transaction, id).await?;
    user::Entity::delete_by_id(id).exec(&transaction).await?;
    search_index::update(&transaction, [(Some(&old), None)]).await?;
    let event = Entry::new(AuditAction::UserDeleted, &old).by(&viewer);
    audit::commit(transaction, passed_on.events.into_iter().chain([event])).await?;
    // Whether it succeeds does not change that the user is erased.
    if let Err(error) = db.checkpoint().await {
        tracing::warn!(?error, "erased data is still in the write-ahead log");
    }
    Ok(Erased { id, groups_passed_on: passed_on.groups })
}
