//! Creates and recovers administrators from the command line, before anyone can sign in.

use async_graphql::MaybeUndefined;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::access::{Viewer, active_superusers};
use crate::audit::{self, Entry};
use crate::auth::one_time_link;
use crate::auth::password::Hasher;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::user::{self, Role, UserFields};
use crate::error::Error;
use crate::scalar::Id;
use crate::text;
use crate::user::secrets::Secrets;
use crate::user::{self as people, ActivationMethod};
use crate::validation::Validator;

/// Returns whether there is an active superuser.
pub async fn has_superuser(db: &Db) -> Result<bool, Error> {
    Ok(user::Entity::find().filter(active_superusers()).one(db.read()).await?.is_some())
}

/// The scope of an administrator's rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Administers {
    /// Every license: a superuser.
    Everything,
    /// The license that the administrator belongs to.
    License,
}

/// Creates an administrator without a viewer, so that a new directory gets its first one. Without a password, the user sets one
/// by a link, whose token is returned with the user.
///
/// # Errors
/// `Rejected` with all validation errors.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn create_administrator(
    db: &Db,
    hasher: &Hasher,
    (license_id, administers): (Id, Administers),
    names: (String, String),
    email: String,
    password: Option<String>,
) -> Result<(user::Model, Option<String>), Error> {
    let mut form = Validator::creating();
    let role = match administers {
        Administers::Everything => MaybeUndefined::Undefined,
        Administers::License => MaybeUndefined::Value(Role::LicenseAdmin),
    };
    let fields = UserFields { email: MaybeUndefined::Value(email), role, ..UserFields::default() };
    let mut new = user::Model::addressed(license_id, names, fields, &mut form);
    if let Some(password) = &password {
        hasher.check(&mut form, ("password", password), &new.known_words(), None).await?;
    }
    form.finish()?;
    new.is_superuser = administers == Administers::Everything;
    new.has_activated = password.is_some();
    let welcome = if password.is_some() { ActivationMethod::Nothing } else { ActivationMethod::Link };
    let secrets = Secrets { password: password.map(Some).into(), ..Secrets::default() };
    let stored = secrets.hashed(hasher, &Viewer::Anonymous).await?;
    let token = people::insert(db, (db.begin().await?, None), &new, stored, &[], welcome).await?;
    Ok((new, token))
}

/// Issues a new activation link, with which an existing active user sets a password, and returns its token.
///
/// # Errors
/// `BadInput` if no active user has the email address.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn new_link(db: &Db, email: &str) -> Result<String, Error> {
    let transaction = db.begin().await?;
    let by_address = user::Column::EmailKey.eq(text::canonical_login(email.trim()));
    let found = user::Entity::find().filter(by_address).lock_exclusive().one(&transaction).await?;
    let person = found.filter(|person| person.is_active);
    let person =
        person.ok_or_else(|| Error::BadInput(format!("there is no active user with the email address {email}")))?;
    let token = one_time_link::issue(&transaction, &person).await?;
    audit::commit(transaction, [Entry::new(AuditAction::LinkCreated, &person)]).await?;
    Ok(token)
}
