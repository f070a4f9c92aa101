//! Institutions: creates, updates and deletes them.

pub mod input;
pub mod mutation;
pub mod query;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, SqlErr};

use self::input::UpdateInstitutionInput;
use crate::access::{Action, Viewer, of_license};
use crate::actor::{self, Actor};
use crate::audit::{self, Entry, difference};
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::institution::{self, InstitutionCore, InstitutionFields};
use crate::entity::{external_reference, institution_reference, site_access, user, versioned};
use crate::error::{Error, ErrorCode};
use crate::graphql::payload::{UpdateOptions, Updated};
use crate::scalar::Id;
use crate::validation::Validator;

const TAKEN: &str = "This external ID is taken.";

/// Creates an institution in the viewer's license.
///
/// # Errors
/// `Rejected` with every error of the input; `Forbidden`.
pub async fn create(
    db: &Db,
    viewer: &Viewer,
    core: InstitutionCore,
    fields: InstitutionFields,
) -> Result<institution::Model, Error> {
    viewer.may(Action::CreateInstitution)?;
    let mut validator = Validator::creating();
    let blank = institution::Model::empty(Id::new(), viewer.signed_in()?.license_id);
    let mut new = blank.clone();
    new.apply(core, fields, &mut validator);
    if validator.has_errors() {
        collect_conflicts(db.read(), &new, &mut validator).await?;
    }
    validator.finish()?;
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    viewer.may(Action::CreateInstitution)?;
    rows::insert(&transaction, new.clone()).await.map_err(map_unique_violation)?;
    let event = Entry::new(AuditAction::InstitutionCreated, &new).by(&viewer).with(difference(&blank, &new));
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Updates an institution. An absent value stays unchanged; null clears it.
///
/// # Errors
/// `Rejected` with every error of the input; `Forbidden`.
pub async fn update(
    db: &Db,
    viewer: &Viewer,
    input: UpdateInstitutionInput,
) -> Result<Updated<institution::Model>, Error> {
    let UpdateInstitutionInput { id, expected_version, name, kind, country, fields, dry_run } = input;
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    let old = lock_to_change(&transaction, &viewer, &id).await?;
    let mut validator = Validator::changing();
    let mut new = old.clone();
    new.apply(InstitutionCore { name, kind, country }, fields, &mut validator);
    if validator.has_errors() || dry_run {
        collect_conflicts(&transaction, &new, &mut validator).await?;
    }
    validator.finish()?;
    let options = UpdateOptions { expected_version, dry_run };
    if let Some(unsaved) = Updated::without_saving(&old, &new, options) {
        return Ok(unsaved);
    }
    let event = Entry::new(AuditAction::InstitutionUpdated, &new).by(&viewer).with(difference(&old, &new));
    let new = versioned::save(&transaction, &old, new).await.map_err(map_unique_violation)?;
    audit::commit(transaction, [event]).await?;
    Ok(Updated::Saved(new))
}

/// Deletes an institution that no user belongs to, with every user's access to it.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for an unknown ID, and with `NOT_ALLOWED` while users belong to it; `Forbidden`.
pub async fn delete(db: &Db, viewer: &Viewer, id: &str) -> Result<institution::Model, Error> {
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    let old = lock_to_change(&transaction, &viewer, id).await?;
    // A mutation that moves a user to the institution locks its row, so that no user is added after the count.
    let users = user::Entity::find().filter(user::Column::InstitutionId.eq(old.id)).count(&transaction).await?;
    if users > 0 {
        let belong = if users == 1 { "1 user belongs".to_owned() } else { format!("{users} users belong") };
        let message =
            format!("{belong} to {}, including inactive users; move them to another institution first.", old.name);
        return Err(Error::rejected("id", ErrorCode::NotAllowed, message));
    }
    institution::Entity::delete_by_id(old.id).exec(&transaction).await?;
    let changes = difference(&old, &institution::Model::empty(old.id, old.license_id));
    audit::commit(transaction, [Entry::new(AuditAction::InstitutionDeleted, &old).by(&viewer).with(changes)]).await?;
    Ok(old)
}

/// Locks and reads the row of an institution that the viewer may change. Under the lock the access to it cannot change.
async fn lock_to_change(transaction: &Transaction, viewer: &Actor, id: &str) -> Result<institution::Model, Error> {
    let id = Id::of_input("id", id)?;
    let seen = institution::Entity::find_by_id(id).filter(viewer.visible_institutions());
    let found = seen.lock_exclusive().one(transaction).await?;
    let institution = found.ok_or_else(|| Error::not_found("id", "institution"))?;
    viewer.may_change_institution(site_access::is_granted(transaction, viewer.signed_in()?.user_id, id).await?)?;
    Ok(institution)
}

/// Turns a violated unique constraint into an error that names the field.
fn map_unique_violation(error: DbErr) -> Error {
    let is_reference = matches!(
        error.sql_err(),
        Some(SqlErr::UniqueConstraintViolation(constraint)) if constraint.contains("institution_references")
    );
    if is_reference {
        return Error::rejected(external_reference::FIELD, ErrorCode::Taken, external_reference::TAKEN);
    }
    Error::taken("externalId", TAKEN)(error)
}

/// Adds an error for each unique value that another institution has. Called only for a dry run, or to report them with other errors.
async fn collect_conflicts(
    db: &impl ConnectionTrait,
    new: &institution::Model,
    validator: &mut Validator,
) -> Result<(), Error> {
    if let Some(external_id) = &new.external_id {
        let others = institution::Entity::find()
            .filter(of_license(institution::Column::LicenseId, new.license_id))
            .filter(institution::Column::ExternalId.eq(external_id))
            .filter(institution::Column::Id.ne(new.id));
        if others.count(db).await? > 0 {
            validator.add_error("externalId", ErrorCode::Taken, TAKEN);
        }
    }
    let references = external_reference::list(new.external_references.as_ref());
    let taken =
        external_reference::taken::<institution_reference::Entity>(db, new.license_id, new.id, &references).await?;
    if !taken.is_empty() {
        validator.add_error(external_reference::FIELD, ErrorCode::Taken, external_reference::TAKEN);
    }
    Ok(())
}
