//! The conditions on the dates, booleans and enums of users.

use async_graphql::MaybeUndefined;
use sea_orm::sea_query::Condition;

use super::{FilterCompiler, PartCondition, path_of};
use crate::entity::user::{self, AdminRightsFilter, Role};
use crate::error::Error;
use crate::user::filter::UserFilter;

impl FilterCompiler<'_> {
    pub(super) fn times(&mut self, path: &str, filter: &mut UserFilter) -> Result<PartCondition, Error> {
        let instants = [
            (user::Column::DateJoined, &mut filter.date_joined),
            (user::Column::ModifiedAt, &mut filter.modified_at),
            (user::Column::LastLogin, &mut filter.last_login),
        ];
        let mut condition = Condition::all();
        for (column, given) in instants {
            let Some(given) = self.non_null(path, column, std::mem::take(given))? else { continue };
            condition = condition.add(self.builder.instant(&path_of(path, column), given, column));
        }
        let column = user::Column::BirthDate;
        if let Some(given) = self.non_null(path, column, std::mem::take(&mut filter.birth_date))? {
            condition = condition.add(self.builder.date(&path_of(path, column), given, column));
        }
        Ok(condition.into())
    }

    pub(super) fn flags(&mut self, path: &str, filter: &UserFilter) -> Result<PartCondition, Error> {
        let flags = [
            (user::Column::IsActive, filter.is_active),
            (user::Column::IsStaff, filter.is_staff),
            (user::Column::HasActivated, filter.has_activated),
        ];
        let mut condition = Condition::all();
        for (column, given) in flags {
            let given = self.non_null(path, column, given)?;
            condition = condition.add_option(self.builder.boolean(given, column));
        }
        Ok(condition.into())
    }

    pub(super) fn admin_rights(
        &mut self,
        path: &str,
        filter: MaybeUndefined<AdminRightsFilter>,
    ) -> Result<PartCondition, Error> {
        let mut condition = Condition::all();
        let Some(filter) = self.builder.non_null(path, "adminRights", filter) else { return Ok(condition.into()) };
        for (column, given) in filter.columns() {
            self.viewer.may_filter(column)?;
            let given = self.builder.non_null(path, &column.field(), given);
            condition = condition.add_option(self.builder.boolean(given, column));
        }
        Ok(condition.into())
    }

    pub(super) fn choices(&mut self, path: &str, filter: UserFilter) -> Result<PartCondition, Error> {
        let roles = self.non_null(path, user::Column::Role, filter.role)?;
        let roles = roles.map(|roles| roles.into_iter().map(Role::place).collect());
        let user_types = self.non_null(path, user::Column::UserType, filter.user_type)?;
        let genders = self.non_null(path, user::Column::Gender, filter.gender)?;
        let chosen = [
            self.builder.one_of(&path_of(path, user::Column::Role), roles, user::Column::RoleKey),
            self.builder.one_of(&path_of(path, user::Column::UserType), user_types, user::Column::UserType),
            self.builder.one_of(&path_of(path, user::Column::Gender), genders, user::Column::Gender),
        ];
        Ok(chosen.into_iter().fold(Condition::all(), Condition::add_option).into())
    }
}
