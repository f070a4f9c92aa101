//! Site access: the institutions whose data a user was granted access to. Users with access to every site of the license need no
//! rows.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Condition, Query};
use sea_orm::{DatabaseBackend, QuerySelect, QueryTrait};

use super::{institution, user};
use crate::db::conditions::one_of;
use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "site_access")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Id,
    #[sea_orm(primary_key, auto_increment = false)]
    pub institution_id: Id,
    pub granted_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::institution::Entity",
        from = "Column::InstitutionId",
        to = "super::institution::Column::Id"
    )]
    Institution,
}

impl ActiveModelBehavior for ActiveModel {}

/// Returns whether a user was granted access to an institution.
pub async fn is_granted(db: &impl ConnectionTrait, user_id: Id, institution_id: Id) -> Result<bool, DbErr> {
    Ok(Entity::find_by_id((user_id, institution_id)).one(db).await?.is_some())
}

/// Returns whether a user was granted access to an institution that the user `than` was not granted access to.
pub async fn holds_more(db: &impl ConnectionTrait, user_id: Id, than: Id) -> Result<bool, DbErr> {
    let others = Entity::find().select_only().column(Column::InstitutionId).filter(Column::UserId.eq(than));
    let more = Entity::find()
        .filter(Column::UserId.eq(user_id))
        .filter(Column::InstitutionId.not_in_subquery(others.into_query()));
    Ok(more.one(db).await?.is_some())
}

/// Returns the condition that a user may access the data of at least one of some institutions: either it was granted, or the user
/// has access to every site of the license that an institution belongs to. The condition is for rows of `users`, without a join.
#[must_use]
pub fn accesses_one_of(backend: DatabaseBackend, institutions: &[Id]) -> Condition {
    let granted = Entity::find().select_only().column(Column::UserId);
    let granted = granted.filter(one_of(backend, Column::InstitutionId, institutions.iter().copied()));
    let licenses = institution::Entity::find().select_only().column(institution::Column::LicenseId);
    let licenses = licenses.filter(one_of(backend, institution::Column::Id, institutions.iter().copied()));
    let everywhere = Condition::all()
        .add(user::Column::FullSiteAccess.eq(true))
        .add(user::Column::LicenseId.in_subquery(licenses.into_query()));
    Condition::any().add(user::Column::Id.in_subquery(granted.into_query())).add(everywhere)
}

/// Returns the condition that a user may access the data of any institution, of the same form as [`accesses_one_of`].
#[must_use]
pub fn accesses_any() -> Condition {
    let mut granted = Query::select();
    granted.column(Column::UserId).from(Entity);
    let mut licenses = Query::select();
    licenses.column(institution::Column::LicenseId).from(institution::Entity);
    let everywhere =
        Condition::all().add(user::Column::FullSiteAccess.eq(true)).add(user::Column::LicenseId.in_subquery(licenses));
    Condition::any().add(user::Column::Id.in_subquery(granted)).add(everywhere)
}
