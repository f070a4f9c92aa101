//! Groups: creates, updates and deletes them, and changes their members.

pub mod input;
pub mod mutation;
pub mod query;

use sea_orm::{ActiveEnum, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use serde_json::Value;

use self::input::UpdateGroupInput;
use crate::access::{Action, Viewer};
use crate::actor::{self, Actor, LockedPair, ObjectKey};
use crate::audit::{self, Change as Changed, Entry, difference};
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::group::GroupFields;
use crate::entity::membership::{GroupRole, MAX_GROUPS_OF_A_USER, MAX_GROUPS_OWNED_BY_A_USER};
use crate::entity::{external_reference, group, group_reference, membership, user, versioned};
use crate::error::{Error, ErrorCode};
use crate::graphql::payload::{UpdateOptions, Updated};
use crate::ownership;
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// Creates a group in the viewer's license, with the viewer as its owner.
///
/// # Errors
/// `Rejected` with every error of the input, and with `NOT_ALLOWED` for one group too many; `Forbidden`.
pub async fn create(db: &Db, viewer: &Viewer, fields: GroupFields) -> Result<group::Model, Error> {
    let signed_in = viewer.signed_in()?;
    let mut validator = Validator::creating();
    let blank = group::Model::empty(Id::new(), signed_in.license_id);
    let mut new = blank.clone();
    new.apply(fields, &mut validator);
    let has_references = validator.given().contains(&external_reference::FIELD);
    viewer.may_reference_groups(has_references)?;
    if validator.has_errors() {
        check_references(db.read(), &new, &mut validator).await?;
    }
    validator.finish()?;
    let (transaction, viewer, own) = actor::begin_on_oneself(db, viewer).await?;
    viewer.may(Action::CreateGroup)?;
    viewer.may_reference_groups(has_references)?;
    check_group_limit(&transaction, own.id, "name").await?;
    check_quota(&transaction, &viewer, own.id, "name").await?;
    rows::insert(&transaction, new.clone()).await.map_err(map_unique_violation)?;
    let owner = membership::Model { user_id: own.id, group_id: new.id, role: GroupRole::Owner, joined_at: now() };
    rows::insert(&transaction, owner).await?;
    let event = Entry::new(AuditAction::GroupCreated, &new).by(&viewer).with(difference(&blank, &new));
    audit::commit(transaction, [event]).await?;
    Ok(new)
}

/// Updates a group's name, description and external references. An absent value stays unchanged; null clears it.
///
/// # Errors
/// `Rejected` with every error of the input; `Forbidden`.
pub async fn update(db: &Db, viewer: &Viewer, input: UpdateGroupInput) -> Result<Updated<group::Model>, Error> {
    let UpdateGroupInput { id, expected_version, name, description, external_references, dry_run } = input;
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    let old = lock_to_change(&transaction, &viewer, &id).await?;
    let mut validator = Validator::changing();
    let mut new = old.clone();
    new.apply(GroupFields { name, description, external_references }, &mut validator);
    viewer.may_reference_groups(validator.given().contains(&external_reference::FIELD))?;
    if dry_run || validator.has_errors() {
        check_references(&transaction, &new, &mut validator).await?;
    }
    validator.finish()?;
    let options = UpdateOptions { expected_version, dry_run };
    if let Some(unsaved) = Updated::without_saving(&old, &new, options) {
        return Ok(unsaved);
    }
    let event = Entry::new(AuditAction::GroupUpdated, &new).by(&viewer).with(difference(&old, &new));
    let new = versioned::save(&transaction, &old, new).await.map_err(map_unique_violation)?;
    audit::commit(transaction, [event]).await?;
    Ok(Updated::Saved(new))
}

/// Deletes a group. Its members are not deleted.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for an unknown ID; `Forbidden`.
pub async fn delete(db: &Db, viewer: &Viewer, id: &str) -> Result<group::Model, Error> {
    let (transaction, viewer) = actor::begin(db, viewer).await?;
    let old = lock_to_change(&transaction, &viewer, id).await?;
    group::Entity::delete_by_id(old.id).exec(&transaction).await?;
    let changes = difference(&old, &group::Model::empty(old.id, old.license_id));
    audit::commit(transaction, [Entry::new(AuditAction::GroupDeleted, &old).by(&viewer).with(changes)]).await?;
    Ok(old)
}

/// Adds an error if another group has one of the references.
async fn check_references(
    db: &impl ConnectionTrait,
    new: &group::Model,
    validator: &mut Validator,
) -> Result<(), Error> {
    let references = external_reference::list(new.external_references.as_ref());
    let taken = external_reference::taken::<group_reference::Entity>(db, new.license_id, new.id, &references).await?;
    if !taken.is_empty() {
        validator.add_error(external_reference::FIELD, ErrorCode::Taken, external_reference::TAKEN);
    }
    Ok(())
}

/// Turns a violated unique constraint into an error of the external references: nothing else of a group is unique.
fn map_unique_violation(error: DbErr) -> Error {
    Error::taken(external_reference::FIELD, external_reference::TAKEN)(error)
}

/// Locks and reads the row of a group that the viewer may update and delete. Under the lock the group's owners cannot
/// change.
async fn lock_to_change(transaction: &Transaction, viewer: &Viewer, id: &str) -> Result<group::Model, Error> {
    let id = Id::of_input("id", id)?;
    let found = group::Entity::find_by_id(id).filter(viewer.visible_groups()).lock_exclusive().one(transaction).await?;
    let group = found.ok_or_else(|| Error::not_found("id", "group"))?;
    let own = membership::Entity::find_by_id((viewer.signed_in()?.user_id, id)).one(transaction).await?;
    viewer.may_change_group(own.map(|membership| membership.role))?;
    Ok(group)
}

/// Adds a user to a group, or changes the user's role in it.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for unknown IDs, and with `NOT_ALLOWED` for one group too many and for the last owner;
/// `Forbidden`.
pub async fn set_member(
    db: &Db,
    viewer: &Viewer,
    group_id: &str,
    user_id: &str,
    role: GroupRole,
) -> Result<group::Model, Error> {
    let change = Change::begin(db, viewer, group_id, user_id).await?;
    change.actor.may_change_members(
        change.own,
        change.current.as_ref().map(|membership| membership.role),
        Some(role),
    )?;
    if role == GroupRole::Owner && change.current.as_ref().is_none_or(|current| current.role != role) {
        check_quota(&change.transaction, &change.actor, change.user.id, "userId").await?;
    }
    match &change.current {
        Some(current) if current.role == role => return Ok(change.group),
        Some(current) => {
            change.ensure_owner_remains().await?;
            let changed = membership::Model { role, ..current.clone() };
            rows::update(&change.transaction, current, changed).await?;
        }
        None => {
            check_group_limit(&change.transaction, change.user.id, "userId").await?;
            let new = membership::Model { user_id: change.user.id, group_id: change.group.id, role, joined_at: now() };
            rows::insert(&change.transaction, new).await?;
        }
    }
    change.commit(AuditAction::GroupMemberSet, Some(role), None).await
}

/// Removes a user from a group. May be repeated. When the last owner leaves, ownership passes to another member.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for unknown IDs, and with `NOT_ALLOWED` if another user would remove the last owner, or if
/// the last owner would leave and no other member can own the group; `Forbidden`.
pub async fn remove_member(db: &Db, viewer: &Viewer, group_id: &str, user_id: &str) -> Result<group::Model, Error> {
    let change = Change::begin(db, viewer, group_id, user_id).await?;
    let from = change.current.as_ref().map(|membership| membership.role);
    change.actor.may_remove_member(change.own, change.user.id, from)?;
    let Some(current) = &change.current else { return Ok(change.group) };
    let passed_on = change.pass_on_or_keep().await?;
    membership::Entity::delete_by_id((current.user_id, current.group_id)).exec(&change.transaction).await?;
    change.commit(AuditAction::GroupMemberRemoved, None, passed_on).await
}

/// A change of a group's members in progress. The rows of user and group are locked, so that changes of either are
/// serialized.
struct Change {
    transaction: Transaction,
    actor: Actor,
    group: group::Model,
    user: user::Model,
    current: Option<membership::Model>,
    own: Option<GroupRole>,
}

impl Change {
    async fn begin(db: &Db, viewer: &Viewer, group_id: &str, user_id: &str) -> Result<Self, Error> {
        let mut validator = Validator::changing();
        let (group_id, user_id) = (validator.id("groupId", group_id), validator.id("userId", user_id));
        validator.finish()?;
        let group = ObjectKey { field: "groupId", noun: "group", id: group_id };
        let LockedPair { transaction, actor, user, other: group } =
            actor::begin_on_pair::<group::Model>(db, viewer, user_id, group, Viewer::visible_groups).await?;
        let own_id = actor.signed_in()?.user_id;
        let memberships = membership::Entity::find()
            .filter(membership::Column::GroupId.eq(group.id))
            .filter(membership::Column::UserId.is_in([user.id, own_id]))
            .all(&transaction)
            .await?;
        let own = memberships.iter().find(|membership| membership.user_id == own_id).map(|membership| membership.role);
        let current = memberships.into_iter().find(|membership| membership.user_id == user.id);
        Ok(Self { transaction, actor, group, user, current, own })
    }

    /// Commits the change with its event, after the event `before` if there is one. Returns the group.
    async fn commit(
        self,
        action: AuditAction,
        role: Option<GroupRole>,
        before: Option<Entry>,
    ) -> Result<group::Model, Error> {
        let user: Value = self.user.id.0.to_string().into();
        let old = self.current.map(|current| current.role);
        let text = |role: GroupRole| Value::from(role.to_value());
        let changes = [
            Changed::of("userId", old.map(|_| user.clone()), role.map(|_| user.clone())),
            Changed::of("role", old.map(text), role.map(text)),
        ];
        let event = Entry::new(action, &self.group).by(&self.actor).with(changes);
        audit::commit(self.transaction, before.into_iter().chain([event])).await?;
        Ok(self.group)
    }

    /// Whether the group would lose its last owner.
    async fn is_of_last_owner(&self) -> Result<bool, Error> {
        if self.current.as_ref().is_none_or(|current| current.role != GroupRole::Owner) {
            return Ok(false);
        }
        Ok(membership::other_owners(self.group.id, self.user.id).count(&self.transaction).await? == 0)
    }

    /// Passes ownership on if the last owner leaves, and returns the event; otherwise refuses to remove the last owner.
    async fn pass_on_or_keep(&self) -> Result<Option<Entry>, Error> {
        if self.actor.signed_in()?.user_id != self.user.id {
            self.ensure_owner_remains().await?;
            return Ok(None);
        }
        if !self.is_of_last_owner().await? {
            return Ok(None);
        }
        let passed_on = ownership::pass_on_to_member(&self.transaction, &self.actor, &self.group, self.user.id).await?;
        if passed_on.is_none() {
            let message =
                "No other member of the group can own another group; delete the group, or ask an administrator.";
            return Err(Error::rejected("userId", ErrorCode::NotAllowed, message));
        }
        Ok(passed_on)
    }

    /// Refuses to remove the last owner, with `NOT_ALLOWED`: a group always has one.
    async fn ensure_owner_remains(&self) -> Result<(), Error> {
        if !self.is_of_last_owner().await? {
            return Ok(());
        }
        let message = format!("{} is the group's last owner; make another user an owner first.", self.user.name());
        Err(Error::rejected("userId", ErrorCode::NotAllowed, message))
    }
}

/// Refuses one owned group too many, with `NOT_ALLOWED`, unless the actor administers groups.
async fn check_quota(transaction: &Transaction, actor: &Actor, user_id: Id, field: &str) -> Result<(), Error> {
    if actor.administers_groups() {
        return Ok(());
    }
    let owned = membership::Entity::find()
        .filter(membership::Column::UserId.eq(user_id))
        .filter(membership::Column::Role.eq(GroupRole::Owner));
    if owned.count(transaction).await? < MAX_GROUPS_OWNED_BY_A_USER {
        return Ok(());
    }
    let message = format!(
        "A user can own at most {MAX_GROUPS_OWNED_BY_A_USER} groups; delete or transfer one, or ask an administrator."
    );
    Err(Error::rejected(field, ErrorCode::NotAllowed, message))
}

async fn check_group_limit(transaction: &Transaction, user_id: Id, field: &str) -> Result<(), Error> {
    let groups = membership::Entity::find().filter(membership::Column::UserId.eq(user_id)).count(transaction).await?;
    if groups < MAX_GROUPS_OF_A_USER {
        return Ok(());
    }
    Err(Error::rejected(
        field,
        ErrorCode::NotAllowed,
        format!("A user can belong to at most {MAX_GROUPS_OF_A_USER} groups."),
    ))
}
