//! Creates and recovers administrators from the command line, before anyone can sign in.

use async_graphql::MaybeUndefined;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::access::{Viewer, active_superusers};
use crate::audit::{self, Entry};
use crate::auth::one_time_link;
use crate::auth::password::{Hasher, PasswordCandidate};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::user::{self, Role, UserFields, UserNames};
use crate::error::Error;
use crate::scalar::Id;
use crate::text;
use crate::user::create::{self, ActivationMethod, NewUser};
use crate::user::secrets::Secrets;
use crate::validation::Validator;

/// Returns whether there is an active superuser.
pub async fn has_superuser(db: &Db) -> Result<bool, Error> {
    Ok(user::Entity::find().filter(active_superusers()).one(db.read()).await?.is_some())
}

/// The rights of an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdministratorRights {
    /// Administers every license.
    Superuser,
    /// Administers the license that the administrator belongs to.
    License,
}

/// An administrator to be created.
pub struct NewAdministrator {
    pub license_id: Id,
    pub rights: AdministratorRights,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    /// The password; `None` to create a link with which the user sets it.
    pub password: Option<String>,
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
    administrator: NewAdministrator,
) -> Result<(user::Model, Option<String>), Error> {
    let NewAdministrator { license_id, rights, first_name, last_name, email, password } = administrator;
    let mut validator = Validator::creating();
    let role = match rights {
        AdministratorRights::Superuser => MaybeUndefined::Undefined,
        AdministratorRights::License => MaybeUndefined::Value(Role::LicenseAdmin),
    };
    let fields = UserFields { email: MaybeUndefined::Value(email), role, ..UserFields::default() };
    let names = UserNames::new(first_name, last_name);
    let mut new = user::Model::with_email(license_id, names, fields, &mut validator);
    if let Some(password) = &password {
        let candidate =
            PasswordCandidate { field: "password", password, known_words: &new.known_words(), on_behalf_of: None };
        hasher.check(&mut validator, candidate).await?;
    }
    validator.finish()?;
    new.is_superuser = rights == AdministratorRights::Superuser;
    new.has_activated = password.is_some();
    let activation = if password.is_some() { ActivationMethod::Nothing } else { ActivationMethod::Link };
    let secrets = Secrets { password: password.map(Some).into(), ..Secrets::default() };
    let hashed_secrets = secrets.hash(hasher, &Viewer::Anonymous).await?;
    let transaction = db.begin().await?;
    let token =
        create::insert(db, transaction, None, NewUser { row: &new, hashed_secrets, attributes: &[], activation })
            .await?;
    Ok((new, token))
}

/// Issues a new activation link, with which an existing active user sets a password, and returns its token.
///
/// # Errors
/// `BadInput` if no active user has the email address.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn new_link(db: &Db, email: &str) -> Result<String, Error> {
    let transaction = db.begin().await?;
    let has_email = user::Column::EmailKey.eq(text::canonical_login(email.trim()));
    let found = user::Entity::find().filter(has_email).lock_exclusive().one(&transaction).await?;
    let user = found
        .filter(|user| user.is_active)
        .ok_or_else(|| Error::BadInput(format!("there is no active user with the email address {email}")))?;
    let token = one_time_link::issue(&transaction, &user).await?;
    audit::commit(transaction, [Entry::new(AuditAction::LinkCreated, &user)]).await?;
    Ok(token)
}
