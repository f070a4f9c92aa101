//! The conditions on the IDs of users and of what they belong to.

use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, DatabaseBackend};

use super::{FilterCompiler, PartCondition, is_not_true};
use crate::entity::membership;
use crate::entity::site_access::{accesses_any, accesses_one_of};
use crate::entity::user;
use crate::error::Error;
use crate::graphql::filter::IdFilter;
use crate::scalar::Id;
use crate::user::filter::UserFilter;

impl FilterCompiler<'_> {
    pub(super) fn ids(&mut self, path: &str, filter: &mut UserFilter) -> Result<PartCondition, Error> {
        let filters = [
            ("id", &mut filter.id),
            ("institution", &mut filter.institution),
            ("group", &mut filter.group),
            ("site", &mut filter.site),
        ];
        let [id, institution, group, site] =
            filters.map(|(name, given)| self.builder.non_null(path, name, std::mem::take(given)));
        let has_ids = |filter: &&IdFilter| filter.eq.is_value() || filter.one_of.is_value();
        let is_selective = [&id, &institution, &group].into_iter().flatten().any(|filter| has_ids(&filter));
        let mut condition = Condition::all();
        for (name, column, filter) in
            [("id", user::Column::Id, id), ("institution", user::Column::InstitutionId, institution)]
        {
            let Some(filter) = filter else { continue };
            self.viewer.may_filter(column)?;
            let path = format!("{path}.{name}");
            condition = condition.add(self.builder.id(&path, filter, |ids| column.is_in(ids), || column.is_null()));
        }
        if let Some(filter) = group {
            condition = condition.add(self.builder.id(&format!("{path}.group"), filter, in_groups, in_no_group));
        }
        if let Some(filter) = site {
            self.viewer.may_filter(user::Column::FullSiteAccess)?;
            let backend = if self.postgres { DatabaseBackend::Postgres } else { DatabaseBackend::Sqlite };
            let accesses = |sites: Vec<Id>| accesses_one_of(backend, &sites).into();
            let accesses_none = || is_not_true(accesses_any());
            condition = condition.add(self.builder.id(&format!("{path}.site"), filter, accesses, accesses_none));
        }
        Ok(PartCondition { condition, is_selective })
    }
}

fn in_groups(groups: Vec<Id>) -> SimpleExpr {
    let mut members = Query::select();
    members.column(membership::Column::UserId).from(membership::Entity);
    members.and_where(membership::Column::GroupId.is_in(groups));
    user::Column::Id.in_subquery(members)
}

fn in_no_group() -> SimpleExpr {
    let mut member = Query::select();
    member.expr(Expr::val(1)).from(membership::Entity);
    let user = Expr::col(user::Column::Id.as_column_ref());
    member.and_where(Expr::col(membership::Column::UserId.as_column_ref()).eq(user));
    Expr::exists(member).not()
}
