//! Limits as part of the text of a statement. A limit that is a value influences the plan: SQLite would prepare the statement anew
//! each time, and PostgreSQL would plan it anew.

use sea_orm::{Statement, Value, Values};

const LIMIT: &str = " LIMIT ";

/// Returns the statement with the limits of itself and its subqueries written into the text.
pub(super) fn with_inlined_limits(statement: Statement) -> Statement {
    match statement.values.as_ref().and_then(|values| inline_limits(&statement.sql, values)) {
        Some((sql, values)) => Statement { sql, values: Some(values), ..statement },
        None => statement,
    }
}

/// Returns the text with the limits written into it, and the remaining values; `None` if there is no limit, or if the
/// placeholders are not in the order of the values, such as one that is used twice.
fn inline_limits(sql: &str, values: &Values) -> Option<(String, Values)> {
    sql.contains(LIMIT).then_some(())?;
    let (mut text, mut rest) = (String::with_capacity(sql.len()), sql);
    let (mut given, mut left) = (values.0.iter().enumerate(), Vec::with_capacity(values.0.len()));
    while let Some(at) = rest.find(['?', '$', '"', '\'']) {
        let (before, from) = rest.split_at_checked(at)?;
        text.push_str(before);
        let sign = from.chars().next()?;
        let after = from.get(1..)?;
        if matches!(sign, '"' | '\'') {
            let (quoted, others) = from.split_at_checked(after.find(sign)? + 2)?;
            text.push_str(quoted);
            rest = others;
            continue;
        }
        let number = after.split(|c: char| !c.is_ascii_digit()).next()?;
        rest = after.get(number.len()..)?;
        let (place, value) = given.next()?;
        let is_in_turn = if sign == '$' { number.parse() == Ok(place + 1) } else { number.is_empty() };
        if !is_in_turn {
            return None;
        }
        match value {
            Value::BigUnsigned(Some(most)) if text.ends_with(LIMIT) => text.push_str(&most.to_string()),
            value => {
                left.push(value.clone());
                text.push(sign);
                if sign == '$' {
                    text.push_str(&left.len().to_string());
                }
            }
        }
    }
    text.push_str(rest);
    Some((text, Values(left)))
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend;
    use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};

    use super::*;

    #[test]
    fn limits_stand_in_the_text() {
        for backend in [DatabaseBackend::Sqlite, DatabaseBackend::Postgres] {
            let mut rows = Query::select();
            rows.column(Alias::new("a$1"))
                .from(Alias::new("t"))
                .and_where(Expr::col(Alias::new("a$1")).eq("x LIMIT ?"));
            let unlimited = backend.build(&rows);
            assert_eq!(with_inlined_limits(unlimited.clone()), unlimited);
            let limited = with_inlined_limits(backend.build(rows.limit(51)));
            assert_eq!(limited.sql, format!("{} LIMIT 51", unlimited.sql));
            assert_eq!(limited.values, unlimited.values);
            let mut outer = Query::select();
            outer.column(Alias::new("a")).from_subquery(rows, Alias::new("r"));
            let outer =
                with_inlined_limits(backend.build(outer.and_where(Expr::col(Alias::new("b")).eq("y")).limit(7)));
            let (first, second) = if backend == DatabaseBackend::Postgres { ("$1", "$2") } else { ("?", "?") };
            let inner = format!("(SELECT \"a$1\" FROM \"t\" WHERE \"a$1\" = {first} LIMIT 51)");
            assert_eq!(outer.sql, format!("SELECT \"a\" FROM {inner} AS \"r\" WHERE \"b\" = {second} LIMIT 7"));
            assert_eq!(outer.values, Some(Values(vec!["x LIMIT ?".into(), "y".into()])));
        }
    }
}
