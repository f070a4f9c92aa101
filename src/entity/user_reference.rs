//! The users by their external references. Triggers of the database keep the rows in step with the users.

use sea_orm::DatabaseBackend;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Query, SelectStatement, SimpleExpr};

use super::external_reference::ReferenceTable;
use super::user;
use crate::db::conditions::any_of;
use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_references")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub license_id: Id,
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub external_id: String,
    pub user_id: Id,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ReferenceTable for Entity {
    const LICENSE_ID: Column = Column::LicenseId;
    const SOURCE: Column = Column::Source;
    const EXTERNAL_ID: Column = Column::ExternalId;
    const OBJECT_ID: Column = Column::UserId;
}

/// Returns the condition for the users of a license with one of several IDs in a source.
#[must_use]
pub fn with_one_of(backend: DatabaseBackend, license_id: Id, source: &str, ids: Vec<String>) -> SimpleExpr {
    let mut users = of_source(license_id, source);
    users.and_where(any_of(backend, Column::ExternalId, ids));
    user::Column::Id.in_subquery(users)
}

/// Returns the condition for the users of a license with any ID in a source.
#[must_use]
pub fn with_any(license_id: Id, source: &str) -> SimpleExpr {
    user::Column::Id.in_subquery(of_source(license_id, source))
}

fn of_source(license_id: Id, source: &str) -> SelectStatement {
    let mut users = Query::select();
    users.column(Column::UserId).from(Entity);
    users.and_where(Column::LicenseId.eq(license_id)).and_where(Column::Source.eq(source));
    users
}
