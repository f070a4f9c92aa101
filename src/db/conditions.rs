//! SQL conditions with the same meaning on every database, each in the form that the database evaluates fastest.

use sea_orm::sea_query::extension::sqlite::SqliteExpr;
use sea_orm::sea_query::postgres_array::NotU8;
use sea_orm::sea_query::{
    Alias, Asterisk, BinOper, Condition, ExprTrait, Func, Query, SelectStatement, SimpleExpr, UnionType,
};
use sea_orm::{ColumnTrait, DatabaseBackend, Value};

use crate::scalar::Id;

/// Returns the condition that a column has one of several ids. Its text is the same for any number of ids, or nearly so: the
/// database has to prepare each new text.
pub fn one_of(backend: DatabaseBackend, column: impl ColumnTrait, ids: impl IntoIterator<Item = Id>) -> SimpleExpr {
    any_of(backend, column, ids.into_iter().collect())
}

/// Returns the condition that a column has one of several values, as [`one_of`].
pub fn any_of<V>(backend: DatabaseBackend, column: impl ColumnTrait, values: Vec<V>) -> SimpleExpr
where
    V: Into<Value> + Clone + NotU8,
{
    // PostgreSQL plans a statement with an array anew each time, because the array may have any length.
    if backend == DatabaseBackend::Postgres && values.len() != 1 {
        return column.eq_any(values);
    }
    one_of_few(column, values)
}

/// Returns the condition that a column has one of a few values. Its text is the same for up to a power of two of them, and PostgreSQL
/// plans each text once.
pub fn one_of_few<V: Into<Value> + Clone>(column: impl ColumnTrait, mut values: Vec<V>) -> SimpleExpr {
    if let [only] = values.as_slice() {
        return column.eq(only.clone());
    }
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    column.is_in(values)
}

/// Wraps a condition so that the planner does not use an index for it. For rows that another condition finds, however small the
/// planner estimates the license to be.
#[must_use]
pub fn no_index_hint(condition: Condition) -> SimpleExpr {
    SimpleExpr::from(condition).binary(BinOper::Is, SimpleExpr::Constant(true.into()))
}

/// Returns the union of several statements with the same columns, each with its own order and limit; `None` for no statements.
#[must_use]
pub fn all_rows(parts: impl IntoIterator<Item = SelectStatement>) -> Option<SelectStatement> {
    let mut parts = parts.into_iter().map(|part| {
        let mut whole = Query::select();
        whole.column(Asterisk).from_subquery(part, Alias::new("found")).to_owned()
    });
    let mut all = parts.next()?;
    Some(all.unions(parts.map(|part| (UnionType::All, part))).to_owned())
}

/// Returns the condition that a text contains `part`. No character of `part` is a wildcard.
#[must_use]
pub fn contains(text: SimpleExpr, part: &str, postgres: bool) -> SimpleExpr {
    if postgres { text.like(format!("%{}%", like(part))) } else { text.glob(format!("*{}*", glob(part))) }
}

/// Returns the condition that a text ends with `end`. No character of `end` is a wildcard.
#[must_use]
pub fn ends_with(text: SimpleExpr, end: &str, postgres: bool) -> SimpleExpr {
    if postgres { text.like(format!("%{}", like(end))) } else { text.glob(format!("*{}", glob(end))) }
}

/// Returns the condition that a text begins with `begin`, as a range, because an index finds a range in one scan. The text must
/// be compared byte by byte.
#[must_use]
pub fn starts_with(text: SimpleExpr, begin: &str) -> Condition {
    let end = after_all_that_begin_with(begin);
    Condition::all().add(text.clone().gte(begin)).add_option(end.map(|end| text.lt(end)))
}

/// Returns the lowest text above all texts with a prefix; `None` if there is no such text.
fn after_all_that_begin_with(begin: &str) -> Option<String> {
    let mut letters: Vec<char> = begin.chars().collect();
    while let Some(last) = letters.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

/// Escapes a text for a pattern of PostgreSQL's LIKE.
fn like(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len());
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Escapes a text for a pattern of SQLite's GLOB. SQLite's LIKE ignores case.
fn glob(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len());
    for c in part.chars() {
        match c {
            '*' | '?' | '[' => pattern.extend(['[', c, ']']),
            c => pattern.push(c),
        }
    }
    pattern
}

/// The mode of a row lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Shared with other shared locks.
    Shared,
    /// Exclusive of all other locks.
    Exclusive,
}

/// Returns a condition that is true for every row. On PostgreSQL, it waits for an advisory lock before the row with this id is
/// locked. Row locks of PostgreSQL do not queue: an exclusive lock would wait as long as transactions with shared locks overlap.
#[must_use]
pub fn waits_in_line(backend: DatabaseBackend, lock: Lock, id: Id) -> Condition {
    if backend != DatabaseBackend::Postgres {
        return Condition::all();
    }
    let wait = match lock {
        Lock::Shared => "pg_advisory_xact_lock_shared",
        Lock::Exclusive => "pg_advisory_xact_lock",
    };
    // The random half of a UUIDv7.
    let key = id.0.as_u64_pair().1.cast_signed();
    Condition::all().add(Func::cust(wait).arg(key).is_not_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_text_lies_below_the_next_one() {
        assert_eq!(after_all_that_begin_with("ann").as_deref(), Some("ano"));
        assert_eq!(after_all_that_begin_with("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_all_that_begin_with("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_all_that_begin_with("\u{10ffff}"), None);
    }

    #[test]
    fn wildcards_are_plain_characters() {
        assert_eq!(like(r"50%_\"), r"50\%\_\\");
        assert_eq!(glob("a*[b]?"), "a[*][[]b][?]");
    }
}
