//! Conditions of SQL that say the same on every database, in the form that each finds rows by fastest.

use sea_orm::sea_query::extension::sqlite::SqliteExpr;
use sea_orm::sea_query::postgres_array::NotU8;
use sea_orm::sea_query::{
    Alias, Asterisk, BinOper, Condition, Expr, ExprTrait, Query, SelectStatement, SimpleExpr, UnionType,
};
use sea_orm::{ColumnTrait, DatabaseBackend, Value};

use crate::scalar::Id;

/// The condition that a column has one of some ids, as one text for any number of them, or nearly so: each new text
/// costs the database a preparation.
pub fn one_of(backend: DatabaseBackend, column: impl ColumnTrait, ids: impl IntoIterator<Item = Id>) -> SimpleExpr {
    any_of(backend, column, ids.into_iter().collect())
}

/// The same of any values.
pub fn any_of<V>(backend: DatabaseBackend, column: impl ColumnTrait, mut values: Vec<V>) -> SimpleExpr
where
    V: Into<Value> + Clone + NotU8,
{
    // PostgreSQL plans an array anew each time, for it may have any length.
    if let [only] = values.as_slice() {
        return column.eq(only.clone());
    }
    if backend == DatabaseBackend::Postgres {
        return column.eq_any(values);
    }
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    column.is_in(values)
}

/// A condition for rows that are found by another one: the planner is not to look for rows by it, however small it
/// believes the license to be.
#[must_use]
pub fn no_index_hint(condition: Condition) -> SimpleExpr {
    SimpleExpr::from(condition).binary(BinOper::Is, SimpleExpr::Constant(true.into()))
}

/// The condition that a statement finds a row, asked for each row by itself. `EXISTS` is made a join by either database, which then
/// reads all that the statement finds.
#[must_use]
pub fn exists_row(mut rows: SelectStatement) -> SimpleExpr {
    SimpleExpr::from(rows.limit(1).to_owned()).is_not_null()
}

/// The rows of several statements with the same columns, each with its own order and limit; none of no statements.
#[must_use]
pub fn all_rows(parts: impl IntoIterator<Item = SelectStatement>) -> Option<SelectStatement> {
    let mut parts = parts.into_iter().map(|part| {
        let mut whole = Query::select();
        whole.column(Asterisk).from_subquery(part, Alias::new("found")).to_owned()
    });
    let mut all = parts.next()?;
    Some(all.unions(parts.map(|part| (UnionType::All, part))).to_owned())
}

/// The condition that a text has `part` in it; every character of it stands for itself.
#[must_use]
pub fn contains(text: SimpleExpr, part: &str, postgres: bool) -> SimpleExpr {
    if postgres { text.like(format!("%{}%", like(part))) } else { text.glob(format!("*{}*", glob(part))) }
}

/// The condition that a text ends with `end`.
#[must_use]
pub fn ends_with(text: SimpleExpr, end: &str, postgres: bool) -> SimpleExpr {
    if postgres { text.like(format!("%{}", like(end))) } else { text.glob(format!("*{}", glob(end))) }
}

/// The condition that a text begins with `begin`: as the range of the texts that do, because an index has it in one piece.
/// The text must be compared byte by byte.
#[must_use]
pub fn starts_with(text: SimpleExpr, begin: &str) -> Condition {
    let end = after_all_that_begin_with(begin);
    Condition::all().add(text.clone().gte(begin)).add_option(end.map(|end| text.lt(end)))
}

/// The lowest text above all those that begin like this one; none where there is no such text.
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

/// A text within a pattern of PostgreSQL's LIKE, where every character of it stands for itself.
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

/// The same of SQLite's GLOB. Its LIKE takes `a` for `A`.
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

/// How a row is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Together with others who lock it like this.
    Shared,
    /// Alone.
    Exclusive,
}

/// A condition that holds for every row, and on PostgreSQL waits in line before the row of this id is locked. The locks of
/// rows do not queue there: whoever wants one alone would wait for as long as others share it in turns.
#[must_use]
pub fn waits_in_line(backend: DatabaseBackend, lock: Lock, id: Id) -> Condition {
    if backend != DatabaseBackend::Postgres {
        return Condition::all();
    }
    let wait = match lock {
        Lock::Shared => "pg_advisory_xact_lock_shared($1) IS NOT NULL",
        Lock::Exclusive => "pg_advisory_xact_lock($1) IS NOT NULL",
    };
    // The half of a UUIDv7 that is random.
    let key = id.0.as_u64_pair().1.cast_signed();
    Condition::all().add(Expr::cust_with_values(wait, [key]))
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
