//! Licenses: created by the operator of the server, visible to every user in them.

pub mod input;
pub mod mutation;
pub mod query;

use std::collections::HashMap;

use async_graphql::MaybeUndefined;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::access::{Action, Viewer};
use crate::actor;
use crate::audit::{self, Change, Entry, difference, recorded};
use crate::db::{Db, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::license::{self, LicenseKind};
use crate::entity::user;
use crate::error::{Error, ErrorCode};
use crate::scalar::{Date, Id};
use crate::validation::{Validator, rule};

/// The terms of a license to create.
#[derive(Clone, Debug)]
pub struct NewLicense {
    pub number: String,
    pub holder: String,
    pub kind: LicenseKind,
    /// The first day. Defaults to today.
    pub starts_on: Option<Date>,
    /// The last day. By default, the license never expires.
    pub expires_on: Option<Date>,
}

impl NewLicense {
    /// Returns the terms of a commercial license that starts today and never expires.
    #[must_use]
    pub fn first(number: &str, holder: &str) -> Self {
        let (number, holder) = (number.to_owned(), holder.to_owned());
        Self { number, holder, kind: LicenseKind::Commercial, starts_on: None, expires_on: None }
    }
}

/// The result of [`extend`].
#[derive(Clone, Debug)]
pub struct Extended {
    pub license: license::Model,
    /// The last day before the change.
    pub before: Option<Date>,
}

/// Creates a license.
///
/// # Errors
/// `Rejected` with every error of the terms.
pub async fn create(db: &Db, terms: NewLicense) -> Result<license::Model, Error> {
    create_with_id(db, Id::new(), terms).await
}

/// Creates a license with an id that it has already.
///
/// # Errors
/// As [`create`].
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn create_with_id(db: &Db, id: Id, terms: NewLicense) -> Result<license::Model, Error> {
    let NewLicense { number, holder, kind, starts_on, expires_on } = terms;
    let starts_on = starts_on.unwrap_or_else(Date::today);
    let mut validator = Validator::creating();
    let mut new = license::Model { id, number: String::new(), kind, holder: String::new(), starts_on, expires_on };
    validator.required("number", MaybeUndefined::Value(number), &mut new.number, rule::text(50));
    validator.required("holder", MaybeUndefined::Value(holder), &mut new.holder, rule::text(200));
    check_end(&new, &mut validator);
    if validator.has_errors() && find(db, &new.number).await?.is_some() {
        validator.add_error("number", ErrorCode::Taken, TAKEN);
    }
    validator.finish()?;
    let columns = [
        ("number", license::Column::Number),
        ("holder", license::Column::Holder),
        ("kind", license::Column::Kind),
        ("startsOn", license::Column::StartsOn),
        ("expiresOn", license::Column::ExpiresOn),
    ];
    let values = columns.map(|(field, column)| (field, recorded(&new, column)));
    let changes = values.into_iter().filter(|(_, value)| value.is_some());
    let event = Entry::new(AuditAction::LicenseCreated, &new)
        .with(changes.map(|(field, value)| Change::of(field, None, value)));
    let transaction = db.begin().await?;
    rows::insert(&transaction, new.clone()).await.map_err(Error::taken("number", TAKEN))?;
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Sets the last day of a license, later or earlier; `None` removes it.
///
/// # Errors
/// `BadInput` for an unknown number; `Rejected` with `INVALID` for a day before the first.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn extend(db: &Db, number: &str, expires_on: Option<Date>) -> Result<Extended, Error> {
    let transaction = db.begin().await?;
    let of_number = license::Entity::find().filter(license::Column::Number.eq(number.trim()));
    let old = of_number.lock_exclusive().one(&transaction).await?.ok_or_else(|| unknown(number))?;
    let new = license::Model { expires_on, ..old.clone() };
    let before = old.expires_on;
    let mut validator = Validator::changing();
    check_end(&new, &mut validator);
    validator.finish()?;
    if new == old {
        return Ok(Extended { license: old, before });
    }
    let column = license::Column::ExpiresOn;
    let change = Change::of("expiresOn", recorded(&old, column), recorded(&new, column));
    rows::update(&transaction, &old, new.clone()).await?;
    audit::commit(transaction, [Entry::new(AuditAction::LicenseExtended, &new).with([change])]).await?;
    Ok(Extended { license: new, before })
}

/// Changes the number or the holder of a license. Returns the license before and after the change.
///
/// # Errors
/// `BadInput` for an unknown number; `Rejected` for an invalid value, or a number that is taken.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn rename(
    db: &Db,
    number: &str,
    new_number: Option<String>,
    holder: Option<String>,
) -> Result<(license::Model, license::Model), Error> {
    let transaction = db.begin().await?;
    let of_number = license::Entity::find().filter(license::Column::Number.eq(number.trim()));
    let old = of_number.lock_exclusive().one(&transaction).await?.ok_or_else(|| unknown(number))?;
    let (mut new, mut validator) = (old.clone(), Validator::changing());
    let given = |text: Option<String>| text.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
    validator.required("number", given(new_number), &mut new.number, rule::text(50));
    validator.required("holder", given(holder), &mut new.holder, rule::text(200));
    validator.finish()?;
    if new == old {
        return Ok((old, new));
    }
    let event = Entry::new(AuditAction::LicenseRenamed, &new).with(difference(&old, &new));
    rows::update(&transaction, &old, new.clone()).await.map_err(Error::taken("number", TAKEN))?;
    audit::commit(transaction, [event]).await?;
    Ok((old, new))
}

/// Changes the holder of a license. May be repeated.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for an unknown ID, or for an invalid holder; `Forbidden`.
pub async fn change_holder(db: &Db, viewer: &Viewer, id: &str, holder: String) -> Result<license::Model, Error> {
    let id = Id::of_input("id", id)?;
    let (transaction, actor) = actor::begin(db, viewer).await?;
    actor.may(Action::RenameLicense)?;
    let visible = license::Entity::find_by_id(id).filter(actor.visible_licenses());
    let Some(old) = visible.lock_exclusive().one(&transaction).await? else {
        return Err(Error::rejected("id", ErrorCode::NotFound, "There is no such license."));
    };
    let (mut new, mut validator) = (old.clone(), Validator::changing());
    validator.required("holder", MaybeUndefined::Value(holder), &mut new.holder, rule::text(200));
    validator.finish()?;
    if new == old {
        return Ok(old);
    }
    let event = Entry::new(AuditAction::LicenseRenamed, &new).by(&actor).with(difference(&old, &new));
    rows::update(&transaction, &old, new.clone()).await?;
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Returns every license, sorted by number, each with the number of its users, including inactive ones.
pub async fn list_with_user_counts(db: &Db) -> Result<Vec<(license::Model, i64)>, Error> {
    let licenses = license::Entity::find().order_by_asc(license::Column::Number).all(db.read()).await?;
    let counts: Vec<(Id, i64)> = user::Entity::find()
        .select_only()
        .column(user::Column::LicenseId)
        .column_as(user::Column::Id.count(), "people")
        .group_by(user::Column::LicenseId)
        .into_tuple()
        .all(db.read())
        .await?;
    let counts: HashMap<Id, i64> = counts.into_iter().collect();
    Ok(licenses.into_iter().map(|license| (license.clone(), counts.get(&license.id).copied().unwrap_or(0))).collect())
}

const TAKEN: &str = "This license number is taken.";

fn check_end(license: &license::Model, validator: &mut Validator) {
    if license.expires_on.is_some_and(|last| last < license.starts_on) {
        let message = format!("The last day is before the first day, {}.", license.starts_on.0);
        validator.add_error("expiresOn", ErrorCode::Invalid, message);
    }
}

fn unknown(number: &str) -> Error {
    Error::BadInput(format!(
        "there is no license with the number {number}; `roster license list` lists all licenses, and \
         `roster license create` creates one"
    ))
}

/// Creates a commercial license that starts today and never expires.
///
/// # Errors
/// As [`create`].
pub async fn create_first(db: &Db, id: Id, number: &str, holder: &str) -> Result<license::Model, Error> {
    create_with_id(db, id, NewLicense::first(number, holder)).await
}

/// Returns the license with the given number or, by default, the only license. If there is none, creates it for `holder`.
///
/// # Errors
/// `BadInput` if the number is unknown, or if no number is given and there are several licenses.
pub async fn resolve_or_create(db: &Db, number: Option<&str>, holder: &str) -> Result<license::Model, Error> {
    if let Some(number) = number {
        return find(db, number).await?.ok_or_else(|| unknown(number));
    }
    let mut licenses = list(db).await?;
    match (licenses.pop(), licenses.is_empty()) {
        (None, _) => create_first(db, Id::new(), "1", holder).await,
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Error::BadInput(
            "there are several licenses; choose one with --license NUMBER (`roster license list` lists them)"
                .to_owned(),
        )),
    }
}

/// Returns the license with the given number or, by default, the only license.
///
/// # Errors
/// `BadInput` if there is no such license, or if no number is given and there are several licenses.
pub async fn resolve(db: &Db, number: Option<&str>) -> Result<license::Model, Error> {
    if number.is_none() && list(db).await?.is_empty() {
        return Err(Error::BadInput("there is no license yet".to_owned()));
    }
    resolve_or_create(db, number, "").await
}

/// Records that a license is exported.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn record_export(
    db: &Db,
    license: &license::Model,
    with_secrets: bool,
    with_audit: bool,
) -> Result<(), Error> {
    let change = |(field, is_included): (&str, bool)| Change::of(field, None, Some(is_included.into()));
    let changes = [("secrets", with_secrets), ("auditTrail", with_audit)].map(change);
    let event = Entry::new(AuditAction::LicenseExported, license).with(changes);
    audit::commit(db.begin().await?, [event]).await
}

/// Returns the license with the given number, or `None`.
pub async fn find(db: &Db, number: &str) -> Result<Option<license::Model>, Error> {
    Ok(license::Entity::find().filter(license::Column::Number.eq(number)).one(db.read()).await?)
}

/// Returns the license with an id or, if there is none, with a number.
pub async fn find_same(db: &Db, id: Option<Id>, number: &str) -> Result<Option<license::Model>, Error> {
    let found = match id {
        Some(id) => license::Entity::find_by_id(id).one(db.read()).await?,
        None => None,
    };
    if found.is_some() { Ok(found) } else { find(db, number).await }
}

/// Returns the first 100 licenses, sorted by number.
pub async fn list(db: &Db) -> Result<Vec<license::Model>, Error> {
    Ok(license::Entity::find().order_by_asc(license::Column::Number).limit(100).all(db.read()).await?)
}
