//! The kinds of changes, and the types of the objects that change.

use async_graphql::Enum;
use sea_orm::Iterable;

use crate::entity::audit_event::{AuditAction, SubjectType};

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ChangeKind {
    /// The object was created.
    Created,
    /// The object was updated.
    Updated,
    /// The user was activated.
    Activated,
    /// The user was deactivated.
    Deactivated,
    /// The object was deleted.
    Deleted,
    /// The object is no longer visible to the viewer, such as a user who was deactivated or an object that was deleted
    /// later. The object itself is null, and `changedFields` is empty.
    Removed,
}

/// The type of a changed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum NodeType {
    /// A user.
    User,
    /// A group.
    Group,
    /// An institution.
    Institution,
    /// A license.
    License,
}

impl NodeType {
    /// Returns the type of the subject of an audit event; `None` if its changes are not followed.
    pub(super) const fn of_subject(subject: SubjectType) -> Option<Self> {
        match subject {
            SubjectType::User => Some(Self::User),
            SubjectType::Group => Some(Self::Group),
            SubjectType::Institution => Some(Self::Institution),
            SubjectType::License => Some(Self::License),
            SubjectType::ApiKey | SubjectType::Attribute => None,
        }
    }
}

impl ChangeKind {
    /// Returns whether the object was deleted or removed, so that nothing of it can be read any more.
    pub(super) const fn is_gone(self) -> bool {
        matches!(self, Self::Deleted | Self::Removed)
    }

    /// Returns the actions that are changes.
    pub(super) fn actions() -> impl Iterator<Item = AuditAction> {
        AuditAction::iter().filter(|action| Self::of_action(*action).is_some())
    }

    /// Returns the kind of change that an action makes; `None` if it changes no data of a user, group, institution or
    /// license.
    pub(super) const fn of_action(action: AuditAction) -> Option<Self> {
        match action {
            AuditAction::LicenseCreated
            | AuditAction::UserCreated
            | AuditAction::GroupCreated
            | AuditAction::InstitutionCreated => Some(Self::Created),
            AuditAction::LicenseExtended
            | AuditAction::LicenseRenamed
            | AuditAction::UserUpdated
            | AuditAction::AccountActivated
            | AuditAction::PasswordReset
            | AuditAction::PasswordChanged
            | AuditAction::PinChanged
            | AuditAction::EmailChanged
            | AuditAction::GroupUpdated
            | AuditAction::GroupMemberSet
            | AuditAction::GroupMemberRemoved
            | AuditAction::InstitutionUpdated
            | AuditAction::SiteAccessGranted
            | AuditAction::SiteAccessRevoked => Some(Self::Updated),
            AuditAction::UserActivated => Some(Self::Activated),
            AuditAction::UserDeactivated => Some(Self::Deactivated),
            AuditAction::UserDeleted | AuditAction::GroupDeleted | AuditAction::InstitutionDeleted => {
                Some(Self::Deleted)
            }
            AuditAction::DirectoryRestored
            | AuditAction::LicenseExported
            | AuditAction::UserExported
            | AuditAction::UserUnlocked
            | AuditAction::LinkCreated
            | AuditAction::RegistrationRequested
            | AuditAction::EmailChangeRequested
            | AuditAction::MailFailed
            | AuditAction::SignedIn
            | AuditAction::SignedOut
            | AuditAction::SignInLocked
            | AuditAction::PinLocked
            | AuditAction::SessionsEnded
            | AuditAction::DeviceForgotten
            | AuditAction::ForeignLoginFound
            | AuditAction::ApiKeyCreated
            | AuditAction::ApiKeyRevoked
            | AuditAction::AttributeDefined
            | AuditAction::AttributeChanged
            | AuditAction::AttributeRemoved
            | AuditAction::DocumentsPublished
            | AuditAction::DocumentsWithdrawn
            | AuditAction::ServerKeyRotated
            | AuditAction::ServerKeyRetired => None,
        }
    }
}
