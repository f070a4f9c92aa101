//! API keys: tokens by which programs act for the user who created them.

pub mod input;
pub mod mutation;
pub mod query;

use async_graphql::MaybeUndefined;
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::sea_query::LockType;
use sea_orm::{EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::access::{Action, SignedIn, Viewer, of_license};
use crate::actor;
use crate::audit::{self, Entry, difference};
use crate::auth::token::{self, TokenKind};
use crate::db::{Db, rows};
use crate::entity::api_key::{self, MAX_KEYS_OF_A_LICENSE};
use crate::entity::audit_event::AuditAction;
use crate::entity::license;
use crate::entity::trusted_document::{MAX_SET_NAME, is_set_name};
use crate::entity::user::Role;
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, Instant, now};
use crate::validation::{ValidationError, Validator, rule};
use input::CreateApiKeyInput;

/// The number of stored characters of the secret, which tell keys apart: the prefix, and 30 of 256 random bits.
const PREFIX_LENGTH: usize = 9;

/// An API key that was created.
pub struct NewApiKey {
    pub key: api_key::Model,
    /// The bearer token, which is shown only once.
    pub secret: String,
}

/// Creates an API key for the viewer.
///
/// # Errors
/// `Rejected` with every error of the input, and with `NOT_ALLOWED` for one key too many; `Forbidden` for a role above
/// the viewer's own rank.
pub async fn create(db: &Db, viewer: &Viewer, input: CreateApiKeyInput) -> Result<NewApiKey, Error> {
    viewer.may_create_api_key(input.role)?;
    let signed_in = viewer.signed_in()?;
    let secret = token::new(TokenKind::ApiKey)?;
    let empty = empty(signed_in, input.role, &secret);
    let mut new = empty.clone();
    let mut validator = Validator::creating();
    validator.required("name", MaybeUndefined::Value(input.name), &mut new.name, rule::text(100));
    new.expires_at = input.expires_at.map(|Instant(instant)| instant.trunc_subsecs(6));
    if new.expires_at.is_some_and(|instant| !is_valid_expiry(instant)) {
        validator.add_error("expiresAt", ErrorCode::Invalid, "Must be in the future and before the year 10000.");
    }
    let document_set = input.document_set.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
    validator.text("documentSet", document_set, &mut new.document_set, set_name);
    validator.finish()?;

    let (transaction, viewer, _) = actor::begin_on_oneself(db, viewer).await?;
    viewer.may_create_api_key(new.role)?;
    // The license's row is the lock under which keys are counted.
    license::Entity::find_by_id(new.license_id).lock(LockType::NoKeyUpdate).one(&transaction).await?;
    let of_license = of_license(api_key::Column::LicenseId, new.license_id);
    if api_key::Entity::find().filter(of_license).count(&transaction).await? >= MAX_KEYS_OF_A_LICENSE {
        let message = format!("A license can have at most {MAX_KEYS_OF_A_LICENSE} API keys; revoke one first.");
        return Err(Error::rejected("name", ErrorCode::NotAllowed, message));
    }
    rows::insert(&transaction, new.clone()).await?;
    let event = Entry::new(AuditAction::ApiKeyCreated, &new).by(&viewer).with(difference(&empty, &new));
    let event = event.with([audit::Change::of("role", None, audit::recorded(&new, api_key::Column::Role))]);
    audit::commit(transaction, [event]).await?;
    Ok(NewApiKey { key: new, secret })
}

/// Returns a new API key of a viewer without what the input gives.
fn empty(viewer: &SignedIn, role: Role, secret: &str) -> api_key::Model {
    api_key::Model {
        id: Id::new(),
        user_id: viewer.user_id,
        license_id: viewer.license_id,
        name: String::new(),
        role,
        prefix: secret.chars().take(PREFIX_LENGTH).collect(),
        token_hash: token::hash(secret),
        created_at: now(),
        last_used_at: None,
        expires_at: None,
        document_set: None,
    }
}

/// Revokes an API key, and returns it as it was.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` if there is no such key that the viewer may revoke; `Forbidden`.
pub async fn revoke(db: &Db, viewer: &Viewer, id: &str) -> Result<api_key::Model, Error> {
    let id = Id::of_input("id", id)?;
    let not_found = || Error::not_found("id", "API key");
    let visible_key = |viewer: &Viewer| api_key::Entity::find_by_id(id).filter(viewer.visible_api_keys());
    let found = visible_key(viewer).one(db.read()).await?.ok_or_else(not_found)?;
    let (transaction, viewer, _) = actor::begin_on(db, viewer, found.user_id).await?;
    viewer.may(Action::UseApiKeys)?;
    let key = visible_key(&viewer).one(&transaction).await?.ok_or_else(not_found)?;
    api_key::Entity::delete_by_id(id).exec(&transaction).await?;
    audit::commit(transaction, [Entry::new(AuditAction::ApiKeyRevoked, &key).by(&viewer)]).await?;
    Ok(key)
}

/// Returns the API keys of a license that the viewer can see, oldest first; none if the viewer cannot see the license.
/// Defaults to the viewer's license.
///
/// # Errors
/// `Forbidden`.
pub async fn list(db: &Db, viewer: &Viewer, license_id: Option<Id>) -> Result<Vec<api_key::Model>, Error> {
    let license_id = license_id.unwrap_or(viewer.signed_in()?.license_id);
    viewer.may(Action::UseApiKeys)?;
    let keys = api_key::Entity::find()
        .filter(of_license(api_key::Column::LicenseId, license_id))
        .filter(viewer.visible_api_keys())
        .order_by_asc(api_key::Column::CreatedAt)
        .order_by_asc(api_key::Column::Id)
        .limit(MAX_KEYS_OF_A_LICENSE);
    Ok(keys.all(db.read()).await?)
}

fn set_name(text: &str) -> Result<String, ValidationError> {
    if is_set_name(text) {
        return Ok(text.to_owned());
    }
    Err(ValidationError::invalid(format!("Must have at most {MAX_SET_NAME} letters, digits, `.`, `_` or `-`.")))
}

fn is_valid_expiry(instant: DateTime<Utc>) -> bool {
    use chrono::Datelike;
    instant > now() && instant.year() < 10_000
}
