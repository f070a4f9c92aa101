//! Input objects of the mutations of groups.

use crate::entity::membership::GroupRole;
use async_graphql::{ID, InputObject, MaybeUndefined};

/// A group to be made.
#[derive(InputObject)]
pub struct CreateGroupInput {
    /// Its name; at most 100 characters.
    pub name: String,
    /// What it is for; at most 1,000 characters.
    pub description: MaybeUndefined<String>,
}

/// What is to change of a group: what is absent stays as it is, null clears the description.
#[derive(InputObject)]
pub struct UpdateGroupInput {
    /// The group.
    pub id: ID,
    /// The version of the group that the change was made for: if it is not the present one, nothing is changed, the fault
    /// is CONFLICT, and the payload has the group as it is now.
    pub expected_version: Option<i32>,
    /// Its name; at most 100 characters.
    pub name: MaybeUndefined<String>,
    /// What it is for; at most 1,000 characters.
    pub description: MaybeUndefined<String>,
    /// Whether only to try it out: everything is checked, and nothing changed.
    #[graphql(default = false)]
    pub dry_run: bool,
}

/// The group to be deleted.
#[derive(InputObject)]
pub struct DeleteGroupInput {
    /// The group.
    pub id: ID,
}

/// Who is to belong to which group, and as what.
#[derive(InputObject)]
pub struct SetGroupMemberInput {
    /// The group.
    pub group_id: ID,
    /// The person.
    pub user_id: ID,
    /// What the person is to be in the group.
    pub role: GroupRole,
}

/// Who is to leave which group.
#[derive(InputObject)]
pub struct RemoveGroupMemberInput {
    /// The group.
    pub group_id: ID,
    /// The person.
    pub user_id: ID,
}
