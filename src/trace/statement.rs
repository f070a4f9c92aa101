//! Names of SQL statements: the operation and the table, never a value.

const OTHER: &str = "OTHER";
const OPERATIONS: [&str; 9] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "SAVEPOINT", "ROLLBACK", "RELEASE", "SET"];
/// The operations whose statements name a table.
const OF_TABLES: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
/// The words before the name of a table.
const BEFORE_TABLE: [&str; 3] = ["FROM", "INTO", "UPDATE"];
/// The words that follow them and are no table.
const NO_TABLE: [&str; 5] = ["SELECT", "VALUES", "ONLY", "LATERAL", "OR"];
const MAX_TABLE_LENGTH: usize = 63;

/// What a statement does, and the first table that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementName {
    /// The first word of the statement, in upper case; `OTHER` if it is a rare one.
    pub operation: &'static str,
    pub table: Option<String>,
}

impl StatementName {
    /// Returns the name of a statement.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        let is_between = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';');
        let mut words = sql.split(is_between).filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default();
        let operation = OPERATIONS.into_iter().find(|known| known.eq_ignore_ascii_case(first)).unwrap_or(OTHER);
        if !OF_TABLES.contains(&operation) {
            return Self { operation, table: None };
        }
        let mut previous = first;
        let table = words.find_map(|word| {
            let table = is_one_of(&BEFORE_TABLE, previous).then(|| table_of(word)).flatten();
            previous = word;
            table
        });
        Self { operation, table }
    }

    /// Returns the name of the span of the statement.
    #[must_use]
    pub fn span_name(&self) -> String {
        match &self.table {
            Some(table) => format!("{} {table}", self.operation),
            None => self.operation.to_owned(),
        }
    }
}

fn is_one_of(words: &[&str], word: &str) -> bool {
    words.iter().any(|other| other.eq_ignore_ascii_case(word))
}

/// Returns the name of a table without its schema and quotes; `None` if the word is no name.
fn table_of(word: &str) -> Option<String> {
    let name = word.rsplit('.').next()?.trim_matches(['"', '`']);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= MAX_TABLE_LENGTH;
    (is_name && !is_one_of(&NO_TABLE, name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_its_operation_and_its_table() {
        for (sql, name) in [
            (r#"SELECT "user"."id" FROM "user" WHERE "user"."id" = ?"#, "SELECT user"),
            ("select count(*)\n  from public.user_group as g", "SELECT user_group"),
            ("SELECT n FROM (SELECT 1 AS n FROM site) AS s", "SELECT site"),
            (r#"INSERT INTO "session" ("id") VALUES ($1)"#, "INSERT session"),
            (r#"UPDATE "user" SET "first_name" = $1"#, "UPDATE user"),
            ("DELETE FROM device WHERE id = ?", "DELETE device"),
            ("WITH wanted(id) AS (VALUES (?)) SELECT * FROM wanted", "WITH wanted"),
            ("SELECT substring('a' from ?1)", "SELECT"),
            ("SELECT 'FROM me'", "SELECT"),
            ("PRAGMA user_version", "OTHER"),
            ("", "OTHER"),
        ] {
            assert_eq!(StatementName::of(sql).span_name(), name, "{sql}");
        }
    }
}
