//! Group ownership: passes groups that lose their last owner on to another user.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Order, SimpleExpr};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationTrait, Select,
};
use serde_json::Value;

use crate::access::administrators;
use crate::actor::Actor;
use crate::audit::{Change, Entry, difference};
use crate::db::conditions::one_of;
use crate::db::{Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::membership::{self, GroupRole, MAX_GROUPS_OF_A_USER, MAX_GROUPS_OWNED_BY_A_USER};
use crate::entity::{group, user};
use crate::error::Error;
use crate::scalar::{Id, now};

/// The reason why a user no longer owns groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The user is about to be erased, together with their memberships.
    Erasure,
    /// The user is about to be deactivated, and remains in the groups.
    Deactivation,
}

/// The groups that have a new owner, and the events of all changes.
#[derive(Default)]
pub struct PassedOn {
    pub groups: Vec<group::Model>,
    pub events: Vec<Entry>,
}

/// Makes another user the owner of each group whose last owner is leaving. For an erasure, every other owner counts, active or
/// not; for a deactivation, only active ones do. The new owner is the manager who has been a member for longest, else an
/// administrator among the members, else the actor or a license administrator with room for the group, else the member who has
/// been one for longest. A group without other members stays with a user who is deactivated; with a user who is erased, it is
/// deleted if no administrator has room for it.
pub async fn pass_on(
    transaction: &Transaction,
    actor: &Actor,
    leaving: &user::Model,
    cause: Cause,
) -> Result<PassedOn, Error> {
    let mut passed_on = PassedOn::default();
    for group in lock_groups_without_other_owner(transaction, leaving.id, cause).await? {
        let members = members_except(group.id, leaving.id);
        let found = if let Some(found) = find_successor(transaction, members.clone()).await? {
            Some(found)
        } else {
            let member = longest_member(members, transaction).await?;
            if member.is_none() && cause == Cause::Deactivation {
                continue;
            }
            find_administrator(transaction, actor, &group, leaving.id).await?.or(member)
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

/// Makes another member the owner when the last owner leaves a group voluntarily: in the order of [`pass_on`], but only among
/// members, and only among those who may own one more group. Otherwise leaving would be a way to fill up another user's quota.
/// Returns the event; `None` if no member qualifies.
pub async fn pass_on_to_member(
    transaction: &Transaction,
    actor: &Actor,
    group: &group::Model,
    leaving: Id,
) -> Result<Option<Entry>, Error> {
    let candidates = members_except(group.id, leaving).filter(may_own_one_more(group.id));
    let found = find_successor(transaction, candidates.clone()).await?;
    let found = if found.is_some() { found } else { longest_member(candidates, transaction).await? };
    match found {
        Some(found) => appoint(transaction, actor, group, found).await.map(Some),
        None => Ok(None),
    }
}

/// Locks the groups of a user, so that no other user becomes an owner there meanwhile; returns those that would lose their last
/// owner.
async fn lock_groups_without_other_owner(
    transaction: &Transaction,
    leaving: Id,
    cause: Cause,
) -> Result<Vec<group::Model>, Error> {
    let of_user = membership::Entity::find().filter(membership::Column::UserId.eq(leaving));
    let owned = of_user.clone().filter(membership::Column::Role.eq(GroupRole::Owner));
    // A user who is to be erased may still become an owner when another user leaves a group, so all groups are locked.
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

async fn group_ids(select: Select<membership::Entity>, transaction: &Transaction) -> Result<HashSet<Id>, Error> {
    let ids: Vec<Id> = select.select_only().column(membership::Column::GroupId).into_tuple().all(transaction).await?;
    Ok(ids.into_iter().collect())
}

/// The next owner of a group, and their current role in it.
#[derive(FromQueryResult)]
struct Successor {
    user_id: Id,
    role: Option<GroupRole>,
}

/// Returns the manager who has been in the group for longest, or else the administrator among the members who has.
async fn find_successor(
    transaction: &Transaction,
    members: Select<membership::Entity>,
) -> Result<Option<Successor>, Error> {
    let is_manager = membership::Column::Role.eq(GroupRole::Manager);
    let candidates = members
        .filter(Condition::any().add(is_manager.clone()).add(administrators()))
        .order_by(matches_first(is_manager), Order::Asc);
    longest_member(candidates, transaction).await
}

/// Returns an order in which the rows that meet a condition come first.
fn matches_first(condition: SimpleExpr) -> SimpleExpr {
    Expr::case(condition, 0).finally(1).into()
}

/// Returns the condition for administrators, and for members of a group who own fewer groups than the limit.
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
        .having(membership::Column::GroupId.count().gte(MAX_GROUPS_OWNED_BY_A_USER));
    Condition::any().add(administrators()).add(membership::Column::UserId.not_in_subquery(with_all.into_query()))
}

fn members_except(group_id: Id, leaving: Id) -> Select<membership::Entity> {
    membership::Entity::find()
        .select_only()
        .columns([membership::Column::UserId, membership::Column::Role])
        .join(JoinType::InnerJoin, membership::Relation::User.def())
        .filter(membership::Column::GroupId.eq(group_id))
        .filter(membership::Column::UserId.ne(leaving))
        .filter(user::Column::IsActive.eq(true))
}

async fn longest_member(
    members: Select<membership::Entity>,
    transaction: &Transaction,
) -> Result<Option<Successor>, Error> {
    let members = members.order_by_asc(membership::Column::JoinedAt).order_by_asc(membership::Column::UserId);
    Ok(members.into_model().one(transaction).await?)
}

/// Returns the actor if they administer the license of the group, or else a license administrator. Either is not a member of
/// the group and belongs to fewer groups than the limit.
async fn find_administrator(
    transaction: &Transaction,
    actor: &Actor,
    group: &group::Model,
    leaving: Id,
) -> Result<Option<Successor>, Error> {
    let candidates = user::Entity::find()
        .filter(actor.administers_license(group.license_id))
        .filter(user::Column::Id.ne(leaving))
        .filter(user::Column::IsActive.eq(true))
        .order_by(matches_first(user::Column::Id.eq(actor.signed_in()?.user_id)), Order::Asc)
        .order_by_asc(user::Column::DateJoined)
        .order_by_asc(user::Column::Id)
        .limit(MAX_CANDIDATES)
        // Users are locked before groups elsewhere. Skipping users who are locked now prevents deadlocks.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    for candidate in candidates.all(transaction).await? {
        let of_candidate = membership::Entity::find().filter(membership::Column::UserId.eq(candidate.id));
        if of_candidate.count(transaction).await? < MAX_GROUPS_OF_A_USER {
            return Ok(Some(Successor { user_id: candidate.id, role: None }));
        }
    }
    Ok(None)
}

/// The number of administrators who are checked for room for one more group.
const MAX_CANDIDATES: u64 = 10;

async fn appoint(
    transaction: &Transaction,
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
        rows::insert(transaction, new).await?;
    }
    let id: Value = user_id.0.to_string().into();
    let text = |role: GroupRole| Value::from(role.to_value());
    let changes = [
        Change::of("userId", role.map(|_| id.clone()), Some(id.clone())),
        Change::of("role", role.map(text), Some(text(GroupRole::Owner))),
    ];
    Ok(Entry::new(AuditAction::GroupMemberSet, group).by(actor).with(changes))
}
