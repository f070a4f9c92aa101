//! The first administrator, who comes from the command line.

use async_graphql::MaybeUndefined;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};

use crate::db::Db;
use crate::entity::user::{Names, UserFields};
use crate::entity::{credential, user};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::password::{self, Hasher};
use crate::scalar::Id;

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
    let known = [new.first_name.as_str(), new.last_name.as_str(), new.email.as_deref().unwrap_or_default()];
    password::check(&mut form, "password", &password, &known);
    form.finish()?;
    new.is_superuser = true;
    new.has_activated = true;
    let password_hash = hasher.hash(password).await?;
    let transaction = db.begin().await?;
    let inserted =
        user::Entity::insert(new.clone().into_active_model().reset_all()).exec_without_returning(&transaction).await;
    inserted.map_err(|error| match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => {
            Error::rejected("email", ErrorCode::Taken, "This e-mail address is taken.")
        }
        _ => error.into(),
    })?;
    let credential = credential::Model { user_id: new.id, password_hash };
    credential.into_active_model().reset_all().insert(&transaction).await?;
    transaction.commit().await?;
    Ok(new)
}
