//! createGroup, setGroupMember, removeGroupMember.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};

use crate::context::{Answer, ContextExt, answer};
use crate::entity::group::{self, GroupFields};
use crate::entity::membership::GroupRole;
use crate::payload::payload;

/// A group to be made.
#[derive(InputObject)]
pub struct CreateGroupInput {
    /// Its name; at most 100 characters.
    pub name: String,
    /// What it is for; at most 1,000 characters.
    pub description: MaybeUndefined<String>,
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

#[derive(Default)]
pub struct GroupMutation;

#[Object]
impl GroupMutation {
    /// Makes a group; whoever makes it becomes its owner. Open to everybody who is signed in.
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

    /// Makes somebody a member of a group, or changes what he is in it; may be repeated. The group's managers and owners
    /// and administrators may; only its owners and administrators choose owners.
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

    /// Ends somebody's membership of a group; may be repeated. The group's managers and owners and administrators may.
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
