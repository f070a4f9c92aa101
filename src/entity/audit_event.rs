//! The audit trail: one row for each thing that was done.

use async_graphql::Enum;
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::Id;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuditAction {
    /// A license was made.
    LicenseCreated,
    /// The last day of a license became another one.
    LicenseExtended,
    /// A person was entered.
    UserCreated,
    /// A person was changed.
    UserUpdated,
    /// A person was activated.
    UserActivated,
    /// A person was deactivated; sessions and API keys ended.
    UserDeactivated,
    /// A person was erased.
    UserDeleted,
    /// A person who was locked out was let in again.
    UserUnlocked,
    /// A person took the account into use, by a link.
    AccountActivated,
    /// A link was made that lets a person in.
    LinkCreated,
    /// Somebody asked to register himself in a license; he is entered once he has shown that mail reaches him.
    RegistrationRequested,
    /// A person set a new password by a link, in the place of a lost one.
    PasswordReset,
    /// A person asked for another e-mail address.
    EmailChangeRequested,
    /// A person has shown that mail to another address arrives, which has taken the place of the old one.
    EmailChanged,
    /// An email was refused permanently by the mail server, or could not be sent for a day.
    MailFailed,
    /// A person signed in.
    SignedIn,
    /// A person signed out.
    SignedOut,
    /// Sign-in by password was locked after too many wrong ones.
    SignInLocked,
    /// The PIN was switched off after too many wrong ones.
    PinLocked,
    /// Sessions of a person were ended.
    SessionsEnded,
    /// A device of a user was forgotten, which no longer signs in with a PIN.
    DeviceForgotten,
    /// A person changed the own password.
    PasswordChanged,
    /// A person set or removed the own PIN.
    PinChanged,
    /// A user tried to give a username or email address that somebody of another license has. Neither is recorded.
    ForeignLoginFound,
    /// A group was made.
    GroupCreated,
    /// Somebody became a member of a group, or something else in it.
    GroupMemberSet,
    /// Somebody left a group.
    GroupMemberRemoved,
    /// A group was changed.
    GroupUpdated,
    /// A group was deleted.
    GroupDeleted,
    /// An institution was entered.
    InstitutionCreated,
    /// An institution was changed.
    InstitutionUpdated,
    /// An institution was deleted.
    InstitutionDeleted,
    /// A person was given access to the data of an institution.
    SiteAccessGranted,
    /// A person's access to the data of an institution was taken back.
    SiteAccessRevoked,
    /// An API key was made.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// A custom attribute was defined.
    AttributeDefined,
    /// The definition of a custom attribute was changed.
    AttributeChanged,
    /// A custom attribute was removed, with everybody's values.
    AttributeRemoved,
}

/// What kind of thing something was done to.
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
    /// 1 for the first event, one more for each that follows.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub id: Id,
    /// The license of the subject.
    pub license_id: Id,
    pub at: DateTime<Utc>,
    pub action: AuditAction,
    /// Who did it; none for the command line and for who is not signed in.
    pub actor_id: Option<Id>,
    /// The key by which the actor did it.
    pub api_key_id: Option<Id>,
    pub subject_type: SubjectType,
    pub subject_id: Id,
    pub request_id: Option<String>,
    /// A JSON array of `{field, before, after}`; none where nothing changed, or where it was erased with the person.
    pub changes: Option<String>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub salt: Option<Vec<u8>>,
    /// SHA-256 of salt and changes.
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub changes_hash: Option<Vec<u8>>,
    /// The hash of the event before; empty for the first.
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub previous: Vec<u8>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How many changes an event has at most: every column of its subject, every attribute of a person, and a few that are
/// neither.
pub const MOST_CHANGES: usize = 200;

impl Model {
    /// An event of which nothing is known.
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
