//! Loaders of nodes by ID.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter};

use super::Loaders;
use crate::access::Action;
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::{api_key, attribute_definition, audit_event, group, institution, license, session, user};
use crate::error::Error;
use crate::scalar::Id;

/// A user by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserById(pub Id);

/// A group by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupById(pub Id);

/// An institution by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstitutionById(pub Id);

/// A license by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LicenseById(pub Id);

/// A session by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionById(pub Id);

/// An API key by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyById(pub Id);

/// An audit event by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AuditEventById(pub Id);

/// The definition of a custom attribute by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeDefinitionById(pub Id);

impl Loader<UserById> for Loaders {
    type Value = user::Model;
    type Error = Error;

    async fn load(&self, keys: &[UserById]) -> Result<HashMap<UserById, user::Model>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let rows =
            self.by_id::<user::Entity>(user::Column::Id, ids, self.current_viewer.viewer().visible_users()).await?;
        Ok(rows.into_iter().map(|row| (UserById(row.id), row)).collect())
    }
}

impl Loader<GroupById> for Loaders {
    type Value = group::Model;
    type Error = Error;

    async fn load(&self, keys: &[GroupById]) -> Result<HashMap<GroupById, group::Model>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let rows =
            self.by_id::<group::Entity>(group::Column::Id, ids, self.current_viewer.viewer().visible_groups()).await?;
        Ok(rows.into_iter().map(|row| (GroupById(row.id), row)).collect())
    }
}

impl Loader<InstitutionById> for Loaders {
    type Value = Arc<institution::Model>;
    type Error = Error;

    async fn load(&self, keys: &[InstitutionById]) -> Result<HashMap<InstitutionById, Arc<institution::Model>>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let rows = self
            .by_id::<institution::Entity>(
                institution::Column::Id,
                ids,
                self.current_viewer.viewer().visible_institutions(),
            )
            .await?;
        Ok(rows.into_iter().map(|row| (InstitutionById(row.id), Arc::new(row))).collect())
    }
}

impl Loader<LicenseById> for Loaders {
    type Value = license::Model;
    type Error = Error;

    async fn load(&self, keys: &[LicenseById]) -> Result<HashMap<LicenseById, license::Model>, Error> {
        let db = self.db.read();
        let of_ids = one_of(db.get_database_backend(), license::Column::Id, keys.iter().map(|key| key.0));
        let visible = no_index_hint(self.current_viewer.viewer().visible_licenses());
        let rows = license::Entity::find().filter(of_ids).filter(visible).all(db).await?;
        Ok(rows.into_iter().map(|row| (LicenseById(row.id), row)).collect())
    }
}

impl Loader<SessionById> for Loaders {
    type Value = session::Model;
    type Error = Error;

    async fn load(&self, keys: &[SessionById]) -> Result<HashMap<SessionById, session::Model>, Error> {
        let db = self.db.read_primary();
        let of_ids = one_of(db.get_database_backend(), session::Column::Id, keys.iter().map(|key| key.0));
        let rows = self.sessions(of_ids).all(db).await?;
        Ok(rows.into_iter().map(|row| (SessionById(row.id), row)).collect())
    }
}

impl Loader<ApiKeyById> for Loaders {
    type Value = api_key::Model;
    type Error = Error;

    async fn load(&self, keys: &[ApiKeyById]) -> Result<HashMap<ApiKeyById, api_key::Model>, Error> {
        let viewer = self.current_viewer.viewer();
        // No statement is run for a viewer who may see no API keys.
        if viewer.may(Action::UseApiKeys).is_err() {
            return Ok(HashMap::new());
        }
        let db = self.db.read_primary();
        let of_ids = one_of(db.get_database_backend(), api_key::Column::Id, keys.iter().map(|key| key.0));
        let visible = no_index_hint(viewer.visible_api_keys());
        let rows = api_key::Entity::find().filter(of_ids).filter(visible).all(db).await?;
        Ok(rows.into_iter().map(|row| (ApiKeyById(row.id), row)).collect())
    }
}

impl Loader<AuditEventById> for Loaders {
    type Value = audit_event::Model;
    type Error = Error;

    async fn load(&self, keys: &[AuditEventById]) -> Result<HashMap<AuditEventById, audit_event::Model>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let visible = self.current_viewer.viewer().visible_audit_events();
        let rows = self.by_id::<audit_event::Entity>(audit_event::Column::Id, ids, visible).await?;
        Ok(rows.into_iter().map(|row| (AuditEventById(row.id), row)).collect())
    }
}

impl Loader<AttributeDefinitionById> for Loaders {
    type Value = attribute_definition::Model;
    type Error = Error;

    async fn load(
        &self,
        keys: &[AttributeDefinitionById],
    ) -> Result<HashMap<AttributeDefinitionById, attribute_definition::Model>, Error> {
        let db = self.db.read();
        let ids = keys.iter().map(|key| key.0);
        let of_ids = one_of(db.get_database_backend(), attribute_definition::Column::Id, ids);
        let visible = no_index_hint(self.current_viewer.viewer().visible_attribute_definitions());
        let rows = attribute_definition::Entity::find().filter(of_ids).filter(visible).all(db).await?;
        Ok(rows.into_iter().map(|row| (AttributeDefinitionById(row.id), row)).collect())
    }
}
