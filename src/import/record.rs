//! The records of an import file.

use std::collections::BTreeMap;

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::entity::attribute_definition::AttributeKind;
use crate::entity::attribute_value::AttributeInput;
use crate::entity::group::GroupFields;
use crate::entity::institution::{InstitutionCore, InstitutionFields};
use crate::entity::membership::GroupRole;
use crate::entity::user::{UserFields, UserNames};
use crate::scalar::{Date, Id};

/// A record of a row.
#[derive(Clone, Debug)]
pub enum Record {
    License(LicenseRecord),
    Attribute(AttributeRecord),
    Institution(InstitutionRecord),
    Group(GroupRecord),
    User(Box<UserRecord>),
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    License,
    Attribute,
    Institution,
    Group,
    User,
}

impl RecordKind {
    /// Every kind, in the order in which records refer to others.
    pub(super) const ALL: [Self; 5] = [Self::License, Self::Attribute, Self::Institution, Self::Group, Self::User];

    /// Returns the name of the member that holds such a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::License => "license",
            Self::Attribute => "attribute",
            Self::Institution => "institution",
            Self::Group => "group",
            Self::User => "user",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The license that the records of a file belong to. It is created if it is the first one.
#[derive(Clone, Debug, Default)]
pub struct LicenseRecord {
    pub id: Option<Id>,
    pub number: String,
    pub holder: String,
    pub is_private: bool,
    pub starts_on: Option<Date>,
    pub expires_on: Option<Date>,
}

/// The definition of a custom attribute, with the fields of `DefineAttributeInput`.
#[derive(Clone, Debug, Default)]
pub struct AttributeRecord {
    pub id: Option<Id>,
    pub name: String,
    pub label: MaybeUndefined<String>,
    pub kind: MaybeUndefined<AttributeKind>,
    pub required: MaybeUndefined<bool>,
    pub user_editable: MaybeUndefined<bool>,
    pub user_visible: MaybeUndefined<bool>,
    pub history: History,
}

/// An institution, with the fields of `CreateInstitutionInput`, and its id if it has one already.
#[derive(Clone, Debug, Default)]
pub struct InstitutionRecord {
    pub id: Option<Id>,
    pub core: InstitutionCore,
    pub fields: InstitutionFields,
    pub history: History,
}

/// A group, with the fields of `CreateGroupInput`, and its id if it has one already.
#[derive(Clone, Debug, Default)]
pub struct GroupRecord {
    pub id: Option<Id>,
    pub fields: GroupFields,
    pub history: History,
}

/// When an object was created and changed in the directory that exported it. Only new objects get it.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    pub created_at: Option<DateTime<Utc>>,
    pub modified_at: Option<DateTime<Utc>>,
    pub version: Option<i32>,
}

/// A user, with the fields of `CreateUserInput` and values that only another system can have.
#[derive(Clone, Debug, Default)]
pub struct UserRecord {
    pub id: Option<Id>,
    pub names: UserNames,
    pub fields: UserFields,
    pub is_active: MaybeUndefined<bool>,
    /// Values of custom attributes by name; null clears one.
    pub attributes: BTreeMap<String, Value>,
    /// The same as a request lists them.
    pub attribute_list: MaybeUndefined<Vec<AttributeInput>>,
    /// An institution of the same license, by ID, name or external ID.
    pub institution: Option<String>,
    /// Whether the user loses the institution.
    pub clears_institution: bool,
    pub groups: Vec<GroupReference>,
    /// Whether the user leaves all other groups, except those that the user owns.
    pub has_all_groups: bool,
    /// Institutions of the same license whose data the user may access, each by ID, name or external ID.
    pub sites: Vec<String>,
    /// Whether the user loses access to all other institutions.
    pub has_all_sites: bool,
    /// When access to sites was granted, by the reference in `sites`.
    pub granted_at: BTreeMap<String, DateTime<Utc>>,
    /// The password hash as another system stores it, in a format that [`crate::auth::password`] supports.
    pub password_hash: Option<String>,
    /// The PIN, or its hash as Roster exports it. A user who has a PIN keeps it.
    pub pin: Option<String>,
    pub pin_hash: Option<String>,
    pub avatar: Option<AvatarRecord>,
    pub date_joined: Option<DateTime<Utc>>,
    pub last_login: Option<DateTime<Utc>>,
    pub history: History,
    pub email_verified: bool,
    /// Whether the account is in use, even without a password that is known here.
    pub has_activated: bool,
}

impl UserRecord {
    /// Returns whether values of custom attributes are given.
    pub(super) fn has_attributes(&self) -> bool {
        !self.attributes.is_empty() || !self.attribute_list.is_undefined()
    }
}

/// The picture of a user: its content in base64, or the name of a file. Of a URL or a path, the last part is the name of the file:
/// nothing is fetched from there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarRecord {
    pub content: Option<String>,
    pub file: Option<String>,
    pub url: Option<String>,
    /// The type of the content, which is found out anyway.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// A group that a user belongs to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupReference {
    /// A group of the same license, by ID or name.
    pub group: String,
    /// The user's role in the group.
    #[serde(default = "member")]
    pub role: GroupRole,
    /// When the user joined the group. Defaults to when the user joined the directory.
    #[serde(default)]
    pub joined_at: Option<DateTime<Utc>>,
}

fn member() -> GroupRole {
    GroupRole::Member
}
