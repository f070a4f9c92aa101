//! Mutations that are one statement on PostgreSQL, without the round trips of a transaction.
//!
//! Such a mutation reads without locks, and its statement relies on what was read: it locks the actor, and the user whom it changes, as
//! a transaction would, and writes only if they are still the same. Otherwise the mutation runs as a transaction, which waits for no
//! row to stay the same.

use std::fmt::Write as _;

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityName, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    QueryTrait, Statement,
};

use super::Actor;
use super::statement::{ACTOR, find_actor, row_locks, row_version, same_rights, wait_in_line};
use crate::access::{SignedIn, Viewer};
use crate::db::Db;
use crate::db::conditions::Lock;
use crate::entity::{institution, license, user};
use crate::error::Error;
use crate::scalar::Id;

/// The name of the version of a row in a result.
const ROW_VERSION: &str = "row_version";

/// What the statement of a mutation relies on.
#[derive(Clone, Debug)]
pub struct Reliance {
    actor: SignedIn,
    /// The user whom the mutation changes, and the version of the row.
    target: Option<(Id, i64)>,
    /// The institution of the user whom the mutation creates in the actor's license.
    institution_id: Option<Id>,
    conditions: Vec<SimpleExpr>,
}

/// The rows that a mutation has read without a lock.
#[derive(Debug)]
pub struct Unlocked {
    pub actor: Actor,
    pub user: user::Model,
    pub reliance: Reliance,
}

/// Relies on the actor's rights as the request has read them. `None` if a single statement saves nothing, or for an anonymous viewer.
#[must_use]
pub fn rely_on(db: &Db, viewer: &Viewer) -> Option<(Actor, Reliance)> {
    let Viewer::SignedIn(actor) = viewer else { return None };
    let reliance = Reliance { actor: actor.clone(), target: None, institution_id: None, conditions: Vec::new() };
    db.write().can_execute_once().then(|| (Actor(viewer.clone()), reliance))
}

/// Reads a user without locking the row, and relies on it as well as [`rely_on`] does on the actor's rights. `None` if a single
/// statement saves nothing, or if the actor can see no user with this ID.
///
/// # Errors
/// `Unavailable` if the database cannot be reached.
pub async fn read_on(db: &Db, viewer: &Viewer, user_id: Id) -> Result<Option<Unlocked>, Error> {
    let Some((actor, reliance)) = rely_on(db, viewer) else { return Ok(None) };
    let version = Expr::cust(row_version(user::Entity.table_name()));
    let select = user::Entity::find_by_id(user_id).filter(actor.visible_users()).expr_as(version, ROW_VERSION);
    let Some(row) = db.read().query_one(&QueryTrait::into_query(select)).await? else { return Ok(None) };
    let user = user::Model::from_query_result(&row, "")?;
    let target = Some((user_id, row.try_get("", ROW_VERSION)?));
    Ok(Some(Unlocked { actor, user, reliance: Reliance { target, ..reliance } }))
}

impl Reliance {
    /// The name of the statement's result: a row if everything is still so, and none otherwise.
    pub const NAME: &str = "unchanged";

    /// Relies on the existence of the institution of a new user as well, if the user has one.
    #[must_use]
    pub fn with_institution(self, institution_id: Option<Id>) -> Self {
        Self { institution_id, ..self }
    }

    /// Relies on conditions as well. They are those of the moment in which the statement begins, before it waits for locks.
    #[must_use]
    pub fn with(self, conditions: Vec<SimpleExpr>) -> Self {
        Self { conditions, ..self }
    }

    /// Returns the statement of PostgreSQL that locks and checks the rows.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let (actor, backend) = (&self.actor, DatabaseBackend::Postgres);
        let mut select = find_actor(actor);
        select.expr(Expr::cust("1")).cond_where(same_rights(actor));
        let (mut locks, mut referenced) = (vec![(actor.user_id, Lock::Shared, ACTOR)], Vec::new());
        if let Some((id, version)) = self.target {
            let table = if id == actor.user_id {
                locks = vec![(id, Lock::Exclusive, ACTOR)];
                ACTOR
            } else {
                let table = user::Entity.table_name();
                locks.push((id, Lock::Exclusive, table));
                select.inner_join(user::Entity, user::Column::Id.eq(id));
                table
            };
            select.and_where(Expr::cust(row_version(table)).eq(version));
        } else {
            referenced.push(license::Entity.table_name());
            if let Some(id) = self.institution_id {
                select.inner_join(institution::Entity, institution::Column::Id.eq(id));
                referenced.push(institution::Entity.table_name());
            }
        }
        wait_in_line(&mut select, backend, &mut locks);
        for condition in &self.conditions {
            select.and_where(condition.clone());
        }
        let mut statement = backend.build(&select);
        statement.sql.push_str(&row_locks(&locks, actor.auth_method));
        // As the foreign keys of a new user lock them, but that is after the event has its number.
        for table in referenced {
            let _ = write!(statement.sql, r#" FOR KEY SHARE OF "{table}""#);
        }
        statement
    }
}
