//! The enums of a user: gender, type of work and role.

use async_graphql::Enum;
use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A user's gender, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Gender {
    /// Male.
    Male,
    /// Female.
    Female,
    /// Unknown or not stated.
    #[default]
    Unknown,
}

/// The kind of work that a user does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserType {
    /// Administrative staff.
    Administrative,
    /// Technical staff.
    Technician,
    /// Clinical staff.
    Clinician,
    /// Students and all other users.
    #[default]
    Student,
}

/// A role, which determines what a user may do in the directory of the license. The ranks are, from the lowest to
/// the highest: user, administrator, license administrator, superuser. Each rank has the rights of all lower ranks.
/// `isStaff` and `adminRights` can give a higher rank than the role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// An administrator of everything in the license.
    LicenseAdmin,
    /// An administrator of groups, sites, and users of no higher rank.
    Admin,
    /// A user who can see the directory and edit their own profile.
    #[default]
    User,
}

impl Role {
    /// Returns whether the role includes access to every site of the license.
    #[must_use]
    pub fn includes_every_site(self) -> bool {
        self == Self::LicenseAdmin
    }

    /// Returns the position of the role in the order of roles. The lowest is 0.
    #[must_use]
    pub fn place(self) -> i32 {
        match self {
            Self::User => 0,
            Self::Admin => 1,
            Self::LicenseAdmin => 2,
        }
    }
}
