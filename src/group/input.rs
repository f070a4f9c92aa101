//! Input objects of the mutations of groups.

use crate::entity::external_reference::ExternalReferenceInput;
use crate::entity::membership::GroupRole;
use async_graphql::{ID, InputObject, MaybeUndefined};

/// Input of `createGroup`. Optional fields can be omitted, but not null (`NULL_NOT_ALLOWED`). A blank `description`
/// counts as omitted.
#[derive(InputObject)]
pub struct CreateGroupInput {
    /// The group's name. At most 100 characters. Must not be blank.
    pub name: String,
    /// The group's purpose. At most 1,000 characters.
    pub description: MaybeUndefined<String>,
    /// The group's IDs in other systems, each with its source. At most 20, one for each source. Each is unique among the
    /// groups of the license (`TAKEN` otherwise). Administrators and users with the right `isGroupAdmin` only.
    pub external_references: MaybeUndefined<Vec<ExternalReferenceInput>>,
}

/// Input of `updateGroup`. Omitted fields stay unchanged. Null and blank text clear `description`, and null removes
/// all `externalReferences`. For `name`, null is an error (`NULL_NOT_ALLOWED`), as is blank text (`REQUIRED`).
#[derive(InputObject)]
pub struct UpdateGroupInput {
    /// The ID of the group to update.
    pub id: ID,
    /// The version of the group that the change is based on. If it is not the current version, nothing is changed, the
    /// error is `CONFLICT`, and the payload contains the current group. By default, the version is not checked.
    pub expected_version: Option<i32>,
    /// The group's name. At most 100 characters. Must not be blank.
    pub name: MaybeUndefined<String>,
    /// The group's purpose. At most 1,000 characters.
    pub description: MaybeUndefined<String>,
    /// The group's IDs in other systems, each with its source. At most 20, one for each source. Each is unique among the
    /// groups of the license (`TAKEN` otherwise). Sources that are not listed keep their IDs; an empty list or null removes
    /// all. Administrators and users with the right `isGroupAdmin` only.
    pub external_references: MaybeUndefined<Vec<ExternalReferenceInput>>,
    /// Whether this is a dry run: the input and the viewer's rights are checked, but nothing is saved. `success` then
    /// states whether the mutation would succeed. Defaults to `false`.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// Input of `deleteGroup`.
#[derive(InputObject)]
pub struct DeleteGroupInput {
    /// The ID of the group to delete.
    pub id: ID,
}

/// Input of `setGroupMember`.
#[derive(InputObject)]
pub struct SetGroupMemberInput {
    /// The ID of the group.
    pub group_id: ID,
    /// The ID of the user, who must be in the group's license (`NOT_FOUND` otherwise).
    pub user_id: ID,
    /// The user's role in the group.
    pub role: GroupRole,
}

/// Input of `removeGroupMember`.
#[derive(InputObject)]
pub struct RemoveGroupMemberInput {
    /// The ID of the group.
    pub group_id: ID,
    /// The ID of the user to remove.
    pub user_id: ID,
}
