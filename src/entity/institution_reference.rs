//! The institutions by their external references. Triggers of the database keep the rows in step with the institutions.

use sea_orm::entity::prelude::*;

use super::{external_reference, institution};
use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "institution_references")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub license_id: Id,
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub external_id: String,
    pub institution_id: Id,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Returns whether another institution has one of the references.
pub async fn is_taken(db: &impl ConnectionTrait, new: &institution::Model) -> Result<bool, DbErr> {
    for reference in external_reference::list(new.external_references.as_ref()) {
        let found = Entity::find_by_id((new.license_id, reference.source, reference.id)).one(db).await?;
        if found.is_some_and(|found| found.institution_id != new.id) {
            return Ok(true);
        }
    }
    Ok(false)
}
