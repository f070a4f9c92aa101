//! Access of users to the data of institutions.

pub mod input;
pub mod mutation;

use sea_orm::{ActiveModelTrait, DatabaseTransaction, EntityTrait, IntoActiveModel};
use serde_json::Value;

use self::input::SiteAccessInput;
use crate::access::Viewer;
use crate::actor::{self, Actor, Both};
use crate::audit::{self, Change, Entry};
use crate::db::Db;
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
    let SiteGrant { transaction, actor, person, institution_id, is_granted } = begin(db, viewer, input).await?;
    if is_granted {
        return Ok(person);
    }
    let new = site_access::Model { user_id: person.id, institution_id, granted_at: now() };
    new.into_active_model().reset_all().insert(&transaction).await?;
    let change = Change::of("sites", None, Some(value(institution_id)));
    let event = Entry::new(AuditAction::SiteAccessGranted, &person).by(&actor).with([change]);
    audit::commit(transaction, [event]).await?;
    Ok(person)
}

/// Revokes a user's access to the data of an institution. May be repeated.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for unknown IDs; `Forbidden`.
pub async fn revoke(db: &Db, viewer: &Viewer, input: &SiteAccessInput) -> Result<user::Model, Error> {
    let SiteGrant { transaction, actor, person, institution_id, is_granted } = begin(db, viewer, input).await?;
    if !is_granted {
        return Ok(person);
    }
    site_access::Entity::delete_by_id((person.id, institution_id)).exec(&transaction).await?;
    let change = Change::of("sites", Some(value(institution_id)), None);
    let event = Entry::new(AuditAction::SiteAccessRevoked, &person).by(&actor).with([change]);
    audit::commit(transaction, [event]).await?;
    Ok(person)
}

/// A change of a user's access to an institution in progress. Both rows are locked.
struct SiteGrant {
    transaction: DatabaseTransaction,
    actor: Actor,
    person: user::Model,
    institution_id: Id,
    /// Whether the user has been granted access.
    is_granted: bool,
}

async fn begin(db: &Db, viewer: &Viewer, input: &SiteAccessInput) -> Result<SiteGrant, Error> {
    let mut form = Validator::changing();
    let ids = (form.id("userId", &input.user_id), form.id("institutionId", &input.institution_id));
    form.finish()?;
    let (Some(user_id), Some(institution_id)) = ids else {
        return Err(Error::internal("an invalid ID passed validation"));
    };
    let site = ("institutionId", "institution", institution_id);
    let both: Both<institution::Model> =
        actor::begin_on_both(db, viewer, user_id, site, Viewer::visible_institutions).await?;
    let Both { transaction, actor, user: person, .. } = both;
    let own = site_access::is_granted(&transaction, actor.signed_in()?.user_id, institution_id).await?;
    actor.may_change_sites(&person, own)?;
    let is_granted = site_access::is_granted(&transaction, person.id, institution_id).await?;
    Ok(SiteGrant { transaction, actor, person, institution_id, is_granted })
}

fn value(id: Id) -> Value {
    id.0.to_string().into()
}
