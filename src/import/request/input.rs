//! Input objects of `importUsers`.

use async_graphql::{Enum, InputObject, MaybeUndefined};

use crate::entity::attribute_value::AttributeInput;
use crate::entity::membership::GroupRole;
use crate::entity::user::{UserFields, UserNames};
use crate::import::record::{GroupReference, UserRecord};

/// Input of `importUsers`.
#[derive(InputObject)]
pub struct ImportUsersInput {
    /// The rows, one for each user. At most 1,000. Together they can name at most 5,000 different groups and 5,000
    /// different sites.
    pub rows: Vec<ImportUserInput>,
    /// The treatment of the valid rows if other rows are refused. Defaults to `STOP`.
    #[graphql(default_with = "ImportOnError::Stop")]
    pub on_error: ImportOnError,
    /// Whether this is a dry run: the rows and the viewer's rights are checked, but nothing is saved. `success` then
    /// states whether the mutation would succeed, and the outcome of each row is what it would be. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// A row of `importUsers`: a user to create or change. It identifies an existing user of the license by
/// `externalId`, then by `externalReferences`, and otherwise by `email` or `username`. If the row has IDs in other
/// systems, a user with the same `email` or `username` is identified only if they have no IDs in these systems yet.
/// A row that identifies no user creates one, unless one of its IDs in other systems belonged to a user who has been
/// erased (`NOT_ALLOWED`). `NOT_ALLOWED` also if the username and the email address of the user that such an ID
/// identifies both differ from those in the row. Omitted fields of an existing user stay unchanged. Null clears an
/// optional value of an existing user, and otherwise counts as omitted. Blank text also clears a value.
#[derive(Clone, InputObject)]
pub struct ImportUserInput {
    /// The user's first name or names. At most 50 characters. Required for a new user. Must not be blank.
    pub first_name: MaybeUndefined<String>,
    /// The user's last name or names. At most 50 characters. Required for a new user. Must not be blank.
    pub last_name: MaybeUndefined<String>,
    /// Whether a new user can sign in. Defaults to `true`. An existing user who is inactive stays inactive, and one who
    /// is active cannot be deactivated (`NOT_ALLOWED`); see `setActive`.
    pub is_active: MaybeUndefined<bool>,
    #[graphql(flatten)]
    pub fields: UserFields,
    /// The values of custom attributes. At most 100, each attribute at most once. Other attributes of an existing user
    /// stay unchanged. For a new user, required attributes must be included.
    pub attributes: MaybeUndefined<Vec<AttributeInput>>,
    /// The groups that the user belongs to. At most 200. The user leaves all other groups, except those that they own.
    /// An empty list means no groups, and null counts as omitted. If a group is listed twice, the last role counts.
    /// Requires the rights of `setGroupMember` and `removeGroupMember`. `NOT_ALLOWED` if a group would lose its last
    /// owner.
    pub groups: MaybeUndefined<Vec<ImportGroupInput>>,
    /// The institutions to whose data the user is granted access, each identified by its ID, its exact name, its external
    /// ID or an external reference such as `hr:7`. `NOT_FOUND` if there is none, or if several have the name. At most
    /// 200. Access to all others is revoked. An empty list means no institutions, and null counts as omitted. Requires
    /// the rights of `grantSiteAccess` and `revokeSiteAccess`.
    pub sites: MaybeUndefined<Vec<String>>,
}

/// A group that the user of a row of `importUsers` belongs to.
#[derive(Clone, InputObject)]
pub struct ImportGroupInput {
    /// A group of the license, identified by its ID, its exact name or an external reference such as `hr:7`. `NOT_FOUND`
    /// if there is none, or if several have the name.
    pub group: String,
    /// The user's role in the group. Defaults to `MEMBER`.
    #[graphql(default_with = "GroupRole::Member")]
    pub role: GroupRole,
}

/// The treatment of the valid rows of `importUsers` if other rows are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ImportOnError {
    /// Nothing is saved.
    Stop,
    /// The valid rows are saved.
    Skip,
}

impl ImportUserInput {
    /// Returns the record of the row. It has no values that let anyone sign in, and none that only another system can have.
    pub(super) fn into_record(self) -> UserRecord {
        let Self { first_name, last_name, is_active, fields, attributes, groups, sites } = self;
        UserRecord {
            names: UserNames { first_name, last_name },
            fields,
            is_active,
            attribute_list: attributes,
            has_all_groups: groups.is_value(),
            groups: groups.take().unwrap_or_default().into_iter().map(ImportGroupInput::into_reference).collect(),
            has_all_sites: sites.is_value(),
            sites: sites.take().unwrap_or_default().iter().map(|site| site.trim().to_owned()).collect(),
            ..UserRecord::default()
        }
    }
}

impl ImportGroupInput {
    fn into_reference(self) -> GroupReference {
        GroupReference { group: self.group.trim().to_owned(), role: self.role, joined_at: None }
    }
}
