//! Input objects of the mutations of groups.

use crate::entity::membership::GroupRole;
use async_graphql::{ID, InputObject, MaybeUndefined};

/// Input of `createGroup`. `description` can be absent or blank, but not null (`NULL_NOT_ALLOWED`).
#[derive(InputObject)]
pub struct CreateGroupInput {
    /// The group's name. At most 100 characters. Must not be blank.
    pub name: String,
    /// The group's purpose. At most 1,000 characters.
    pub description: MaybeUndefined<String>,
}

/// Input of `updateGroup`. Absent fields stay unchanged. Null and blank text clear `description`. For `name`, null is
/// an error (`NULL_NOT_ALLOWED`), as is blank text (`REQUIRED`).
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
