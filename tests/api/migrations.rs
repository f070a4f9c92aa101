//! Migrations: what is merged does not change, and what a step says of itself is true.

use std::fs;
use std::path::Path;

use migration::{FIRST_RECORDED, HISTORY, MigrationKind, Step};
use regex::Regex;
use sea_orm::{ConnectionTrait, Statement};
use sha2::{Digest as _, Sha256};

use crate::process::Sandbox;

/// The line of a step in the register.
fn registered(step: &Step) -> String {
    let [sqlite, postgres] = [step.sqlite, step.postgres].map(|sql| hex::encode(Sha256::digest(sql)));
    let needs = step.kind.needs().unwrap_or("-");
    format!("{} {} {needs} {sqlite} {postgres}", step.name, step.kind.name())
}

#[test]
fn the_register_has_every_migration_as_it_is() {
    let register = Path::new(env!("CARGO_MANIFEST_DIR")).join("migration/history.txt");
    let register = fs::read_to_string(register).unwrap();
    let lines: Vec<&str> = register.lines().filter(|line| !line.starts_with("Changed: ")).collect();
    for (step, line) in HISTORY.iter().zip(&lines) {
        let changed = "a registered migration was changed; add another one instead";
        assert_eq!(registered(step), *line, "{}: {changed}", step.name);
    }
    let missing: Vec<String> = HISTORY.iter().skip(lines.len()).map(registered).collect();
    assert!(missing.is_empty(), "add to migration/history.txt:\n{}", missing.join("\n"));
    assert_eq!(lines.len(), HISTORY.len(), "a registered migration was removed");
}

#[test]
fn migrations_are_in_the_order_of_their_names() {
    assert!(HISTORY.is_sorted_by(|one, next| one.name < next.name));
}

#[test]
fn a_contract_step_needs_itself_or_an_earlier_step() {
    for step in HISTORY {
        let needs = step.kind.needs();
        let exists = |needs: &str| HISTORY.iter().any(|other| other.name == needs && other.name <= step.name);
        assert!(needs.is_none_or(exists), "{} needs {needs:?}", step.name);
    }
}

/// Patterns of statements that take something away on which servers may rely.
const BREAKING: [&str; 7] = [
    r"\bdrop (?:table|column|view|function|constraint|default|not null|type|extension)\b",
    r"\balter table \w+ drop\b",
    r"\brename\b",
    r"\bset not null\b",
    r"\balter column \w+ (?:set data )?type\b",
    r"\badd constraint\b",
    r"\badd primary key\b",
];

/// The statements, or parts of them, that servers which do not know a step may not survive.
fn breaking_parts(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap()).collect();
    let code = code.join(" ").to_lowercase();
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let all_of = |pattern: &str| {
        let found = Regex::new(pattern).unwrap();
        found.find_iter(&code).map(|found| found.as_str().to_owned()).collect::<Vec<_>>()
    };
    let mut parts: Vec<String> = BREAKING.into_iter().flat_map(all_of).collect();
    let required = all_of(r"\badd column [^;,]*\bnot null\b[^;,]*");
    parts.extend(required.into_iter().filter(|column| !column.contains(" default ")));
    // A trigger that is dropped and created anew is not taken away.
    let dropped = Regex::new(r"\bdrop trigger (?:if exists )?(\w+)").unwrap();
    let is_anew = |trigger: &str| code.contains(&format!("create trigger {trigger} "));
    parts.extend(dropped.captures_iter(&code).filter(|drop| !is_anew(&drop[1])).map(|drop| drop[0].to_owned()));
    let unique = Regex::new(r"\bcreate unique index (?:\w+ )?on (\w+)").unwrap();
    let of_old_table = |table: &str| !code.contains(&format!("create table {table} "));
    parts.extend(unique.captures_iter(&code).filter(|index| of_old_table(&index[1])).map(|index| index[0].to_owned()));
    parts
}

#[test]
fn an_expand_step_takes_nothing_away() {
    for step in HISTORY.iter().filter(|step| step.kind == MigrationKind::Expand) {
        for sql in [step.sqlite, step.postgres] {
            let parts = breaking_parts(sql);
            assert!(parts.is_empty(), "{} is not an expand step: {parts:?}", step.name);
        }
    }
}

#[test]
fn what_takes_something_away_is_recognized() {
    for breaking in [
        "DROP TABLE rooms;",
        "ALTER TABLE rooms DROP name",
        "ALTER TABLE rooms\n    RENAME COLUMN name TO title;",
        "ALTER TABLE rooms ALTER COLUMN name SET NOT NULL;",
        "ALTER TABLE rooms ALTER COLUMN name TYPE integer;",
        "ALTER TABLE rooms ADD COLUMN beds integer NOT NULL;",
        "CREATE UNIQUE INDEX rooms_by_name ON rooms (name);",
        "DROP TRIGGER rooms_insert ON rooms; CREATE TRIGGER rooms_update AFTER UPDATE ON rooms;",
    ] {
        assert_eq!(breaking_parts(breaking).len(), 1, "{breaking}");
    }
    for safe in [
        "DROP TRIGGER rooms_insert ON rooms; CREATE TRIGGER rooms_insert BEFORE INSERT ON rooms;",
        "-- Instead of DROP TABLE rooms\nALTER TABLE rooms ADD COLUMN beds integer;",
        "ALTER TABLE rooms ADD COLUMN beds integer NOT NULL DEFAULT 0;",
        "CREATE TABLE beds (id blob NOT NULL); CREATE UNIQUE INDEX beds_by_id ON beds (id);",
        "CREATE INDEX rooms_by_name ON rooms (name);",
    ] {
        assert!(breaking_parts(safe).is_empty(), "{safe}");
    }
}

in_every_sandbox! {
    async fn a_database_says_what_each_migration_means(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        let db = sandbox.db().await;
        let recorded = "SELECT version, kind, needs FROM migration_kinds ORDER BY version";
        let recorded = Statement::from_string(db.read().get_database_backend(), recorded);
        let rows = db.read().query_all_raw(recorded).await.unwrap();
        let text = |row: &sea_orm::QueryResult, column| row.try_get_by_index::<Option<String>>(column).unwrap();
        let recorded: Vec<_> = rows.iter().map(|row| (text(row, 0), text(row, 1), text(row, 2))).collect();
        let owned = |text: &str| Some(text.to_owned());
        let expected: Vec<_> = HISTORY
            .iter()
            .filter(|step| step.name >= FIRST_RECORDED)
            .map(|step| (owned(step.name), owned(step.kind.name()), step.kind.needs().and_then(owned)))
            .collect();
        assert_eq!(recorded, expected);
        db.close().await.unwrap();
    }
}
