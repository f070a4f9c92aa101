//! createGroup, updateGroup, deleteGroup, setGroupMember, removeGroupMember.

use async_graphql::{Context, MaybeUndefined, Object};

use super::input::{CreateGroupInput, DeleteGroupInput, RemoveGroupMemberInput, SetGroupMemberInput, UpdateGroupInput};
use crate::entity::group::{self, GroupFields};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{Updated, payload, stale};
use crate::scalar::Id;

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
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
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
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
            let outcome = super::update(ctx.db()?, ctx.viewer()?, input).await;
            GroupPayload::of(outcome, |updated| match updated {
                Updated::Saved(group) => {
                    GroupPayload::done(format!("The group {} was changed.", group.name), Some(group))
                }
                Updated::DryRun(group) => GroupPayload::done("Nothing was changed; it would have been.", Some(group)),
                Updated::Conflict(group) => {
                    GroupPayload { group: Some(group), ..GroupPayload::refused(stale("group")) }
                }
            })
        })
        .await
    }

    /// Deletes a group, for good; the people who belonged to it stay. Its owners and administrators may.
    async fn delete_group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which group.")] input: DeleteGroupInput,
    ) -> NullableField<DeleteGroupPayload> {
        authorized(ctx, async {
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
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
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
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
            let outcome = super::remove_member(ctx.db()?, ctx.viewer()?, &input.group_id, &input.user_id).await;
            GroupPayload::of(outcome, |group| {
                GroupPayload::done(format!("The members of {} were changed.", group.name), Some(group))
            })
        })
        .await
    }
}
