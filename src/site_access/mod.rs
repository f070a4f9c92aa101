//! Access of users to the data of institutions.

pub mod input;
pub mod mutation;

use sea_orm::EntityTrait;
use serde_json::Value;

use self::input::SiteAccessInput;
use crate::access::Viewer;
use crate::actor::{self, Actor, LockedPair, ObjectKey};
use crate::audit::{self, Change, Entry};
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::{institution, site_access, user};
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// Grants a user access to the data of an institution. May be repeated.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for unknown IDs; `Forbidden`.
pub async fn grant(db: &Db, viewer: &Viewer, input: &SiteAccessInput) -> Result<user::Model, Error> {
    let SiteGrant { transaction, actor, user, institution_id, is_granted } = begin(db, viewer, input).await?;
    if is_granted {
        return Ok(user);
    }
    let new = site_access::Model { user_id: user.id, institution_id, granted_at: now() };
    rows::insert(&transaction, new).await?;
    let change = Change::of("sites", None, Some(value(institution_id)));
    let event = Entry::new(AuditAction::SiteAccessGranted, &user).by(&actor).with([change]);
    audit::commit(transaction, [event]).await?;
    Ok(user)
}

/// Revokes a user's access to the data of an institution. May be repeated.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for unknown IDs; `Forbidden`.
pub async fn revoke(db: &Db, viewer: &Viewer, input: &SiteAccessInput) -> Result<user::Model, Error> {
    let SiteGrant { transaction, actor, user, institution_id, is_granted } = begin(db, viewer, input).await?;
    if !is_granted {
        return Ok(user);
    }
    site_access::Entity::delete_by_id((user.id, institution_id)).exec(&transaction).await?;
    let change = Change::of("sites", Some(value(institution_id)), None);
    let event = Entry::new(AuditAction::SiteAccessRevoked, &user).by(&actor).with([change]);
    audit::commit(transaction, [event]).await?;
    Ok(user)
}

/// A change of a user's access to an institution in progress. Both rows are locked.
struct SiteGrant {
    transaction: Transaction,
    actor: Actor,
    user: user::Model,
    institution_id: Id,
    /// Whether the user has been granted access.
    is_granted: bool,
}

async fn begin(db: &Db, viewer: &Viewer, input: &SiteAccessInput) -> Result<SiteGrant, Error> {
    let mut validator = Validator::changing();
    let user_id = validator.id("userId", &input.user_id);
    let institution_id = validator.id("institutionId", &input.institution_id);
    validator.finish()?;
    let site = ObjectKey { field: "institutionId", noun: "institution", id: institution_id };
    let LockedPair { transaction, actor, user, .. } =
        actor::begin_on_pair::<institution::Model>(db, viewer, user_id, site, Viewer::visible_institutions).await?;
    let own = site_access::is_granted(&transaction, actor.signed_in()?.user_id, institution_id).await?;
    actor.may_change_sites(&user, own)?;
    let is_granted = site_access::is_granted(&transaction, user.id, institution_id).await?;
    Ok(SiteGrant { transaction, actor, user, institution_id, is_granted })
}

fn value(id: Id) -> Value {
    id.0.to_string().into()
}
