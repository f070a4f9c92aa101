//! The privacy of each column, and the GraphQL fields that show columns.

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::{IdenStatic, Iterable};

use super::Column;
use crate::text;

/// The privacy of a column. [`crate::access`] decides which viewers a level includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Visible to every viewer that can see the user.
    Open,
    /// Visible to the user and to administrators.
    Private,
    /// Visible to administrators, as one of the administrator rights.
    Right,
    /// Visible to nobody: not a field, but a column by which users are found or sorted.
    Internal,
}

/// The columns by their GraphQL fields.
static COLUMNS: LazyLock<HashMap<String, Column>> =
    LazyLock::new(|| Column::iter().map(|column| (column.field(), column)).collect());

impl Column {
    /// Returns who can see the column.
    #[must_use]
    pub const fn privacy(self) -> Privacy {
        match self {
            Self::Id
            | Self::Username
            | Self::Email
            | Self::EmailVerified
            | Self::FirstName
            | Self::LastName
            | Self::Nickname
            | Self::CertifiedEmail
            | Self::Phone
            | Self::Website
            | Self::Avatar
            | Self::Gender
            | Self::UserType
            | Self::Position
            | Self::GoogleScholar
            | Self::OrcidId
            | Self::AtlasPreference
            | Self::InstitutionId
            | Self::Role
            | Self::IsStaff
            | Self::IsActive
            | Self::HasActivated
            | Self::HasPin
            | Self::FullSiteAccess
            | Self::DateJoined
            | Self::ModifiedAt
            | Self::Version => Privacy::Open,
            Self::Mobile | Self::BirthDate | Self::ExternalId | Self::ExternalReferences | Self::LastLogin => {
                Privacy::Private
            }
            Self::IsSuperuser
            | Self::IsAdmin
            | Self::IsProjectAdmin
            | Self::IsGroupAdmin
            | Self::IsTaxonomiesAdmin
            | Self::IsResourcesAdmin
            | Self::IsAttributesAdmin
            | Self::IsContactFormEmailReceiver => Privacy::Right,
            Self::LicenseId
            | Self::UsernameKey
            | Self::EmailKey
            | Self::FirstNameKey
            | Self::LastNameKey
            | Self::SearchKey
            | Self::NicknameKey
            | Self::CertifiedEmailKey
            | Self::PositionKey
            | Self::RoleKey => Privacy::Internal,
        }
    }

    /// Returns the GraphQL field that shows the column, such as `birthDate` or `adminRights.isAdmin`.
    #[must_use]
    pub fn field(self) -> String {
        let name = text::camel(self.as_str());
        if self.privacy() == Privacy::Right { format!("adminRights.{name}") } else { name }
    }

    /// Returns the column that a GraphQL field shows. `None` if the field is not a column.
    #[must_use]
    pub fn of_field(field: &str) -> Option<Self> {
        COLUMNS.get(field).copied()
    }
}
