//! One line of an import file.

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

/// What a line says.
#[derive(Clone, Debug)]
pub enum Record {
    Institution(InstitutionRecord),
    Group(GroupRecord),
    User(Box<UserRecord>),
}

/// An institution, by the fields of `CreateInstitutionInput`, and its id where it has one already.
#[derive(Clone, Debug, Default)]
pub struct InstitutionRecord {
    pub id: Option<Id>,
    pub core: InstitutionCore,
    pub fields: InstitutionFields,
}

/// A group, by the fields of `CreateGroupInput`, and its id where it has one already.
#[derive(Clone, Debug, Default)]
pub struct GroupRecord {
    pub id: Option<Id>,
    pub fields: GroupFields,
}

/// A person, by the fields of `CreateUserInput`, and what only another system can know.
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
    /// Institutions of the same license whose data the person may access, each by id, name or external id.
    pub sites: Vec<String>,
    /// The hash of the password as another system stores it; what that is, [`crate::auth::password`] knows.
    pub password_hash: Option<String>,
    pub date_joined: Option<DateTime<Utc>>,
    /// Whether the account is in use without a password that we know of. No file says so, only the demonstration.
    pub has_activated: bool,
}

/// A group that a person belongs to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupReference {
    /// A group of the same license, by id or name.
    pub group: String,
    /// What the person is in it.
    #[serde(default = "member")]
    pub role: GroupRole,
}

fn member() -> GroupRole {
    GroupRole::Member
}
