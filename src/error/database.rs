//! The errors of the database: which of them are temporary, and what the codes of PostgreSQL and SQLite mean.

use std::borrow::Cow;
use std::sync::Arc;

use sea_orm::sqlx::Error as Sqlx;
use sea_orm::sqlx::sqlite::SqliteError;
use sea_orm::{DbErr, RuntimeErr};

use super::Error;

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let is_unreachable = matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_));
        if is_unreachable || cannot_work(&error) || sqlx_error(&error).is_some_and(is_temporary) {
            Self::Unavailable(Arc::new(error))
        } else {
            Self::Internal(Arc::new(error))
        }
    }
}

/// Returns whether an error means that the connection was closed, by the database or on the way to it.
#[must_use]
pub fn is_disconnect(error: &DbErr) -> bool {
    sqlx_error(error).is_some_and(|error| match error {
        Sqlx::Io(_) => true,
        Sqlx::Database(error) => error.code().is_some_and(|code| ends_connection(&code)),
        _ => false,
    })
}

/// Returns whether a code of PostgreSQL means that the connection is closed (Appendix A of its manual): connection exceptions, idle
/// sessions and shutdowns. Connection poolers report whatever fails behind them as a connection exception.
fn ends_connection(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "25P03" | "57P01" | "57P02" | "57P03" | "57P05")
}

/// Returns whether an error means that a transaction of PostgreSQL may only read, as on a standby.
#[must_use]
pub fn is_read_only(error: &DbErr) -> bool {
    database_code(error).is_some_and(|code| code == "25006")
}

/// Returns whether an error means that PostgreSQL has ended a transaction in favour of others: serialization failure, deadlock,
/// lock not available in time (Appendix A of its manual).
#[must_use]
pub fn is_lock_conflict(error: &DbErr) -> bool {
    database_code(error).is_some_and(|code| matches!(&*code, "40001" | "40P01" | "55P03"))
}

/// What to do if a statement that this connection has prepared is missing, or one that it has not prepared exists.
const SHARED_CONNECTION: &str =
    "others share the connection, as behind a pooler in transaction mode: set pooler=transaction in the URL";

/// Describes the cause of an error to operators. Of an error that the database has reported, that is its message, without the line
/// of its own source that it adds.
#[must_use]
pub fn describe(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    match cause.downcast_ref().and_then(sqlx_error) {
        Some(Sqlx::Database(error)) if error.code().is_some_and(|code| matches!(&*code, "42P05" | "26000")) => {
            format!("{}: {SHARED_CONNECTION}", error.message())
        }
        Some(Sqlx::Database(error)) => error.message().to_owned(),
        _ => match cause.downcast_ref() {
            Some(DbErr::Exec(RuntimeErr::Internal(message))) => message.clone(),
            _ => cause.to_string(),
        },
    }
}

/// Says why the database does not serve, by the cause of an [`Error::Unavailable`]: it cannot be reached, or cannot do its work.
#[must_use]
pub fn unavailability(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> &'static str {
    if cause.downcast_ref().is_some_and(cannot_work) {
        "the database cannot do its work at present"
    } else {
        "the database cannot be reached"
    }
}

/// Returns whether an error means that the database is there and cannot do its work at present, such as for a full disk. It may
/// report so when a connection is opened, too. The only execution error that has no error of the database is that of the
/// transaction that writers of SQLite share: it was rolled back.
#[must_use]
pub fn cannot_work(error: &DbErr) -> bool {
    match error {
        DbErr::Exec(RuntimeErr::Internal(_)) => true,
        _ => !is_disconnect(error) && database_code(error).is_some() && sqlx_error(error).is_some_and(is_temporary),
    }
}

/// Returns the code of an error that the database has reported.
#[must_use]
pub fn database_code(error: &DbErr) -> Option<Cow<'_, str>> {
    match sqlx_error(error) {
        Some(Sqlx::Database(error)) => error.code(),
        _ => None,
    }
}

fn sqlx_error(error: &DbErr) -> Option<&Sqlx> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Returns whether a later attempt may succeed: the connection is lost, or the database reports a temporary error.
fn is_temporary(error: &Sqlx) -> bool {
    match error {
        Sqlx::Io(_) | Sqlx::PoolTimedOut | Sqlx::PoolClosed => true,
        Sqlx::Database(error) => error.code().is_some_and(|code| match error.try_downcast_ref::<SqliteError>() {
            // Busy, locked, read-only, disk error, full, file cannot be opened (extended codes have these in their low byte,
            // https://sqlite.org/rescode.html).
            Some(_) => code.parse().is_ok_and(|code: u32| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
            None => ends_connection(&code) || is_transient(&code),
        }),
        _ => false,
    }
}

/// Returns whether a code of PostgreSQL means that the same statement may succeed later (Appendix A of its manual):
/// read-only, cancelled by a timeout, deadlock, serialization failure, lock not available in time, an error of the
/// system, and a lack of resources, such as a full disk. A statement that exceeds a limit of the
/// configuration (53400) fails each time.
fn is_transient(code: &str) -> bool {
    matches!(code, "25006" | "57014" | "40P01" | "40001" | "53000" | "53100" | "53200" | "53300" | "55P03" | "58030")
}
