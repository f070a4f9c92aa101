//! The parts of the statement that locks and reads the actor of a mutation. Columns are kept as text, because every mutation begins
//! with this statement: composing an expression for each column takes as long as running many a statement.

use std::sync::LazyLock;

use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query, SelectStatement, SimpleExpr};
use sea_orm::{ColumnTrait, DatabaseBackend, EntityName, FromQueryResult, IdenStatic, Iterable};

use crate::access::{AuthMethod, SignedIn, ViewerRow, active_in_valid_license_as};
use crate::db::conditions::{Lock, waits_in_line};
use crate::entity::{api_key, license, session, user};
use crate::scalar::{Id, now};

/// The name of the actor's row in the statement.
pub(super) const ACTOR: &str = "actor";

/// The columns of the actor's rights.
static RIGHTS: LazyLock<String> = LazyLock::new(|| {
    let columns = ViewerRow::COLUMNS.map(|column| format!(r#""{ACTOR}"."{0}" AS "actor_{0}""#, column.as_str()));
    format!(r#""{ACTOR}"."id" AS "actor_user_id", {}"#, columns.join(", "))
});

static COLUMNS_OF_ACTOR: LazyLock<String> = LazyLock::new(|| columns_of(ACTOR));
static COLUMNS_OF_USER: LazyLock<String> = LazyLock::new(|| columns_of(user::Entity.table_name()));

/// The columns of [`EndOfTrail`].
const END_OF_TRAIL: &str = "(SELECT seq FROM audit_head WHERE only_one = 1) AS trail_seq, \
                            (SELECT hash FROM audit_head WHERE only_one = 1) AS trail_hash";

fn columns_of(table: &str) -> String {
    let columns = user::Column::iter().map(|column| format!(r#""{table}"."{}""#, column.as_str()));
    columns.collect::<Vec<_>>().join(", ")
}

/// Returns all columns of the actor's row.
pub(super) fn columns_of_actor() -> SimpleExpr {
    Expr::cust(COLUMNS_OF_ACTOR.as_str())
}

/// Returns all columns of the row of the other user.
pub(super) fn columns_of_user() -> SimpleExpr {
    Expr::cust(COLUMNS_OF_USER.as_str())
}

/// Returns the columns of [`EndOfTrail`].
pub(super) fn end_of_trail() -> SimpleExpr {
    Expr::cust(END_OF_TRAIL)
}

/// The number and the hash of the last event of the audit trail.
#[derive(FromQueryResult)]
pub(super) struct EndOfTrail {
    pub(super) trail_seq: Option<i64>,
    pub(super) trail_hash: Option<Vec<u8>>,
}

/// The lock of the row of a user, which a statement has under a name.
pub(super) type UserLock = (Id, Lock, &'static str);

/// Has a statement wait in line for the rows of users, by ID, so that two users who change each other do not deadlock. Sorts the
/// locks in that order, for [`row_locks`].
pub(super) fn wait_in_line(select: &mut SelectStatement, backend: DatabaseBackend, locks: &mut [UserLock]) {
    locks.sort_by_key(|(id, ..)| *id);
    for (id, lock, _) in locks {
        select.cond_where(waits_in_line(backend, *lock, *id));
    }
}

/// Returns the clauses that lock rows of users, in their order, and then the session or the API key. Every transaction that ends a
/// session locks its user's row first. The weakest lock on the session keeps it from being ended, but not from being marked as
/// used.
pub(super) fn row_locks(users: &[UserLock], auth_method: AuthMethod) -> String {
    let of_user = |(_, lock, table): &UserLock| {
        let strength = match lock {
            Lock::Shared => "SHARE",
            Lock::Exclusive => "UPDATE",
        };
        format!(r#" FOR {strength} OF "{table}""#)
    };
    let users: Vec<String> = users.iter().map(of_user).collect();
    let table = match auth_method {
        AuthMethod::Session(_) => session::Entity.table_name(),
        AuthMethod::ApiKey(..) => api_key::Entity.table_name(),
    };
    format!(r#"{} FOR KEY SHARE OF "{table}""#, users.concat())
}

/// Returns the statement that reads the actor's rights, if the actor is still signed in.
pub(super) fn select_actor(signed_in: &SignedIn) -> SelectStatement {
    let mut select = find_actor(signed_in);
    select.expr(Expr::cust(RIGHTS.as_str()));
    match signed_in.auth_method {
        AuthMethod::Session(_) => select.expr(Expr::cust("CAST(NULL AS text) AS key_role")),
        AuthMethod::ApiKey(..) => select.expr_as(Expr::col((api_key::Entity, api_key::Column::Role)), "key_role"),
    };
    select
}

/// Returns a statement without columns that finds the actor, if the actor is still signed in.
pub(super) fn find_actor(signed_in: &SignedIn) -> SelectStatement {
    let of_actor = |column: user::Column| Expr::col((ACTOR, column));
    let mut select = Query::select();
    select.from_as(user::Entity, ACTOR);
    select
        .inner_join(license::Entity, of_actor(user::Column::LicenseId).equals((license::Entity, license::Column::Id)));
    select.and_where(of_actor(user::Column::Id).eq(signed_in.user_id)).cond_where(active_in_valid_license_as(ACTOR));
    match signed_in.auth_method {
        AuthMethod::Session(id) => {
            let of_session = of_actor(user::Column::Id).equals((session::Entity, session::Column::UserId));
            select.inner_join(session::Entity, of_session);
            select.and_where(session::Column::Id.eq(id)).and_where(session::Column::ExpiresAt.gt(now()));
        }
        AuthMethod::ApiKey(id, _) => {
            let of_key = of_actor(user::Column::Id).equals((api_key::Entity, api_key::Column::UserId));
            select.inner_join(api_key::Entity, of_key);
            select.and_where(api_key::Column::Id.eq(id)).cond_where(api_key::alive());
        }
    }
    select
}

/// The columns of the actor's rights, as one value.
static RIGHTS_AS_ONE: LazyLock<String> = LazyLock::new(|| {
    let columns = ViewerRow::COLUMNS.map(|column| format!(r#""{ACTOR}"."{}""#, column.as_str()));
    format!("({})", columns.join(", "))
});

/// Returns the condition of PostgreSQL that the actor's rights are as they were read.
pub(super) fn same_rights(signed_in: &SignedIn) -> Condition {
    let values = Expr::tuple(signed_in.row.values().map(Expr::value));
    let same = Condition::all().add(Expr::cust(RIGHTS_AS_ONE.as_str()).eq(values));
    match signed_in.auth_method {
        AuthMethod::Session(_) => same,
        AuthMethod::ApiKey(_, role) => same.add(api_key::Column::Role.eq(role)),
    }
}

/// Returns the version of a row of PostgreSQL: the number of the transaction that wrote it.
pub(super) fn row_version(table: &str) -> String {
    format!(r#""{table}"."xmin"::text::bigint"#)
}
