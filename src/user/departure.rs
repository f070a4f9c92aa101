//! Shutting people out, letting them in again, and erasing them.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::keep_an_administrator;
use super::mutation::SetActiveInput;
use crate::access::{Action, Viewer};
use crate::audit::{self, Change, Entry, difference};
use crate::credential::{self, ShutOut, lock_seen};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::membership::GroupRole;
use crate::entity::{group, membership, tombstone, user};
use crate::error::{Error, ErrorCode};
use crate::form::{Form, rule};
use crate::scalar::{Id, now};
use crate::word_index;

/// The most characters of a reason.
const LONGEST_REASON: usize = 500;

/// What ended when a person was activated or deactivated.
pub struct Switched {
    pub person: user::Model,
    pub ended: ShutOut,
}

/// Activates or deactivates a person; deactivating ends all by which the person gets in. It may be repeated.
///
/// # Errors
/// `Rejected` for an unknown id, a bad reason and for the last administrator; `Forbidden`.
pub async fn set_active(db: &Db, viewer: &Viewer, input: SetActiveInput) -> Result<Switched, Error> {
    let mut form = Form::changing();
    let id = form.id("id", &input.id);
    let mut reason = None::<String>;
    form.text("reason", input.reason, &mut reason, rule::lines(LONGEST_REASON));
    form.finish()?;
    let id = id.ok_or_else(|| Error::internal("an id that is none passed the form"))?;
    let transaction = db.begin().await?;
    let old = lock_seen(&transaction, viewer, "id", id).await?;
    viewer.may_to(Action::SetActive, &old)?;
    let new = user::Model { is_active: input.active, ..old.clone() };
    keep_an_administrator(&transaction, &old, &new).await?;
    let ended = if input.active { ShutOut::default() } else { credential::shut_out(&transaction, &[id]).await? };
    if new == old && ended == ShutOut::default() {
        return Ok(Switched { person: old, ended });
    }
    let action = if input.active { AuditAction::UserActivated } else { AuditAction::UserDeactivated };
    let reason = reason.map(|reason| Change::of("reason", None, Some(reason.into())));
    let event = Entry::new(action, &new).by(viewer).with(difference(&old, &new)).with(reason);
    let new = user::Model { modified_at: now(), version: old.version + 1, ..new };
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    audit::commit(transaction, [event]).await?;
    Ok(Switched { person: new, ended })
}

/// Erases a person: the row with all that hangs on it, and what the audit trail says of the person. A tombstone keeps the
/// id, when, and by whom.
///
/// # Errors
/// `Rejected` for an unknown id, for the last administrator and for the last owner of a group; `Forbidden`.
pub async fn delete(db: &Db, viewer: &Viewer, id: &str) -> Result<Id, Error> {
    let id = Id::of_input("id", id)?;
    let transaction = db.begin().await?;
    let old = lock_seen(&transaction, viewer, "id", id).await?;
    viewer.may_to(Action::DeleteUser, &old)?;
    keep_an_administrator(&transaction, &old, &user::Model { is_active: false, ..old.clone() }).await?;
    keep_an_owner(&transaction, &old).await?;
    let tombstone = tombstone::Model {
        user_id: id,
        license_id: old.license_id,
        deleted_at: now(),
        deleted_by: Some(viewer.signed_in()?.user_id),
    };
    tombstone.into_active_model().reset_all().insert(&transaction).await?;
    audit::erase(&transaction, id).await?;
    user::Entity::delete_by_id(id).exec(&transaction).await?;
    word_index::follow(&transaction, [(Some(&old), None)]).await?;
    audit::commit(transaction, [Entry::new(AuditAction::UserDeleted, &old).by(viewer)]).await?;
    // Whether it succeeds does not change that the user is erased.
    if let Err(error) = db.checkpoint().await {
        tracing::warn!(?error, "what was erased is still in the write-ahead log");
    }
    Ok(id)
}

/// A group always has an owner. The groups are locked after the person, as who changes their members does.
async fn keep_an_owner(transaction: &DatabaseTransaction, person: &user::Model) -> Result<(), Error> {
    let owned = membership::Entity::find()
        .filter(membership::Column::UserId.eq(person.id))
        .filter(membership::Column::Role.eq(GroupRole::Owner))
        .order_by_asc(membership::Column::GroupId);
    for membership in owned.all(transaction).await? {
        let group = group::Entity::find_by_id(membership.group_id).lock_exclusive().one(transaction).await?;
        if membership::other_owners(membership.group_id, person.id).count(transaction).await? == 0 {
            let name = group.map(|group| group.name).unwrap_or_default();
            let message = format!("{} is the last owner of {name}; make somebody else an owner first.", person.name());
            return Err(Error::rejected("id", ErrorCode::NotAllowed, message));
        }
    }
    Ok(())
}
