//! Mutations: `createGroup`, `updateGroup`, `deleteGroup`, `setGroupMember` and `removeGroupMember`.

use async_graphql::{Context, MaybeUndefined, Object};

use super::input::{CreateGroupInput, DeleteGroupInput, RemoveGroupMemberInput, SetGroupMemberInput, UpdateGroupInput};
use crate::entity::group::{self, GroupFields};
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::{Updated, payload, stale};
use crate::scalar::Id;

payload! {
    /// Payload of `createGroup`, `updateGroup`, `setGroupMember` and `removeGroupMember`.
    GroupPayload {
        /// The current state of the group. Null if the mutation failed, except with `CONFLICT`.
        group: Option<group::Model>,
    }
}

payload! {
    /// Payload of `deleteGroup`.
    DeleteGroupPayload {
        /// The ID of the deleted group. Null if no group was deleted.
        deleted_group_id: Option<Id>,
    }
}

#[derive(Default)]
pub struct GroupMutation;

#[Object]
impl GroupMutation {
    /// Creates a group in the viewer's license, with the viewer as its owner. A user can belong to at most 200 groups
    /// and, unless they administer groups, own at most 50 (`NOT_ALLOWED` otherwise). Open to every signed-in user.
    async fn create_group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The group to create.")] input: CreateGroupInput,
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
            let CreateGroupInput { name, description, external_references } = input;
            let fields = GroupFields { name: MaybeUndefined::Value(name), description, external_references };
            let outcome = super::create(ctx.db()?, ctx.viewer()?, fields).await;
            GroupPayload::of(outcome, |group| {
                GroupPayload::done(format!("The group {} was created.", group.name), Some(group))
            })
        })
        .await
    }

    /// Updates the name, the description and the external references of a group. Owners of the group, administrators, and
    /// users with the right `isGroupAdmin` only.
    async fn update_group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes to make.")] input: UpdateGroupInput,
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
            let outcome = super::update(ctx.db()?, ctx.viewer()?, input).await;
            GroupPayload::of(outcome, |updated| match updated {
                Updated::Saved(group) => {
                    GroupPayload::done(format!("The group {} was updated.", group.name), Some(group))
                }
                Updated::DryRun(group) => {
                    GroupPayload::done("Dry run: the input is valid; nothing was saved.", Some(group))
                }
                Updated::Conflict(group) => {
                    GroupPayload { group: Some(group), ..GroupPayload::rejected(stale("group")) }
                }
            })
        })
        .await
    }

    /// Deletes a group permanently. Its members are not deleted. Owners of the group, administrators, and users with
    /// the right `isGroupAdmin` only.
    async fn delete_group(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The group to delete.")] input: DeleteGroupInput,
    ) -> NullableField<DeleteGroupPayload> {
        authorized(ctx, async {
            let outcome = super::delete(ctx.db()?, ctx.viewer()?, &input.id).await;
            DeleteGroupPayload::of(outcome, |group| {
                DeleteGroupPayload::done(format!("The group {} was deleted.", group.name), Some(group.id))
            })
        })
        .await
    }

    /// Adds a user to a group, or changes the user's role in it. Idempotent. Managers and owners of the group,
    /// administrators, and users with the right `isGroupAdmin` only. Managers may neither choose owners nor change an
    /// owner's role. Owners may choose owners only among the members; administrators and users with `isGroupAdmin` may
    /// choose any user. `NOT_ALLOWED` if the user already belongs to 200 groups, or is the last owner and would get
    /// another role. Unless the viewer administers groups, `NOT_ALLOWED` also if the new owner already owns 50.
    async fn set_group_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user, the group and the user's role in it.")] input: SetGroupMemberInput,
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
            let outcome =
                super::set_member(ctx.db()?, ctx.viewer()?, &input.group_id, &input.user_id, input.role).await;
            GroupPayload::of(outcome, |group| {
                GroupPayload::done(format!("The members of {} were updated.", group.name), Some(group))
            })
        })
        .await
    }

    /// Removes a user from a group. Idempotent. Every member may leave. Managers may remove managers and members. Owners,
    /// administrators, and users with the right `isGroupAdmin` may remove any member except the last owner
    /// (`NOT_ALLOWED`). When the last owner leaves, a manager becomes the owner, else an administrator among the members,
    /// else the longest-standing member. `NOT_ALLOWED` if no other member can become the owner; delete the group instead.
    async fn remove_group_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The group, and the user to remove from it.")] input: RemoveGroupMemberInput,
    ) -> NullableField<GroupPayload> {
        authorized(ctx, async {
            let outcome = super::remove_member(ctx.db()?, ctx.viewer()?, &input.group_id, &input.user_id).await;
            GroupPayload::of(outcome, |group| {
                GroupPayload::done(format!("The members of {} were updated.", group.name), Some(group))
            })
        })
        .await
    }
}
