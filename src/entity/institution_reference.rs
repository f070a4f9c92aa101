//! The institutions by their external references. Triggers of the database keep the rows in step with the institutions.

use sea_orm::entity::prelude::*;

use super::external_reference::ReferenceTable;
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

impl ReferenceTable for Entity {
    const LICENSE_ID: Column = Column::LicenseId;
    const SOURCE: Column = Column::Source;
    const EXTERNAL_ID: Column = Column::ExternalId;
    const OBJECT_ID: Column = Column::InstitutionId;
}
