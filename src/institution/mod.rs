//! What can be done with institutions.

pub mod mutation;
pub mod query;

use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, SqlErr};

use crate::access::{Action, Viewer, of_license};
use crate::audit::{self, Entry, difference};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::institution::{self, InstitutionCore, InstitutionFields};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::scalar::Id;

const TAKEN: &str = "This external id is taken.";

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
    let mut form = Form::creating();
    let blank = institution::Model::blank(Id::new(), viewer.signed_in()?.license_id);
    let mut new = blank.clone();
    new.lay_over(core, fields, &mut form);
    if form.has_faults() && is_taken(db, &new).await? {
        form.fault("externalId", ErrorCode::Taken, TAKEN);
    }
    form.finish()?;
    let transaction = db.begin().await?;
    match new.clone().into_active_model().reset_all().insert(&transaction).await {
        Ok(_) => {
            let event = Entry::new(AuditAction::InstitutionCreated, &new).by(viewer).with(difference(&blank, &new));
            audit::commit(transaction, [event]).await?;
            Ok(new)
        }
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            Err(Error::rejected("externalId", ErrorCode::Taken, TAKEN))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the constraint would find the external id taken; asked only where there are other faults to be told with it.
async fn is_taken(db: &Db, new: &institution::Model) -> Result<bool, Error> {
    let Some(external_id) = &new.external_id else { return Ok(false) };
    let others = institution::Entity::find()
        .filter(of_license(institution::Column::LicenseId, new.license_id))
        .filter(institution::Column::ExternalId.eq(external_id));
    Ok(others.count(db.read()).await? > 0)
}
