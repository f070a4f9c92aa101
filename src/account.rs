//! The first administrator, who comes from the command line.

use async_graphql::MaybeUndefined;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use crate::db::Db;
use crate::entity::user;
use crate::entity::user::{Names, UserFields};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::password::Hasher;
use crate::scalar::Id;
use crate::user as people;

/// Whether there is anybody who may do everything.
///
/// # Errors
/// Whatever the database says.
pub async fn has_superuser(db: &Db) -> Result<bool, Error> {
    let active =
        user::Entity::find().filter(user::Column::IsSuperuser.eq(true)).filter(user::Column::IsActive.eq(true));
    Ok(active.count(db.read()).await? > 0)
}

/// Enters a person who may do everything.
///
/// # Errors
/// `Rejected` with every fault of what was given.
pub async fn create_superuser(
    db: &Db,
    hasher: &Hasher,
    license_id: Id,
    (first_name, last_name): (String, String),
    email: String,
    password: String,
) -> Result<user::Model, Error> {
    let mut form = Form::creating();
    let mut new = user::Model::blank(Id::new(), license_id);
    let names = Names { first_name: MaybeUndefined::Value(first_name), last_name: MaybeUndefined::Value(last_name) };
    let fields = UserFields { email: MaybeUndefined::Value(email), ..UserFields::default() };
    new.lay_over(names, fields, &mut form);
    if new.email.is_none() {
        form.fault("email", ErrorCode::Required, "This field is required.");
    }
    people::check_password(hasher, &mut form, &password, &new);
    form.finish()?;
    new.is_superuser = true;
    new.has_activated = true;
    people::insert(db, &new, Some(hasher.hash(password).await?)).await?;
    Ok(new)
}
