//! Licenses: the tenants. Every user except a superuser is confined to their own license.

use async_graphql::{ComplexObject, Enum, SimpleObject};
use sea_orm::entity::prelude::*;

use crate::scalar::{Date, Id};

/// The kind of holder of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LicenseKind {
    /// An organization.
    Commercial,
    /// An individual or a household.
    Private,
}

/// A license: one tenant of the directory, with its own users, groups and institutions. Licenses are managed from the command
/// line; `renameLicense` changes the holder.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "licenses")]
#[graphql(name = "License", complex)]
pub struct Model {
    /// The license's ID, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    /// The license's number. Unique.
    pub number: String,
    /// The kind of holder: an organization, or an individual or household.
    pub kind: LicenseKind,
    /// The holder of the license.
    pub holder: String,
    /// The first day on which the license is valid (UTC). Users of the license cannot sign in before that day.
    pub starts_on: Date,
    /// The last day on which the license is valid (UTC). Null if it does not expire.
    pub expires_on: Option<Date>,
}

/// The holder of a first license whose holder is not known. Emails never say it.
pub const UNKNOWN_HOLDER: &str = "This organisation";

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[ComplexObject]
impl Model {
    /// The number, holder and last day of the license, such as `L-2/Birch Institute/2027-12-31`. Ends with `/` if the
    /// license does not expire.
    pub async fn name(&self) -> String {
        let end = self.expires_on.map(|date| date.0.to_string()).unwrap_or_default();
        format!("{}/{}/{end}", self.number, self.holder)
    }

    /// Whether the last day of the license has passed (UTC). Users of an expired license cannot sign in, and their
    /// sessions and API keys do not work.
    pub async fn is_expired(&self) -> bool {
        self.has_expired()
    }
}

impl Model {
    /// Returns whether the last day of the license has passed (UTC).
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.expires_on.is_some_and(|last| last < Date::today())
    }
}
