//! The file with all data about a user, for that user.

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::Value;

use crate::access::Viewer;
use crate::actor;
use crate::audit::{self, Entry, sealer};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::user;
use crate::error::Error;
use crate::export::{ExportReader, user_file};
use crate::scalar::{Id, Json};
use crate::text;

/// Exports everything about a user, as the viewer sees it.
///
/// # Errors
/// `Rejected` for an unknown ID; `Forbidden`.
pub async fn export(db: &Db, viewer: &Viewer, id: &str) -> Result<(user::Model, Json), Error> {
    let id = Id::of_input("id", id)?;
    let (transaction, viewer, user) = actor::begin_on_known(db, viewer, "id", id).await?;
    viewer.may_export(&user)?;
    // It is recorded before anything is read, even if the export does not end well.
    let event = Entry::new(AuditAction::UserExported, &user).by(&viewer);
    audit::commit(transaction, [event]).await?;
    // The file has the event too.
    sealer::try_to_seal(db).await;
    let file = Box::pin(user_file(db.read(), ExportReader::Viewer(&viewer), user.clone())).await?;
    Ok((user, Json(Value::Object(file))))
}

/// Records that the operator of the server exports everything about a user.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn record(db: &Db, user: &user::Model) -> Result<(), Error> {
    let event = Entry::new(AuditAction::UserExported, user);
    audit::commit(db.begin().await?, [event]).await
}

/// Returns the user with an ID, a username or an email address, for the operator of the server.
///
/// # Errors
/// `BadInput` if there is none.
pub async fn find(db: &Db, name: &str) -> Result<user::Model, Error> {
    let key = text::canonical_login(name.trim());
    let is_user = Condition::any()
        .add(user::Column::UsernameKey.eq(key.as_str()))
        .add(user::Column::EmailKey.eq(key.as_str()))
        .add_option(Id::parse(name.trim()).map(|id| user::Column::Id.eq(id)));
    let found = user::Entity::find().filter(is_user).one(db.read()).await?;
    found.ok_or_else(|| Error::BadInput(format!("there is no user with the ID, username or email address {name}")))
}
