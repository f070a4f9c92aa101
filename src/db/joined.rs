//! Several statements of PostgreSQL as one, which saves the round trips between them.

use std::fmt::Write as _;

use sea_orm::{Statement, Value};

/// Returns one statement that runs `last` with the results of others, each under its name. Each may use those before it. All of them
/// see the database as it was when the statement began; of what another one writes, they see only its result. A `$` in their texts
/// is the sign of a placeholder.
#[must_use]
pub fn joined(others: impl IntoIterator<Item = (&'static str, Statement)>, last: Statement) -> Statement {
    let (mut sql, mut values, backend) = (String::new(), Vec::new(), last.db_backend);
    for (name, statement) in others {
        sql.push_str(if sql.is_empty() { "WITH " } else { ", " });
        sql.push_str(name);
        sql.push_str(" AS (");
        add(&mut sql, &mut values, statement);
        sql.push(')');
    }
    sql.push(' ');
    add(&mut sql, &mut values, last);
    Statement::from_sql_and_values(backend, sql, values)
}

/// Adds a statement with its values, and numbers its placeholders accordingly.
fn add(sql: &mut String, values: &mut Vec<Value>, statement: Statement) {
    let mut parts = statement.sql.split('$');
    sql.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let text = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: usize = part.strip_suffix(text).and_then(|number| number.parse().ok()).unwrap_or_default();
        let _ = write!(sql, "${}{text}", values.len() + number);
    }
    values.extend(statement.values.into_iter().flat_map(|values| values.0));
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend::Postgres;

    use super::*;

    #[test]
    fn placeholders_are_numbered_over_all_statements() {
        let statement = |sql: &str, values: Vec<i32>| {
            Statement::from_sql_and_values(Postgres, sql, values.into_iter().map(Value::from))
        };
        let one = statement("SELECT a FROM t WHERE a = $1 AND b = $2 AND c = $1", vec![4, 5]);
        let two = statement("INSERT INTO t (a, b) SELECT $1, $2 FROM one", vec![6, 7]);
        let joined = joined([("one", one), ("two", two)], statement("SELECT $2 FROM two WHERE a = $1", vec![8, 9]));
        let expected = "WITH one AS (SELECT a FROM t WHERE a = $1 AND b = $2 AND c = $1), \
                        two AS (INSERT INTO t (a, b) SELECT $3, $4 FROM one) SELECT $6 FROM two WHERE a = $5";
        assert_eq!(joined, statement(expected, vec![4, 5, 6, 7, 8, 9]));
    }
}
