//! Groups of users, such as a ward, a laboratory or a project.

use async_graphql::{MaybeUndefined, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::Deserialize;

use super::external_reference::{self, ExternalReferenceInput, StoredReferences};
use crate::scalar::{Id, Instant, now};
use crate::text;
use crate::validation::{Validator, rule};

/// A group of users, such as a ward, a laboratory or a project.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "groups")]
#[graphql(name = "Group", complex)]
pub struct Model {
    /// The group's ID, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    #[graphql(skip)]
    pub license_id: Id,
    /// The group's name.
    pub name: String,
    #[graphql(skip)]
    pub name_key: String,
    /// The group's purpose.
    pub description: Option<String>,
    #[graphql(skip)]
    pub external_references: Option<StoredReferences>,
    /// The date and time when the group was created.
    #[graphql(skip, derived(name = "created_at", into = "Instant", owned))]
    pub created_at: DateTime<Utc>,
    /// The date and time when a field of the group last changed. Changes to its members do not count.
    #[graphql(skip, derived(name = "modified_at", into = "Instant", owned))]
    pub modified_at: DateTime<Utc>,
    /// The version of the group, which increases with every change to a field. Changes to its members do not count.
    pub version: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The fields of a group in an input.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupFields {
    pub name: MaybeUndefined<String>,
    pub description: MaybeUndefined<String>,
    pub external_references: MaybeUndefined<Vec<ExternalReferenceInput>>,
}

impl Model {
    /// Returns a group of a license without a name and with the default of every other field.
    #[must_use]
    pub fn empty(id: Id, license_id: Id) -> Self {
        let now = now();
        Self {
            id,
            license_id,
            name: String::new(),
            name_key: String::new(),
            description: None,
            external_references: None,
            created_at: now,
            modified_at: now,
            version: 1,
        }
    }

    /// Applies the given values to the row. Adds errors to `validator`.
    pub fn apply(&mut self, fields: GroupFields, validator: &mut Validator) {
        let GroupFields { name, description, external_references } = fields;
        validator.required("name", name, &mut self.name, rule::text(100));
        validator.text("description", description, &mut self.description, rule::lines(1_000));
        external_reference::apply(external_references, &mut self.external_references, validator);
        self.name_key = text::fold(&self.name);
    }
}
