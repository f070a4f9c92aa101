//! Pictures of users: sets and removes them.

use async_graphql::MaybeUndefined;
use sea_orm::{EntityTrait, QueryFilter, QuerySelect};

use super::find;
use crate::access::{Action, Viewer};
use crate::actor;
use crate::audit::{self, Entry, difference};
use crate::avatar::{ImageProcessor, Picture, Store};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::{user, versioned};
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;

const NOTHING_GIVEN: &str = "Must be a file, or null to remove the picture.";

/// Sets the user's picture to the processed file, or removes the picture. The file is processed only if the viewer has the right.
///
/// # Errors
/// `Rejected` for an unknown ID and for a file that is not a picture; `Forbidden`; `RateLimited` if too many files are sent at
/// once.
pub async fn set(
    db: &Db,
    processor: &ImageProcessor,
    viewer: &Viewer,
    id: &str,
    file: MaybeUndefined<Vec<u8>>,
) -> Result<user::Model, Error> {
    let id = Id::of_input("id", id)?;
    viewer.may_on(Action::UpdateUser, &find(db.read(), viewer, id).await?)?;
    let picture = match file {
        MaybeUndefined::Undefined => return Err(Error::rejected("avatar", ErrorCode::Required, NOTHING_GIVEN)),
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(file) => Some(processor.process("avatar", file).await?),
    };

    let (transaction, viewer, old) = actor::begin_on_known(db, viewer, "id", id).await?;
    viewer.may_on(Action::UpdateUser, &old)?;
    let new = user::Model { avatar: picture.as_ref().map(Picture::hash), ..old.clone() };
    if new == old {
        return Ok(old);
    }
    match picture {
        Some(picture) => db.put(&transaction, id, picture).await?,
        None => db.remove(&transaction, id).await?,
    }
    let event = Entry::new(AuditAction::UserUpdated, &new).by(&viewer).with(difference(&old, &new));
    let new = versioned::save(&transaction, &old, new).await?;
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Returns the hash of a user's picture. `None` if there is no picture, or no user that the viewer can see.
pub async fn hash(db: &Db, viewer: &Viewer, id: Id) -> Result<Option<String>, Error> {
    let seen = user::Entity::find_by_id(id).filter(viewer.visible_users());
    let found = seen.select_only().column(user::Column::Avatar).into_tuple::<Option<String>>().one(db.read()).await?;
    Ok(found.flatten())
}
