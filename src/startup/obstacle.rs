//! What prevents migrations, and what to do about it.

use sea_orm::DbErr;

use crate::error::{Error, database_code, describe};

const ANOTHER_PROGRAM: &str = "another program uses this database; give Roster a database or a schema of its own";
const NO_EXTENSION: &str = "the extension pg_trgm is in a schema outside search_path; move it (ALTER EXTENSION pg_trgm SET SCHEMA \
                            ...) or add its schema";
const NO_SCHEMA: &str = "search_path names no schema that exists and that the user may use; create it (CREATE SCHEMA ... \
                         AUTHORIZATION ...), let the user use it (GRANT USAGE, CREATE ON SCHEMA ... TO ...), or name another one";
const NOT_OWNER: &str = "the user must own the database (ALTER DATABASE ... OWNER TO ...), and the schema if it is not public \
                         (ALTER SCHEMA ... OWNER TO ...)";

/// Adds to the error of a migration what to do about it, if that is known.
pub(super) fn explain(error: DbErr) -> Error {
    let cause = describe(&error);
    match advice(&cause, database_code(&error).as_deref().unwrap_or_default()) {
        Some(advice) => Error::internal(format!("{cause}: {advice}")),
        None => error.into(),
    }
}

/// Returns what to do about the error with a message and a code, those of PostgreSQL (Appendix A of its manual) or SQLite.
fn advice(message: &str, code: &str) -> Option<&'static str> {
    // SQLite has one code for these and many others.
    if message.contains("already exists") || message.contains("there is already") {
        return Some(ANOTHER_PROGRAM);
    }
    match code {
        "3F000" => Some(NO_SCHEMA),
        "42501" if message.contains("for schema") || message.contains("to create extension") => Some(NOT_OWNER),
        "42704" if message.contains("gin_trgm_ops") => Some(NO_EXTENSION),
        _ => None,
    }
}
