//! What can be done with institutions.

pub mod mutation;
pub mod query;

use sea_orm::{ActiveModelTrait, IntoActiveModel, SqlErr};

use crate::access::{Action, Viewer};
use crate::db::Db;
use crate::entity::institution::{self, InstitutionCore, InstitutionFields};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::scalar::Id;

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
    let mut new = institution::Model::blank(Id::new(), viewer.signed_in()?.license_id);
    new.lay_over(core, fields, &mut form);
    form.finish()?;
    match new.clone().into_active_model().reset_all().insert(db.write()).await {
        Ok(_) => Ok(new),
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            Err(Error::rejected("externalId", ErrorCode::Taken, "This external id is taken."))
        }
        Err(error) => Err(error.into()),
    }
}
