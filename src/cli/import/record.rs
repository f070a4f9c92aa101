//! The records of an import file, one per line.

use std::collections::BTreeMap;

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::entity::group::GroupFields;
use crate::entity::institution::{InstitutionCore, InstitutionFields};
use crate::entity::membership::GroupRole;
use crate::entity::user::{UserFields, UserNames};
use crate::scalar::Id;

/// The content of a line.
#[derive(Clone, Debug)]
pub enum Record {
    Institution(InstitutionRecord),
    Group(GroupRecord),
    User(Box<UserRecord>),
}

/// An institution, with the fields of `CreateInstitutionInput`, and its id if it has one already.
#[derive(Clone, Debug, Default)]
pub struct InstitutionRecord {
    pub id: Option<Id>,
    pub core: InstitutionCore,
    pub fields: InstitutionFields,
}

/// A group, with the fields of `CreateGroupInput`, and its id if it has one already.
#[derive(Clone, Debug, Default)]
pub struct GroupRecord {
    pub id: Option<Id>,
    pub fields: GroupFields,
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
    /// An institution of the same license, by id, name or external id.
    pub institution: Option<String>,
    pub groups: Vec<GroupReference>,
    /// Institutions of the same license whose data the user may access, each by id, name or external id.
    pub sites: Vec<String>,
    /// The password hash as another system stores it, in a format that [`crate::auth::password`] supports.
    pub password_hash: Option<String>,
    pub date_joined: Option<DateTime<Utc>>,
    /// Whether the account is in use without a password that is known here. Set only by the demo, never by a file.
    pub has_activated: bool,
}

/// A group that a user belongs to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupReference {
    /// A group of the same license, by id or name.
    pub group: String,
    /// The user's role in the group.
    #[serde(default = "member")]
    pub role: GroupRole,
}

fn member() -> GroupRole {
    GroupRole::Member
}
