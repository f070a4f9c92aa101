//! The condition on the external references of users.

use async_graphql::MaybeUndefined;
use sea_orm::DatabaseBackend;
use sea_orm::sea_query::Condition;

use super::{FilterCompiler, PartCondition};
use crate::entity::{user, user_reference};
use crate::error::Error;
use crate::user::filter::ExternalReferenceFilter;

impl FilterCompiler<'_> {
    pub(super) fn reference(
        &mut self,
        path: &str,
        filter: MaybeUndefined<ExternalReferenceFilter>,
    ) -> Result<PartCondition, Error> {
        let filter = self.builder.non_null(path, "externalReference", filter);
        let Some(ExternalReferenceFilter { source, id }) = filter else { return Ok(Condition::all().into()) };
        self.viewer.may_filter(user::Column::ExternalReferences)?;
        self.builder.count();
        let path = format!("{path}.externalReference");
        let id = self.builder.non_null(&path, "id", id);
        self.builder.check_length(&format!("{path}.source"), &source);
        self.builder.check_length(&format!("{path}.id"), id.as_deref().unwrap_or_default());
        let license_id = self.viewer.signed_in()?.license_id;
        let backend = if self.postgres { DatabaseBackend::Postgres } else { DatabaseBackend::Sqlite };
        let is_selective = id.is_some();
        let found = match id {
            Some(id) => user_reference::with_one_of(backend, license_id, source.trim(), vec![id.trim().to_owned()]),
            None => user_reference::with_any(license_id, source.trim()),
        };
        Ok(PartCondition { condition: Condition::all().add(found), is_selective })
    }
}
