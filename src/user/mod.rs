//! What can be done with people.

pub mod mutation;
pub mod query;
pub mod search;

use async_graphql::MaybeUndefined;
use sea_orm::sea_query::{Condition, IntoCondition};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QuerySelect, SqlErr,
};

use crate::access::{Viewer, is_active_license_admin, is_active_superuser};
use crate::db::Db;
use crate::entity::user::{Names, Role};
use crate::entity::{credential, institution, session, user};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::password::Hasher;
use crate::scalar::{Id, now};
use mutation::{CreateUserInput, UpdateUserInput};

/// Enters a person into the viewer's license.
///
/// # Errors
/// `Rejected` with every fault of the input; `Forbidden` for more rights than the viewer may give.
pub async fn create(db: &Db, hasher: &Hasher, viewer: &Viewer, input: CreateUserInput) -> Result<user::Model, Error> {
    let CreateUserInput { first_name, last_name, password, is_active, fields } = input;
    let mut form = Form::creating();
    let mut new = user::Model::blank(Id::new(), viewer.signed_in()?.license_id);
    let names = Names { first_name: MaybeUndefined::Value(first_name), last_name: MaybeUndefined::Value(last_name) };
    new.lay_over(names, fields, &mut form);
    form.value("isActive", is_active, &mut new.is_active);
    let password = form.secret("password", password);
    new.has_activated = password.is_value();
    viewer.may_create(&new)?;
    if let MaybeUndefined::Value(password) = &password {
        check_password(hasher, &mut form, password, &new);
    }
    check(db.read(), &new, &mut form).await?;
    finish(db.read(), &new, form).await?;

    let hash = match password {
        MaybeUndefined::Value(password) => Some(hasher.hash(password).await?),
        MaybeUndefined::Null | MaybeUndefined::Undefined => None,
    };
    insert(db, &new, hash).await?;
    Ok(new)
}

/// Stores a person, and the password if there is one.
///
/// # Errors
/// `Rejected`, naming each value that another person has.
pub async fn insert(db: &Db, new: &user::Model, password_hash: Option<String>) -> Result<(), Error> {
    let transaction = db.begin().await?;
    if let Err(error) =
        user::Entity::insert(new.clone().into_active_model().reset_all()).exec_without_returning(&transaction).await
    {
        drop(transaction);
        return Err(explain(db, new, error).await);
    }
    if let Some(password_hash) = password_hash {
        let credential = credential::Model { user_id: new.id, password_hash };
        credential.into_active_model().reset_all().insert(&transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Changes a person: what is absent stays, null clears. A new password, or none any more, ends the person's sessions.
///
/// # Errors
/// `Rejected` with every fault of the input; `Forbidden`, naming the fields that the viewer may not change.
pub async fn update(db: &Db, hasher: &Hasher, viewer: &Viewer, input: UpdateUserInput) -> Result<user::Model, Error> {
    let id = Id::parse(&input.id).ok_or_else(|| Error::rejected("id", ErrorCode::Invalid, "This is not an id."))?;
    let old = find(db.read(), viewer, id).await?;
    let (new, password) = changed(db.read(), hasher, viewer, &old, &input).await?;
    // Hashing takes long: it is done before the row is locked, and only for input that was good so far.
    let hash = match password {
        MaybeUndefined::Value(password) => MaybeUndefined::Value(hasher.hash(password).await?),
        MaybeUndefined::Null => MaybeUndefined::Null,
        MaybeUndefined::Undefined if new == old => return Ok(old),
        MaybeUndefined::Undefined => MaybeUndefined::Undefined,
    };

    // The password has been judged; whether it is strong is not computed again while others wait.
    let input = UpdateUserInput { password: MaybeUndefined::Undefined, ..input };
    let transaction = db.begin().await?;
    let old = find_locked(&transaction, viewer, id).await?;
    let (mut new, _) = changed(&transaction, hasher, viewer, &old, &input).await?;
    keep_an_administrator(&transaction, &old, &new).await?;
    match hash {
        MaybeUndefined::Undefined if new == old => return Ok(old),
        MaybeUndefined::Undefined => {}
        MaybeUndefined::Null => {
            credential::Entity::delete_by_id(id).exec(&transaction).await?;
            end_sessions(&transaction, id).await?;
        }
        MaybeUndefined::Value(password_hash) => {
            set_password(&transaction, id, password_hash).await?;
            end_sessions(&transaction, id).await?;
        }
    }
    new.modified_at = now();
    new.version = old.version + 1;
    if let Err(error) = new.clone().into_active_model().reset_all().update(&transaction).await {
        drop(transaction);
        return Err(explain(db, &new, error).await);
    }
    transaction.commit().await?;
    Ok(new)
}

/// The person as the input would have it, and what it does to the password.
async fn changed(
    connection: &impl ConnectionTrait,
    hasher: &Hasher,
    viewer: &Viewer,
    old: &user::Model,
    input: &UpdateUserInput,
) -> Result<(user::Model, MaybeUndefined<String>), Error> {
    let UpdateUserInput { id: _, first_name, last_name, password, fields } = input.clone();
    let mut form = Form::changing();
    let mut new = old.clone();
    new.lay_over(Names { first_name, last_name }, fields, &mut form);
    new.email_verified = old.email_verified && new.email_key == old.email_key;
    let password = form.secret("password", password);
    viewer.may_update(old, &new, form.given())?;
    if let MaybeUndefined::Value(password) = &password {
        check_password(hasher, &mut form, password, &new);
    }
    check(connection, &new, &mut form).await?;
    finish(connection, &new, form).await?;
    Ok((new, password))
}

/// Activates or deactivates a person; returns the person and how many sessions ended. It may be repeated.
///
/// # Errors
/// `Rejected` for an unknown id and for the last administrator; `Forbidden`.
pub async fn set_active(db: &Db, viewer: &Viewer, id: &str, active: bool) -> Result<(user::Model, i32), Error> {
    let id = Id::parse(id).ok_or_else(|| Error::rejected("id", ErrorCode::Invalid, "This is not an id."))?;
    let transaction = db.begin().await?;
    let old = find_locked(&transaction, viewer, id).await?;
    viewer.may_set_active(&old)?;
    let new = user::Model { is_active: active, ..old.clone() };
    keep_an_administrator(&transaction, &old, &new).await?;
    let ended = if active { 0 } else { end_sessions(&transaction, id).await? };
    if new == old {
        transaction.commit().await?;
        return Ok((new, ended));
    }
    let new = user::Model { modified_at: now(), version: old.version + 1, ..new };
    new.clone().into_active_model().reset_all().update(&transaction).await?;
    transaction.commit().await?;
    Ok((new, ended))
}

async fn find(db: &impl ConnectionTrait, viewer: &Viewer, id: Id) -> Result<user::Model, Error> {
    let found = user::Entity::find_by_id(id).filter(viewer.finds_users()).one(db).await?;
    found.ok_or_else(|| Error::not_found("id", "person"))
}

async fn find_locked(transaction: &DatabaseTransaction, viewer: &Viewer, id: Id) -> Result<user::Model, Error> {
    let found = user::Entity::find_by_id(id).filter(viewer.finds_users()).lock_exclusive().one(transaction).await?;
    found.ok_or_else(|| Error::not_found("id", "person"))
}

/// Judges a new password beside what is known of the person; faults go to the form.
pub fn check_password(hasher: &Hasher, form: &mut Form, password: &str, person: &user::Model) {
    let known = [
        Some(person.first_name.as_str()),
        Some(person.last_name.as_str()),
        person.username.as_deref(),
        person.email.as_deref(),
    ];
    hasher.check(form, "password", password, &known.into_iter().flatten().collect::<Vec<_>>());
}

/// The rules that take more than one value, or another table.
async fn check(db: &impl ConnectionTrait, new: &user::Model, form: &mut Form) -> Result<(), Error> {
    let blamed = form.has_fault_of("username") || form.has_fault_of("email");
    if new.username.is_none() && new.email.is_none() && !blamed {
        form.fault("email", ErrorCode::Required, "There must be a username or an e-mail address.");
    }
    if let Some(id) = new.institution_id {
        let of_license = institution::Column::LicenseId.eq(new.license_id);
        if institution::Entity::find_by_id(id).filter(of_license).one(db).await?.is_none() {
            form.fault("institutionId", ErrorCode::NotFound, "There is no such institution.");
        }
    }
    Ok(())
}

/// Ends a form. Where it has faults, those that only the database would have found are added, so that all come at once.
async fn finish(db: &impl ConnectionTrait, new: &user::Model, mut form: Form) -> Result<(), Error> {
    if form.has_faults() {
        note_taken(db, new, &mut form).await?;
    }
    form.finish()
}

/// Says which value broke a unique constraint, or all of them.
async fn explain(db: &Db, new: &user::Model, error: sea_orm::DbErr) -> Error {
    if !matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
        return error.into();
    }
    let mut form = Form::changing();
    match note_taken(db.read(), new, &mut form).await.and_then(|()| form.finish()) {
        Ok(()) => error.into(),
        Err(explained) => explained,
    }
}

async fn note_taken(db: &impl ConnectionTrait, new: &user::Model, form: &mut Form) -> Result<(), Error> {
    let external = new.external_id.as_ref().map(|id| {
        let of_license = user::Column::LicenseId.eq(new.license_id);
        Condition::all().add(user::Column::ExternalId.eq(id)).add(of_license)
    });
    let username = new.username_key.as_ref().map(|key| user::Column::UsernameKey.eq(key).into_condition());
    let email = new.email_key.as_ref().map(|key| user::Column::EmailKey.eq(key).into_condition());
    let keys = [
        ("username", "username", username),
        ("email", "e-mail address", email),
        ("externalId", "external id", external),
    ];
    // One statement for each, so that each is found by its index; a key that is not given names nobody.
    for (field, what, key) in keys {
        let Some(key) = key else { continue };
        if user::Entity::find().filter(key).filter(user::Column::Id.ne(new.id)).one(db).await?.is_some() {
            form.fault(field, ErrorCode::Taken, format!("This {what} is taken."));
        }
    }
    Ok(())
}

/// The last active superuser, and the last active license administrator of a license, stay what they are.
async fn keep_an_administrator(
    transaction: &DatabaseTransaction,
    old: &user::Model,
    new: &user::Model,
) -> Result<(), Error> {
    let superusers = Condition::all().add(user::Column::IsSuperuser.eq(true));
    let license_admins =
        Condition::all().add(user::Column::Role.eq(Role::LicenseAdmin)).add(user::Column::LicenseId.eq(old.license_id));
    let lost = [
        (is_active_superuser(old) && !is_active_superuser(new), superusers, "the last active superuser"),
        (
            is_active_license_admin(old) && !is_active_license_admin(new),
            license_admins,
            "the last active license administrator of the license",
        ),
    ];
    for (_, peers, what) in lost.into_iter().filter(|(lost, _, _)| *lost) {
        if transaction.get_database_backend() == DatabaseBackend::Postgres {
            // Two who demote each other at the same moment must not both find the other still there.
            transaction.execute_unprepared("SELECT pg_advisory_xact_lock(7305804403)").await?;
        }
        let others = user::Entity::find()
            .filter(peers)
            .filter(user::Column::IsActive.eq(true))
            .filter(user::Column::Id.ne(old.id));
        if others.count(transaction).await? == 0 {
            return Err(Error::rejected("id", ErrorCode::NotAllowed, format!("{} is {what}.", old.name())));
        }
    }
    Ok(())
}

async fn set_password(transaction: &DatabaseTransaction, user_id: Id, password_hash: String) -> Result<(), Error> {
    let credential = credential::Model { user_id, password_hash }.into_active_model().reset_all();
    let replace = sea_orm::sea_query::OnConflict::column(credential::Column::UserId)
        .update_column(credential::Column::PasswordHash)
        .to_owned();
    credential::Entity::insert(credential).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(())
}

async fn end_sessions(transaction: &DatabaseTransaction, user_id: Id) -> Result<i32, Error> {
    let ended = session::Entity::delete_many().filter(session::Column::UserId.eq(user_id)).exec(transaction).await?;
    Ok(i32::try_from(ended.rows_affected).unwrap_or(i32::MAX))
}
