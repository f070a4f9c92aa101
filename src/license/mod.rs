//! Licenses: made by whoever runs the server, looked at by everybody in them.

pub mod query;

use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

use crate::audit::{self, Change, Entry};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::license::{self, LicenseKind};
use crate::error::Error;
use crate::scalar::{Date, Id};

/// Makes a license that starts today and has no end.
///
/// # Errors
/// Whatever the database says, such as that the number is taken.
pub async fn create(db: &Db, id: Id, number: &str, holder: &str) -> Result<license::Model, Error> {
    let new = license::Model {
        id,
        number: number.to_owned(),
        kind: LicenseKind::Commercial,
        holder: holder.to_owned(),
        starts_on: Date::today(),
        expires_on: None,
    };
    let transaction = db.begin().await?;
    new.clone().into_active_model().reset_all().insert(&transaction).await?;
    let number = Change::of("number", None, Some(new.number.clone().into()));
    let holder = Change::of("holder", None, Some(new.holder.clone().into()));
    audit::commit(transaction, [Entry::new(AuditAction::LicenseCreated, &new).with([number, holder])]).await?;
    Ok(new)
}

/// The license of a number or, where none is named, the only one there is; the first one is made for `holder`.
///
/// # Errors
/// `BadInput` where the number is unknown, or several licenses could be meant.
pub async fn the_one(db: &Db, number: Option<&str>, holder: &str) -> Result<license::Model, Error> {
    if let Some(number) = number {
        return find(db, number)
            .await?
            .ok_or_else(|| Error::BadInput(format!("there is no license with the number {number}")));
    }
    let mut licenses = list(db).await?;
    match (licenses.pop(), licenses.is_empty()) {
        (None, _) => create(db, Id::new(), "1", holder).await,
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Error::BadInput("there are several licenses; name one by --license NUMBER".to_owned())),
    }
}

/// The license of a number.
///
/// # Errors
/// Whatever the database says.
pub async fn find(db: &Db, number: &str) -> Result<Option<license::Model>, Error> {
    Ok(license::Entity::find().filter(license::Column::Number.eq(number)).one(db.read()).await?)
}

/// The first hundred licenses by number.
///
/// # Errors
/// Whatever the database says.
pub async fn list(db: &Db) -> Result<Vec<license::Model>, Error> {
    Ok(license::Entity::find().order_by_asc(license::Column::Number).limit(100).all(db.read()).await?)
}
