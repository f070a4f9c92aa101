//! Audit trail: one row for each action.

use async_graphql::Enum;
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::Id;

/// The action that an audit event records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuditAction {
    /// A license was created.
    LicenseCreated,
    /// The last day of a license was changed.
    LicenseExtended,
    /// The number or the holder of a license was changed.
    LicenseRenamed,
    /// A license was exported with all its users. `changes` states whether the hashes of secrets and the audit trail
    /// were included.
    LicenseExported,
    /// The directory was restored from a backup. All sessions were ended, all devices forgotten and all links
    /// invalidated. Changes made after the backup were lost.
    DirectoryRestored,
    /// A user was created.
    UserCreated,
    /// A user was updated.
    UserUpdated,
    /// A user was activated.
    UserActivated,
    /// A user was deactivated. Their sessions were ended and their API keys revoked.
    UserDeactivated,
    /// A user was erased.
    UserDeleted,
    /// All data that the directory holds about a user was exported.
    UserExported,
    /// A user who was locked out was unlocked.
    UserUnlocked,
    /// A user activated their account with a link.
    AccountActivated,
    /// A link with which a user can set a password was created.
    LinkCreated,
    /// A visitor asked to register in a license. The user is created when the visitor sets a password with the link.
    RegistrationRequested,
    /// A user set a new password with a link, to replace a lost one.
    PasswordReset,
    /// A user requested a change of their email address.
    EmailChangeRequested,
    /// A user confirmed another email address, which replaced the old one.
    EmailChanged,
    /// The mail server refused an email permanently, or an email could not be sent within a day.
    MailFailed,
    /// A user signed in.
    SignedIn,
    /// A user signed out.
    SignedOut,
    /// Sign-in with a password was locked after too many wrong passwords.
    SignInLocked,
    /// A user's PIN was locked after too many wrong PINs.
    PinLocked,
    /// Sessions of a user were ended and the user's devices were forgotten.
    SessionsEnded,
    /// A user's device was forgotten. It can no longer sign in with a PIN.
    DeviceForgotten,
    /// A user changed their password.
    PasswordChanged,
    /// A user set or removed their PIN.
    PinChanged,
    /// A user tried to set a username or email address that belongs to a user of another license. The value and the other user
    /// are not recorded.
    ForeignLoginFound,
    /// A group was created.
    GroupCreated,
    /// A user became a member of a group, or their role in it changed.
    GroupMemberSet,
    /// A user left a group or was removed from it.
    GroupMemberRemoved,
    /// A group was updated.
    GroupUpdated,
    /// A group was deleted.
    GroupDeleted,
    /// An institution was created.
    InstitutionCreated,
    /// An institution was updated.
    InstitutionUpdated,
    /// An institution was deleted.
    InstitutionDeleted,
    /// A user was granted access to the data of an institution.
    SiteAccessGranted,
    /// A user's access to the data of an institution was revoked.
    SiteAccessRevoked,
    /// An API key was created.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// A custom attribute was defined.
    AttributeDefined,
    /// The definition of a custom attribute was changed.
    AttributeChanged,
    /// A custom attribute was removed, together with the values of all users.
    AttributeRemoved,
    /// Trusted documents were published on the command line. Recorded in each license.
    DocumentsPublished,
    /// Trusted documents were withdrawn on the command line. Recorded in each license.
    DocumentsWithdrawn,
    /// The server key was replaced on the command line by another one. Recorded in each license.
    ServerKeyRotated,
    /// The former server key was retired on the command line. `changes` states how many passwords, PINs, emailed links,
    /// queued emails and external IDs of erased users the license lost with it. Recorded in each license.
    ServerKeyRetired,
}

impl AuditAction {
    /// The actions that can change the names and logins of a user, and who can see the user.
    pub const USER_CHANGES: [Self; 9] = [
        Self::UserCreated,
        Self::UserUpdated,
        Self::UserActivated,
        Self::UserDeactivated,
        Self::UserDeleted,
        Self::AccountActivated,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::EmailChanged,
    ];
}

/// The kind of the subject of an audit event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubjectType {
    License,
    User,
    Group,
    Institution,
    ApiKey,
    Attribute,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// The number of the event: 1 for the first, increasing by 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub id: Id,
    /// The license of the subject.
    pub license_id: Id,
    pub at: DateTime<Utc>,
    pub action: AuditAction,
    /// The user who acted. `None` for the command line and if no user was signed in.
    pub actor_id: Option<Id>,
    /// The API key with which the actor acted.
    pub api_key_id: Option<Id>,
    pub subject_type: SubjectType,
    pub subject_id: Id,
    pub request_id: Option<String>,
    /// A JSON array of `{field, before, after}`. `None` if nothing changed, or if the changes were erased with the user.
    pub changes: Option<String>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub salt: Option<Vec<u8>>,
    /// SHA-256 of the salt and the changes.
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub changes_hash: Option<Vec<u8>>,
    /// The hash of the previous event. Empty for the first.
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub previous: Vec<u8>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The maximum number of changes in an event: every column of its subject, every attribute of a user, and a few that are neither.
pub const MAX_CHANGES: usize = 200;

impl Model {
    /// Returns an event with placeholders in every field.
    #[must_use]
    pub fn empty(id: Id) -> Self {
        Self {
            seq: 0,
            id,
            license_id: id,
            at: DateTime::UNIX_EPOCH,
            action: AuditAction::LicenseCreated,
            actor_id: None,
            api_key_id: None,
            subject_type: SubjectType::License,
            subject_id: id,
            request_id: None,
            changes: None,
            salt: None,
            changes_hash: None,
            previous: Vec::new(),
            hash: Vec::new(),
        }
    }
}
