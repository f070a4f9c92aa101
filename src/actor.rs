//! The actor of a mutation: its viewer, locked and read again in the mutation's own transaction, so that a mutation has the
//! rights that its actor has when it commits.
//!
//! Features begin their transactions here and nowhere else. On PostgreSQL every transaction locks in one order: the rows of
//! users, then licenses, attribute definitions, groups and institutions; several rows of one table by ID. A row that refers to
//! another one locks that one weakly, so an import locks the groups and institutions of its users before it writes them. One
//! that erases a user, or imports a file, locks the end of the audit trail last; others leave that to the sealer. A transaction
//! that ends a session or an API key, or revokes a right, locks its owner's row exclusively.

mod reliance;
mod several;
mod statement;

use std::ops::Deref;

use sea_orm::sea_query::{Condition, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityName, EntityTrait, FromQueryResult, PrimaryKeyTrait,
    QueryFilter, QueryResult, QuerySelect,
};

pub use self::reliance::{Reliance, Unlocked, read_on, rely_on};
pub use self::several::begin_on_all;
use self::statement::{ACTOR, EndOfTrail, row_locks, select_actor, wait_in_line};
use crate::access::{AuthMethod, SignedIn, Viewer, ViewerRow, is_same_license};
use crate::db::conditions::Lock;
use crate::db::{Db, Transaction};
use crate::entity::subject::Subject;
use crate::entity::user;
use crate::entity::user::Role;
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::validation::Validator;

/// The viewer as of the transaction of a mutation: read in the transaction, or compared by the single statement that is one. Both
/// begin in this module, the only one that makes actors.
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
    let row = lock(&transaction, viewer, Target::Nobody, Vec::new()).await?.ok_or(Error::Unauthenticated)?;
    let actor = actor_of(&row, viewer)?;
    Ok((transaction, actor))
}

/// Begins a mutation as [`begin`] does, and reads named values with the statement that reads the actor. They are those of the
/// moment in which the statement begins, before it waits for locks.
///
/// # Errors
/// As [`begin`].
pub async fn begin_with<V: FromQueryResult>(
    db: &Db,
    viewer: &Viewer,
    values: Vec<(&'static str, SimpleExpr)>,
) -> Result<(Transaction, Actor, V), Error> {
    let transaction = begin_transaction(db).await?;
    let row = lock(&transaction, viewer, Target::Nobody, values).await?.ok_or(Error::Unauthenticated)?;
    let (actor, values) = (actor_of(&row, viewer)?, V::from_query_result(&row, "")?);
    Ok((transaction, actor, values))
}

/// Begins a mutation that changes its own actor; returns the actor's row as well.
///
/// # Errors
/// As [`begin`].
pub async fn begin_on_oneself(db: &Db, viewer: &Viewer) -> Result<(Transaction, Actor, user::Model), Error> {
    let transaction = begin_transaction(db).await?;
    let row = lock(&transaction, viewer, Target::Actor, Vec::new()).await?.ok_or(Error::Unauthenticated)?;
    let (actor, own) = (actor_of(&row, viewer)?, user::Model::from_query_result(&row, "")?);
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
    if user_id == viewer.signed_in()?.user_id {
        let (transaction, actor, own) = begin_on_oneself(db, viewer).await?;
        return Ok((transaction, actor, Some(own)));
    }
    let transaction = begin_transaction(db).await?;
    if let Some(row) = lock(&transaction, viewer, Target::User(user_id), Vec::new()).await? {
        let (actor, found) = (actor_of(&row, viewer)?, user::Model::from_query_result(&row, "")?);
        let found = Some(found).filter(|found| actor.can_see_user(found));
        return Ok((transaction, actor, found));
    }
    // The actor or the user is missing.
    let row = lock(&transaction, viewer, Target::Nobody, Vec::new()).await?.ok_or(Error::Unauthenticated)?;
    let actor = actor_of(&row, viewer)?;
    Ok((transaction, actor, None))
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

/// The user whose row a mutation locks and reads beside the rights of its actor, to change it.
#[derive(Clone, Copy)]
enum Target {
    Nobody,
    /// The actor.
    Actor,
    /// Nobody else, and the actor's row is locked already. To wait in line after that would be a deadlock.
    LockedActor,
    /// Another user, whom the viewer could see when the request began; the actor's rights are checked against the row afterwards.
    User(Id),
}

/// The actor's rights, and the role of the API key if the request uses one.
#[derive(FromQueryResult)]
struct ActorRow {
    #[sea_orm(nested(prefix = "actor_"))]
    rights: ViewerRow,
    key_role: Option<Role>,
}

/// Locks and reads the actor, with the session or API key and the license, and the target, in one statement. The lock of the
/// actor is shared, so that other mutations of the same actor run concurrently, or exclusive if the mutation changes the actor's
/// own row or rows that depend on it. Returns `None` if the actor or the target is not found.
async fn lock(
    transaction: &Transaction,
    viewer: &Viewer,
    target: Target,
    values: Vec<(&'static str, SimpleExpr)>,
) -> Result<Option<QueryResult>, Error> {
    let (signed_in, backend) = (viewer.signed_in()?, transaction.get_database_backend());
    let mut select = select_actor(signed_in);
    let mut locks = vec![(signed_in.user_id, Lock::Shared, ACTOR)];
    match target {
        Target::Nobody => {}
        Target::LockedActor => locks.clear(),
        Target::Actor => {
            locks = vec![(signed_in.user_id, Lock::Exclusive, ACTOR)];
            select.expr(statement::columns_of_actor());
        }
        Target::User(id) => {
            locks.push((id, Lock::Exclusive, user::Entity.table_name()));
            select.inner_join(user::Entity, user::Column::Id.eq(id)).cond_where(viewer.visible_users());
            select.expr(statement::columns_of_user());
        }
    }
    wait_in_line(&mut select, backend, &mut locks);
    for (name, value) in values {
        select.expr_as(value, name);
    }
    if backend == DatabaseBackend::Postgres {
        let mut statement = backend.build(&select);
        statement.sql.push_str(&row_locks(&locks, signed_in.auth_method));
        return Ok(transaction.query_one_raw(statement).await?);
    }
    // A transaction of SQLite is the only one that writes, from its beginning to its end.
    let row = transaction.query_one(select.expr(statement::end_of_trail())).await?;
    if let Some(row) = &row {
        note_end_of_trail(transaction, row)?;
    }
    Ok(row)
}

fn note_end_of_trail(transaction: &Transaction, row: &QueryResult) -> Result<(), Error> {
    if let EndOfTrail { trail_seq: Some(seq), trail_hash: Some(hash) } = EndOfTrail::from_query_result(row, "")? {
        transaction.note_end_of_trail(seq, hash);
    }
    Ok(())
}

/// Returns the actor that a row of [`lock`] describes.
fn actor_of(row: &QueryResult, viewer: &Viewer) -> Result<Actor, Error> {
    let SignedIn { auth_method, request_id, .. } = viewer.signed_in()?;
    let ActorRow { rights, key_role } = ActorRow::from_query_result(row, "")?;
    let auth_method = match (auth_method, key_role) {
        (AuthMethod::ApiKey(id, _), Some(role)) => AuthMethod::ApiKey(*id, role),
        (auth_method, _) => *auth_method,
    };
    Ok(Actor(Viewer::SignedIn(SignedIn::new(&rights, auth_method, request_id.clone()))))
}
