//! createGroup, updateGroup, deleteGroup, setGroupMember, removeGroupMember.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};

use crate::context::{Answer, ContextExt, answer};
use crate::entity::group::{self, GroupFields};
use crate::entity::membership::GroupRole;
use crate::payload::{Updated, payload, stale};
use crate::scalar::Id;

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

payload! {
    /// The outcome of a change of a group.
    GroupPayload {
        /// The group as it is now; null where nothing was done.
        group: Option<group::Model>,
    }
}

payload! {
    /// The outcome of deleting a group.
    DeleteGroupPayload {
        /// The id of the group that was deleted; null where nothing was done.
        id: Option<Id>,
    }
}

#[derive(Default)]
pub struct GroupMutation;

#[Object]
impl GroupMutation {
    /// Makes a group; whoever makes it becomes its owner. Open to everybody who is signed in; a user owns at most 50 groups
    /// unless they administer groups.
    async fn create_group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The group.")] input: CreateGroupInput,
    ) -> Answer<GroupPayload> {
        answer(ctx, async {
            let fields = GroupFields { name: MaybeUndefined::Value(input.name), description: input.description };
            let outcome = super::create(ctx.db()?, ctx.viewer()?, fields).await;
            GroupPayload::of(outcome, |group| {
                GroupPayload::done(format!("The group {} was made.", group.name), Some(group))
            })
        })
        .await
    }

    /// Changes the name and the description of a group. Its owners and administrators may.
    async fn update_group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: UpdateGroupInput,
    ) -> Answer<GroupPayload> {
        answer(ctx, async {
            let outcome = super::update(ctx.db()?, ctx.viewer()?, input).await;
            GroupPayload::of(outcome, |updated| match updated {
                Updated::Done(group) => {
                    GroupPayload::done(format!("The group {} was changed.", group.name), Some(group))
                }
                Updated::Possible(group) => GroupPayload::done("Nothing was changed; it would have been.", Some(group)),
                Updated::Stale(group) => GroupPayload { group: Some(group), ..GroupPayload::refused(stale("group")) },
            })
        })
        .await
    }

    /// Deletes a group, for good; the people who belonged to it stay. Its owners and administrators may.
    async fn delete_group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which group.")] input: DeleteGroupInput,
    ) -> Answer<DeleteGroupPayload> {
        answer(ctx, async {
            let outcome = super::delete(ctx.db()?, ctx.viewer()?, &input.id).await;
            DeleteGroupPayload::of(outcome, |group| {
                DeleteGroupPayload::done(format!("The group {} was deleted.", group.name), Some(group.id))
            })
        })
        .await
    }

    /// Makes somebody a member of a group, or changes what he is in it; may be repeated. The group's managers and owners
    /// and administrators may; only its owners, of its members, and administrators choose owners.
    async fn set_group_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, where, as what.")] input: SetGroupMemberInput,
    ) -> Answer<GroupPayload> {
        answer(ctx, async {
            let outcome =
                super::set_member(ctx.db()?, ctx.viewer()?, &input.group_id, &input.user_id, input.role).await;
            GroupPayload::of(outcome, |group| {
                GroupPayload::done(format!("The members of {} were changed.", group.name), Some(group))
            })
        })
        .await
    }

    /// Ends somebody's membership of a group; may be repeated. The group's managers and owners and administrators may, and
    /// everybody may leave: when the last owner does, a manager becomes the owner, else an administrator among the members,
    /// else the longest member.
    async fn remove_group_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and where.")] input: RemoveGroupMemberInput,
    ) -> Answer<GroupPayload> {
        answer(ctx, async {
            let outcome = super::remove_member(ctx.db()?, ctx.viewer()?, &input.group_id, &input.user_id).await;
            GroupPayload::of(outcome, |group| {
                GroupPayload::done(format!("The members of {} were changed.", group.name), Some(group))
            })
        })
        .await
    }
}
