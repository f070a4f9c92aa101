//! What can be done with institutions.

pub mod input;
pub mod mutation;
pub mod query;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QuerySelect, SqlErr,
};

use self::input::UpdateInstitutionInput;
use crate::access::{Action, Viewer, of_license};
use crate::actor::{self, Actor};
use crate::audit::{self, Entry, difference};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::institution::{self, InstitutionCore, InstitutionFields};
use crate::entity::{site_access, user};
use crate::error::{Error, ErrorCode};
use crate::graphql::payload::Updated;
use crate::scalar::{Id, now};
use crate::validation::Validator;

const TAKEN: &str = "This external ID is taken.";

/// Enters an institution into the viewer's license.
///
/// # Errors
/// `Rejected` with every fault of the input; `Forbidden`.
pub async fn create(
    db: &Db,
    viewer: &Viewer,
    core: InstitutionCore,
    fields: InstitutionFields,
) -> Result<institution::Model, Error> {
    viewer.may(Action::CreateInstitution)?;
    let mut form = Validator::creating();
    let blank = institution::Model::empty(Id::new(), viewer.signed_in()?.license_id);
    let mut new = blank.clone();
    new.apply(core, fields, &mut form);
    if form.has_faults() && is_taken(db.read(), &new).await? {
        form.fault("externalId", ErrorCode::Taken, TAKEN);
    }
    form.finish()?;
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    viewer.may(Action::CreateInstitution)?;
    new.clone().into_active_model().reset_all().insert(&transaction).await.map_err(map_unique_violation)?;
    let event = Entry::new(AuditAction::InstitutionCreated, &new).by(&viewer).with(difference(&blank, &new));
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Changes an institution: what is absent stays, null clears.
///
/// # Errors
/// `Rejected` with every fault of the input; `Forbidden`.
pub async fn update(
    db: &Db,
    viewer: &Viewer,
    input: UpdateInstitutionInput,
) -> Result<Updated<institution::Model>, Error> {
    let UpdateInstitutionInput { id, expected_version, name, kind, country, fields, dry_run } = input;
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    let old = lock_to_change(&transaction, &viewer, &id).await?;
    let mut form = Validator::changing();
    let mut new = old.clone();
    new.apply(InstitutionCore { name, kind, country }, fields, &mut form);
    if (form.has_faults() || dry_run) && is_taken(&transaction, &new).await? {
        form.fault("externalId", ErrorCode::Taken, TAKEN);
    }
    form.finish()?;
    if expected_version.is_some_and(|version| version != old.version) {
        return Ok(Updated::Conflict(old));
    }
    if dry_run {
        return Ok(Updated::DryRun(old));
    }
    if new == old {
        return Ok(Updated::Saved(old));
    }
    let event = Entry::new(AuditAction::InstitutionUpdated, &new).by(&viewer).with(difference(&old, &new));
    new.modified_at = now();
    new.version = old.version + 1;
    new.clone().into_active_model().reset_all().update(&transaction).await.map_err(map_unique_violation)?;
    audit::commit(transaction, [event]).await?;
    Ok(Updated::Saved(new))
}

/// Deletes an institution that nobody belongs to, with everybody's access to it.
///
/// # Errors
/// `Rejected` for an id that names nothing, and while people belong to it; `Forbidden`.
pub async fn delete(db: &Db, viewer: &Viewer, id: &str) -> Result<institution::Model, Error> {
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    let old = lock_to_change(&transaction, &viewer, id).await?;
    // Whoever puts somebody into it holds its row, so that nobody comes in after they are counted.
    let people = user::Entity::find().filter(user::Column::InstitutionId.eq(old.id)).count(&transaction).await?;
    if people > 0 {
        let belong = if people == 1 { "1 user belongs".to_owned() } else { format!("{people} users belong") };
        let message =
            format!("{belong} to {}, including inactive users; move them to another institution first.", old.name);
        return Err(Error::rejected("id", ErrorCode::NotAllowed, message));
    }
    institution::Entity::delete_by_id(old.id).exec(&transaction).await?;
    let changes = difference(&old, &institution::Model::empty(old.id, old.license_id));
    audit::commit(transaction, [Entry::new(AuditAction::InstitutionDeleted, &old).by(&viewer).with(changes)]).await?;
    Ok(old)
}

/// Locks and reads the row of an institution that the viewer may change. Under the lock nobody changes who has access to it.
async fn lock_to_change(
    transaction: &DatabaseTransaction,
    viewer: &Actor,
    id: &str,
) -> Result<institution::Model, Error> {
    let id = Id::of_input("id", id)?;
    let seen = institution::Entity::find_by_id(id).filter(viewer.visible_institutions());
    let found = seen.lock_exclusive().one(transaction).await?;
    let institution = found.ok_or_else(|| Error::not_found("id", "institution"))?;
    viewer.may_change_institution(site_access::is_granted(transaction, viewer.signed_in()?.user_id, id).await?)?;
    Ok(institution)
}

/// Says which value broke the unique constraint: there is one.
fn map_unique_violation(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Error::rejected("externalId", ErrorCode::Taken, TAKEN),
        _ => error.into(),
    }
}

/// Whether the constraint would find the external id taken; asked only where there are other faults to be told with it.
async fn is_taken(db: &impl ConnectionTrait, new: &institution::Model) -> Result<bool, Error> {
    let Some(external_id) = &new.external_id else { return Ok(false) };
    let others = institution::Entity::find()
        .filter(of_license(institution::Column::LicenseId, new.license_id))
        .filter(institution::Column::ExternalId.eq(external_id))
        .filter(institution::Column::Id.ne(new.id));
    Ok(others.count(db).await? > 0)
}
