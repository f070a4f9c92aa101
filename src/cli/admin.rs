//! The first administrator, who comes from the command line.

use async_graphql::MaybeUndefined;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::access::Viewer;
use crate::access::active_superusers;
use crate::audit::{self, Entry};
use crate::auth::one_time_link;
use crate::auth::password::Hasher;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::user;
use crate::entity::user::{Role, UserFields};
use crate::error::Error;
use crate::scalar::Id;
use crate::text;
use crate::user::secrets::Secrets;
use crate::user::{self as people, ActivationMethod};
use crate::validation::Validator;

/// Whether there is anybody who may do everything.
pub async fn has_superuser(db: &Db) -> Result<bool, Error> {
    Ok(user::Entity::find().filter(active_superusers()).one(db.read()).await?.is_some())
}

/// What an administrator administers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Administers {
    /// Everything, in every license.
    Everything,
    /// The license that he belongs to.
    License,
}

/// Enters an administrator, before there is anybody who could. Without a password the person sets it by a link, of which
/// the token is returned.
///
/// # Errors
/// `Rejected` with every fault of what was given.
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

/// A new link for a person who is there already, by which the password is set; the token of it.
///
/// # Errors
/// `BadInput` where nobody active has the address.
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
