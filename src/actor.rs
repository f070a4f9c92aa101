//! The actor of a mutation: its viewer, locked and read again in the mutation's own transaction, so that a mutation has the
//! rights that its actor has when it commits.
//!
//! Features begin their transactions here and nowhere else. On PostgreSQL every transaction locks in one order: the rows of
//! users by ID, then licenses, attribute definitions, groups and institutions. One that erases a user locks the end of the audit
//! trail last; others leave that to the sealer. A transaction that ends a session or an API key, or revokes a right, locks its
//! owner's row exclusively.

use std::ops::Deref;

use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityName, EntityTrait, FromQueryResult, JoinType, PrimaryKeyTrait,
    QueryFilter, QuerySelect, QueryTrait, RelationTrait, Select,
};

use crate::access::{AuthMethod, SignedIn, Viewer, active_in_valid_license, is_same_license};
use crate::db::conditions::{Lock, waits_in_line};
use crate::db::{Db, Transaction};
use crate::entity::subject::Subject;
use crate::entity::user::Role;
use crate::entity::{api_key, session, user};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// The viewer as of the transaction of a mutation. Beginning such a transaction is the only way to get one.
#[derive(Clone, Debug)]
pub struct Actor(Viewer);

impl Deref for Actor {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        &self.0
    }
}

/// Begins a mutation's transaction: locks and reads its actor.
///
/// # Errors
/// `Unauthenticated` if the session or the API key has ended, the actor is inactive or no longer exists, or the license is not
/// in force.
pub async fn begin(db: &Db, viewer: &Viewer) -> Result<(Transaction, Actor), Error> {
    let transaction = begin_transaction(db).await?;
    let (actor, _) = lock_actor(&transaction, viewer, Lock::Shared).await?;
    Ok((transaction, actor))
}

/// Begins a mutation that changes its own actor; returns the actor's row as well.
///
/// # Errors
/// As [`begin`].
pub async fn begin_on_oneself(db: &Db, viewer: &Viewer) -> Result<(Transaction, Actor, user::Model), Error> {
    let transaction = begin_transaction(db).await?;
    let (actor, own) = lock_actor(&transaction, viewer, Lock::Exclusive).await?;
    Ok((transaction, actor, own))
}

/// Begins a mutation that changes a user; returns the user's row as well, locked, or `None` if the actor can see no user with
/// this ID.
///
/// # Errors
/// As [`begin`].
pub async fn begin_on(
    db: &Db,
    viewer: &Viewer,
    user_id: Id,
) -> Result<(Transaction, Actor, Option<user::Model>), Error> {
    let own_id = viewer.signed_in()?.user_id;
    if user_id == own_id {
        let (transaction, actor, own) = begin_on_oneself(db, viewer).await?;
        return Ok((transaction, actor, Some(own)));
    }
    let transaction = begin_transaction(db).await?;
    // Locks by ID, so that two users who change each other do not deadlock.
    let is_subject_first = user_id < own_id;
    let before = if is_subject_first { lock_subject(&transaction, viewer, user_id).await? } else { None };
    let (actor, _) = lock_actor(&transaction, viewer, Lock::Shared).await?;
    let found = if is_subject_first { before } else { lock_subject(&transaction, viewer, user_id).await? };
    let found = found.filter(|found| actor.can_see_user(found));
    Ok((transaction, actor, found))
}

/// Begins a mutation as [`begin_on`] does, and requires that the user exists; `field` is the input field that names the user.
///
/// # Errors
/// As [`begin`]; `Rejected` if the actor can see no user with this ID.
pub async fn begin_on_known(
    db: &Db,
    viewer: &Viewer,
    field: &str,
    user_id: Id,
) -> Result<(Transaction, Actor, user::Model), Error> {
    let (transaction, actor, found) = begin_on(db, viewer, user_id).await?;
    Ok((transaction, actor, found.ok_or_else(|| Error::not_found(field, "user"))?))
}

/// The rows locked by a mutation that changes the relation of a user to another object.
pub struct LockedPair<M> {
    pub transaction: Transaction,
    pub actor: Actor,
    pub user: user::Model,
    pub other: M,
}

/// Identifies the other object of such a mutation.
#[derive(Clone, Copy, Debug)]
pub struct ObjectKey {
    /// The input field with the ID, for errors.
    pub field: &'static str,
    /// The noun for the object in messages.
    pub noun: &'static str,
    pub id: Id,
}

/// Begins a mutation that changes the relation of a user to another object of the same license: locks and reads both; `visible`
/// is the condition for the objects that a viewer can see.
///
/// # Errors
/// As [`begin`]; `Rejected`, naming the fields, if the user or the other object does not exist.
pub async fn begin_on_pair<M>(
    db: &Db,
    viewer: &Viewer,
    user_id: Id,
    object: ObjectKey,
    visible: impl Fn(&Viewer) -> Condition + Send,
) -> Result<LockedPair<M>, Error>
where
    M: Subject + Send,
    M::Entity: EntityTrait<Model = M>,
    <M::Entity as EntityTrait>::PrimaryKey: PrimaryKeyTrait<ValueType = Id>,
{
    let ObjectKey { field, noun, id } = object;
    let (transaction, actor, user) = begin_on(db, viewer, user_id).await?;
    let other = M::Entity::find_by_id(id).filter(visible(&actor)).lock_exclusive().one(&transaction).await?;
    let user = user.filter(|user| other.as_ref().is_none_or(|other| is_same_license(other.ids().1, user.license_id)));
    let mut validator = Validator::changing();
    if other.is_none() {
        validator.add_error(field, ErrorCode::NotFound, format!("There is no such {noun}."));
    }
    if user.is_none() {
        validator.add_error("userId", ErrorCode::NotFound, "There is no such user.");
    }
    validator.finish()?;
    let (user, other) = user.zip(other).ok_or_else(|| Error::internal("a missing row passed validation"))?;
    Ok(LockedPair { transaction, actor, user, other })
}

#[expect(clippy::disallowed_methods, reason = "every mutation begins here, and its actor is locked next")]
async fn begin_transaction(db: &Db) -> Result<Transaction, Error> {
    db.begin().await
}

async fn lock_subject(transaction: &Transaction, viewer: &Viewer, user_id: Id) -> Result<Option<user::Model>, Error> {
    // Filters by the rights that the viewer had when the request began; the current rights are checked against the row
    // afterwards.
    let found = user::Entity::find_by_id(user_id).filter(viewer.visible_users());
    let turn = waits_in_line(transaction.get_database_backend(), Lock::Exclusive, user_id);
    Ok(found.filter(turn).lock_exclusive().one(transaction).await?)
}

/// The actor's row, and the role of the API key if the request uses one.
#[derive(FromQueryResult)]
struct ActorRow {
    #[sea_orm(nested)]
    own: user::Model,
    key_role: Option<Role>,
}

/// Locks and reads the actor, with the session or API key and the license, in one statement. The lock is shared, so that other
/// mutations of the same actor run concurrently, or exclusive if the mutation changes the actor's own row or rows that depend
/// on it.
async fn lock_actor(transaction: &Transaction, viewer: &Viewer, lock: Lock) -> Result<(Actor, user::Model), Error> {
    let SignedIn { user_id, auth_method, request_id, .. } = viewer.signed_in()?;
    let select = user::Entity::find_by_id(*user_id)
        .join(JoinType::InnerJoin, user::Relation::License.def())
        .filter(active_in_valid_license())
        .filter(waits_in_line(transaction.get_database_backend(), lock, *user_id));
    let (select, table) = match auth_method {
        AuthMethod::Session(id) => (with_session(select, *id), session::Entity.table_name()),
        AuthMethod::ApiKey(id, _) => (with_api_key(select, *id), api_key::Entity.table_name()),
    };
    let backend = transaction.get_database_backend();
    let mut statement = select.build(backend);
    if backend == DatabaseBackend::Postgres {
        let strength = match lock {
            Lock::Shared => "SHARE",
            Lock::Exclusive => "UPDATE",
        };
        // Locks the user's row first, as every transaction that ends a session does. The weakest lock on the session keeps it
        // from being ended, but not from being marked as used.
        statement.sql = format!(r#"{} FOR {strength} OF "users" FOR KEY SHARE OF "{table}""#, statement.sql);
    }
    let found = ActorRow::find_by_statement(statement).one(transaction).await?;
    let ActorRow { own, key_role } = found.ok_or(Error::Unauthenticated)?;
    let auth_method = match (auth_method, key_role) {
        (AuthMethod::ApiKey(id, _), Some(role)) => AuthMethod::ApiKey(*id, role),
        (auth_method, _) => *auth_method,
    };
    let actor = Actor(Viewer::SignedIn(SignedIn::new(&(&own).into(), auth_method, request_id.clone())));
    Ok((actor, own))
}

fn with_session(select: Select<user::Entity>, id: Id) -> Select<user::Entity> {
    select
        .column_as(Expr::val(None::<String>), "key_role")
        .join_rev(JoinType::InnerJoin, session::Relation::User.def())
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::ExpiresAt.gt(now()))
}

fn with_api_key(select: Select<user::Entity>, id: Id) -> Select<user::Entity> {
    select
        .column_as(api_key::Column::Role, "key_role")
        .join_rev(JoinType::InnerJoin, api_key::Relation::User.def())
        .filter(api_key::Column::Id.eq(id))
        .filter(api_key::alive())
}
