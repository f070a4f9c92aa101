//! Checks of a user against the rest of the directory: whether the institution exists, and whether another user has the same
//! username, email address, external ID or external reference.

use sea_orm::sea_query::{Condition, IntoCondition};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, SqlErr};

use crate::access::of_license;
use crate::db::Db;
use crate::entity::{external_reference, institution, user, user_reference};
use crate::error::{Error, ErrorCode};
use crate::login;
use crate::validation::Validator;

/// Checks the rules that involve more than one value, or another table. The institution of an existing user exists unless it
/// changes.
pub(super) async fn check_references(
    db: &impl ConnectionTrait,
    old: Option<&user::Model>,
    new: &user::Model,
    validator: &mut Validator,
) -> Result<(), Error> {
    let has_login_errors = validator.has_error_at("username") || validator.has_error_at("email");
    if new.username.is_none() && new.email.is_none() && !has_login_errors {
        validator.add_error("email", ErrorCode::Required, "A username or an email address is required.");
    }
    let is_moved = old.is_none_or(|old| old.institution_id != new.institution_id);
    if let Some(id) = new.institution_id.filter(|_| is_moved) {
        let of_license = of_license(institution::Column::LicenseId, new.license_id);
        if institution::Entity::find_by_id(id).filter(of_license).one(db).await?.is_none() {
            validator.add_error("institutionId", ErrorCode::NotFound, "There is no such institution.");
        }
    }
    Ok(())
}

/// Finishes a validation. If it has errors, adds those that only the database would have found, so that all are returned at once.
pub(super) async fn finish(
    db: &impl ConnectionTrait,
    old: Option<&user::Model>,
    new: &user::Model,
    mut validator: Validator,
) -> Result<(), Error> {
    if validator.has_errors() {
        collect_conflicts(db, old, new, &mut validator).await?;
    }
    validator.finish()
}

/// Checks that no other user has a value of a new or changed user.
pub(super) async fn check(
    db: &impl ConnectionTrait,
    old: Option<&user::Model>,
    new: &user::Model,
) -> Result<(), Error> {
    let mut validator = Validator::changing();
    collect_conflicts(db, old, new, &mut validator).await?;
    validator.finish()
}

/// Turns a violated constraint into errors that name the values, all of them at once.
pub(super) async fn map_unique_violation(db: &Db, old: Option<&user::Model>, new: &user::Model, error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {}
        // The institution existed when the input was checked.
        Some(SqlErr::ForeignKeyConstraintViolation(_)) if new.institution_id.is_some() => {
            return Error::not_found("institutionId", "institution");
        }
        _ => return error.into(),
    }
    match check(db.read(), old, new).await {
        Ok(()) => error.into(),
        Err(explained) => explained,
    }
}

/// Adds an error for each value that another user has. A login that has not changed was accepted before and is not checked again.
pub(super) async fn collect_conflicts(
    db: &impl ConnectionTrait,
    old: Option<&user::Model>,
    new: &user::Model,
    validator: &mut Validator,
) -> Result<(), Error> {
    let external = new.external_id.as_ref().map(|id| {
        let of_license = of_license(user::Column::LicenseId, new.license_id);
        Condition::all().add(user::Column::ExternalId.eq(id)).add(of_license)
    });
    let login = |key: fn(&user::Model) -> Option<&String>| {
        let changed = key(new).filter(|_| old.is_none_or(|old| key(old) != key(new)));
        changed.map(|key| login::belongs_to_login(key).into_condition())
    };
    let username = login(|user| user.username_key.as_ref());
    let email = login(|user| user.email_key.as_ref());
    let keys = [
        ("username", "username", username),
        ("email", "email address", email),
        ("externalId", "external ID", external),
    ];
    // One statement for each, so that each uses its index. A key that is not given matches no user.
    for (field, what, key) in keys {
        let Some(key) = key else { continue };
        if user::Entity::find().filter(key).filter(user::Column::Id.ne(new.id)).one(db).await?.is_some() {
            validator.add_error(field, ErrorCode::Taken, format!("This {what} is taken."));
        }
    }
    collect_taken_references(db, old, new, validator).await
}

/// Adds an error for each external reference that is new to the user and that another user has.
async fn collect_taken_references(
    db: &impl ConnectionTrait,
    old: Option<&user::Model>,
    new: &user::Model,
    validator: &mut Validator,
) -> Result<(), Error> {
    let before = external_reference::list(old.and_then(|old| old.external_references.as_ref()));
    let mut added = external_reference::list(new.external_references.as_ref());
    added.retain(|reference| !before.contains(reference));
    let taken = external_reference::taken::<user_reference::Entity>(db, new.license_id, new.id, &added).await?;
    for reference in added {
        if taken.contains(&reference) {
            let message = format!("The reference {} is taken.", reference.text());
            validator.add_error(external_reference::FIELD, ErrorCode::Taken, message);
        }
    }
    Ok(())
}
