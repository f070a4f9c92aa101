//! Groups that lose their last owner: ownership passes on to somebody else.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Order, SimpleExpr};
use sea_orm::{
    ActiveEnum, ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    FromQueryResult, IntoActiveModel, JoinType, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    RelationTrait, Select,
};
use serde_json::Value;

use crate::access::administrators;
use crate::actor::Actor;
use crate::audit::{Change, Entry, difference};
use crate::db::conditions::one_of;
use crate::entity::audit_event::AuditAction;
use crate::entity::membership::{self, GroupRole, MOST_GROUPS_OF_A_USER, MOST_GROUPS_OWNED_BY_A_USER};
use crate::entity::{group, user};
use crate::error::Error;
use crate::scalar::{Id, now};

/// Why a user does not own groups any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The user is about to be erased, and the memberships with the user.
    Erasure,
    /// The user is about to be deactivated, and stays in the groups.
    Deactivation,
}

/// The groups that have another owner now, with the events of it.
#[derive(Default)]
pub struct PassedOn {
    pub groups: Vec<group::Model>,
    pub events: Vec<Entry>,
}

/// Gives another owner to each group of which a user is the last one; for an erasure the last owner whoever is active, for a
/// deactivation the last active one: to the manager who has belonged to it for longest, else to an administrator among its
/// members, else to the actor or a license administrator with room for it, else to the member who has belonged to it for
/// longest. Where nobody else belongs to a group, it stays with the user who is deactivated and, if no administrator has room
/// for it, goes with the user who is erased.
pub async fn pass_on(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    leaving: &user::Model,
    cause: Cause,
) -> Result<PassedOn, Error> {
    let mut passed_on = PassedOn::default();
    for group in without_other_owner(transaction, leaving.id, cause).await? {
        let members = members(group.id, leaving.id);
        let found = if let Some(found) = successor(transaction, members.clone()).await? {
            Some(found)
        } else {
            let member = longest(members, transaction).await?;
            if member.is_none() && cause == Cause::Deactivation {
                continue;
            }
            administrator(transaction, actor, &group, leaving.id).await?.or(member)
        };
        match found {
            Some(found) => {
                passed_on.events.push(appoint(transaction, actor, &group, found).await?);
                passed_on.groups.push(group);
            }
            None if cause == Cause::Erasure => {
                group::Entity::delete_by_id(group.id).exec(transaction).await?;
                let changes = difference(&group, &group::Model::empty(group.id, group.license_id));
                passed_on.events.push(Entry::new(AuditAction::GroupDeleted, &group).by(actor).with(changes));
            }
            None => {}
        }
    }
    Ok(passed_on)
}

/// Makes another owner when the last one leaves a group of their own accord: as [`pass_on`] has it, but of the members only, and
/// only of those who may own one more group, or leaving would be a way to fill up somebody else's quota. Returns the event; none
/// where there is nobody.
pub async fn pass_on_to_member(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    group: &group::Model,
    leaving: Id,
) -> Result<Option<Entry>, Error> {
    let candidates = members(group.id, leaving).filter(may_own_one_more(group.id));
    let found = successor(transaction, candidates.clone()).await?;
    let found = if found.is_some() { found } else { longest(candidates, transaction).await? };
    match found {
        Some(found) => appoint(transaction, actor, group, found).await.map(Some),
        None => Ok(None),
    }
}

/// Locks the groups of a user, so that nobody else becomes an owner there meanwhile; returns those that would lose their
/// last owner.
async fn without_other_owner(
    transaction: &DatabaseTransaction,
    leaving: Id,
    cause: Cause,
) -> Result<Vec<group::Model>, Error> {
    let of_user = membership::Entity::find().filter(membership::Column::UserId.eq(leaving));
    let owned = of_user.clone().filter(membership::Column::Role.eq(GroupRole::Owner));
    // Whoever is erased may become an owner until then by somebody else's leaving; all groups are locked.
    let locked = if cause == Cause::Erasure { of_user } else { owned.clone() };
    let locked = locked.select_only().column(membership::Column::GroupId).into_query();
    let groups = group::Entity::find()
        .filter(group::Column::Id.in_subquery(locked))
        .order_by_asc(group::Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    if groups.is_empty() {
        return Ok(groups);
    }
    let owned: HashSet<Id> = group_ids(owned, transaction).await?;
    let of_groups =
        one_of(transaction.get_database_backend(), membership::Column::GroupId, groups.iter().map(|group| group.id));
    let mut others = membership::Entity::find()
        .join(JoinType::InnerJoin, membership::Relation::User.def())
        .filter(of_groups)
        .filter(membership::Column::Role.eq(GroupRole::Owner))
        .filter(membership::Column::UserId.ne(leaving));
    if cause == Cause::Deactivation {
        others = others.filter(user::Column::IsActive.eq(true));
    }
    let others = group_ids(others, transaction).await?;
    let is_last = |group: &group::Model| owned.contains(&group.id) && !others.contains(&group.id);
    Ok(groups.into_iter().filter(is_last).collect())
}

async fn group_ids(
    select: Select<membership::Entity>,
    transaction: &DatabaseTransaction,
) -> Result<HashSet<Id>, Error> {
    let ids: Vec<Id> = select.select_only().column(membership::Column::GroupId).into_tuple().all(transaction).await?;
    Ok(ids.into_iter().collect())
}

/// Who becomes the owner of a group, and what they are in it so far.
#[derive(FromQueryResult)]
struct Successor {
    user_id: Id,
    role: Option<GroupRole>,
}

/// The manager who has belonged to the group for longest, or else the administrator among its members who has.
async fn successor(
    transaction: &DatabaseTransaction,
    members: Select<membership::Entity>,
) -> Result<Option<Successor>, Error> {
    let is_manager = membership::Column::Role.eq(GroupRole::Manager);
    let found = members
        .filter(Condition::any().add(is_manager.clone()).add(administrators()))
        .order_by(first(is_manager), Order::Asc);
    longest(found, transaction).await
}

/// By which the rows that meet a condition come before the others.
fn first(condition: SimpleExpr) -> SimpleExpr {
    Expr::case(condition, 0).finally(1).into()
}

/// Administrators, and those members of a group who own fewer groups than a user may.
fn may_own_one_more(group_id: Id) -> Condition {
    let of_group = membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .filter(membership::Column::GroupId.eq(group_id));
    let with_all = membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .filter(membership::Column::Role.eq(GroupRole::Owner))
        .filter(membership::Column::UserId.in_subquery(of_group.into_query()))
        .group_by(membership::Column::UserId)
        .having(membership::Column::GroupId.count().gte(MOST_GROUPS_OWNED_BY_A_USER));
    Condition::any().add(administrators()).add(membership::Column::UserId.not_in_subquery(with_all.into_query()))
}

fn members(group_id: Id, leaving: Id) -> Select<membership::Entity> {
    membership::Entity::find()
        .select_only()
        .columns([membership::Column::UserId, membership::Column::Role])
        .join(JoinType::InnerJoin, membership::Relation::User.def())
        .filter(membership::Column::GroupId.eq(group_id))
        .filter(membership::Column::UserId.ne(leaving))
        .filter(user::Column::IsActive.eq(true))
}

async fn longest(
    members: Select<membership::Entity>,
    transaction: &DatabaseTransaction,
) -> Result<Option<Successor>, Error> {
    let members = members.order_by_asc(membership::Column::JoinedAt).order_by_asc(membership::Column::UserId);
    Ok(members.into_model().one(transaction).await?)
}

/// The actor, if the actor administers the license of the group, or else a license administrator, who do not belong to the
/// group and belong to fewer groups than they may.
async fn administrator(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    group: &group::Model,
    leaving: Id,
) -> Result<Option<Successor>, Error> {
    let candidates = user::Entity::find()
        .filter(actor.administers_license(group.license_id))
        .filter(user::Column::Id.ne(leaving))
        .filter(user::Column::IsActive.eq(true))
        .order_by(first(user::Column::Id.eq(actor.signed_in()?.user_id)), Order::Asc)
        .order_by_asc(user::Column::DateJoined)
        .order_by_asc(user::Column::Id)
        .limit(MOST_CANDIDATES)
        // People are locked before groups elsewhere: whoever is locked now is passed over, and nobody waits in a circle.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    for candidate in candidates.all(transaction).await? {
        let of_candidate = membership::Entity::find().filter(membership::Column::UserId.eq(candidate.id));
        if of_candidate.count(transaction).await? < MOST_GROUPS_OF_A_USER {
            return Ok(Some(Successor { user_id: candidate.id, role: None }));
        }
    }
    Ok(None)
}

/// How many administrators are asked for room for one more group.
const MOST_CANDIDATES: u64 = 10;

async fn appoint(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    group: &group::Model,
    successor: Successor,
) -> Result<Entry, Error> {
    let Successor { user_id, role } = successor;
    if role.is_some() {
        membership::Entity::update_many()
            .col_expr(membership::Column::Role, Expr::value(GroupRole::Owner))
            .filter(membership::Column::GroupId.eq(group.id))
            .filter(membership::Column::UserId.eq(user_id))
            .exec(transaction)
            .await?;
    } else {
        let new = membership::Model { user_id, group_id: group.id, role: GroupRole::Owner, joined_at: now() };
        new.into_active_model().reset_all().insert(transaction).await?;
    }
    let id: Value = user_id.0.to_string().into();
    let text = |role: GroupRole| Value::from(role.to_value());
    let changes = [
        Change::of("userId", role.map(|_| id.clone()), Some(id.clone())),
        Change::of("role", role.map(text), Some(text(GroupRole::Owner))),
    ];
    Ok(Entry::new(AuditAction::GroupMemberSet, group).by(actor).with(changes))
}
