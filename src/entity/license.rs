//! Licenses: the tenants. Everybody but a superuser stays inside his own.

use async_graphql::{ComplexObject, Enum, SimpleObject};
use sea_orm::entity::prelude::*;

use crate::scalar::{Date, Id};

/// Who holds a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LicenseKind {
    /// An organisation.
    Commercial,
    /// A single person or household.
    Private,
}

/// A license: one tenant of the directory, with its own people, groups and institutions. Licenses are managed from
/// the command line only.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "licenses")]
#[graphql(name = "License", complex)]
pub struct Model {
    /// The license's id, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    /// The license's number, unique.
    pub number: String,
    /// Whether an organisation or a person holds it.
    pub kind: LicenseKind,
    /// Who holds it.
    pub holder: String,
    /// The first day on which it is valid (UTC); before, its people cannot sign in.
    pub starts_on: Date,
    /// The last day on which it is valid; null where it has no end.
    pub expires_on: Option<Date>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[ComplexObject]
impl Model {
    /// Number, holder and last day in one text: `NUMBER/holder/2027-12-31`.
    pub async fn name(&self) -> String {
        let end = self.expires_on.map(|date| date.0.to_string()).unwrap_or_default();
        format!("{}/{}/{end}", self.number, self.holder)
    }

    /// Whether its last day is over (UTC). The people of an expired license cannot sign in.
    pub async fn is_expired(&self) -> bool {
        self.has_expired()
    }
}

impl Model {
    /// Whether its last day is over (UTC).
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.expires_on.is_some_and(|last| last < Date::today())
    }
}
