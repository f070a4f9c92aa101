//! The tables of a backup: which have no rows in it, and of which it states the number of rows.

use std::collections::BTreeSet;
use std::fs;

use roster::backup::WITHOUT_ROWS;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;

use super::archive::unpack;
use super::back_up;
use crate::process::Sandbox;

/// The ends of the names of columns that may be secrets, or what secrets are checked by.
const SECRETS: [&str; 7] = ["code", "hash", "password", "salt", "secret", "seed", "token"];

/// The tables with such columns whose rows are in backups, and why nobody gets in by them.
const KEPT: [(&str, &str); 8] = [
    ("api_keys", "programs keep their keys, whose hashes are useless without the server key"),
    ("audit_events", "the hashes are those of the chain"),
    ("audit_head", "the hash is that of the chain"),
    ("audit_inbox", "the hashes are those of the chain"),
    ("credentials", "users keep their passwords"),
    ("erased_references", "the hashes tell which references were erased"),
    ("mails", "the token that a seed stands for opens only a link, which is not in backups"),
    ("pins", "users keep their PINs, which work only on devices, which are not in backups"),
];

/// The tables of which a backup does not state the number of rows: they follow from others, count something, or have one row.
const UNCOUNTED: [&str; 14] = [
    "attempts",
    "audit_head",
    "document_revision",
    "folded_totals",
    "group_references",
    "institution_references",
    "list_totals",
    "logins",
    "migration_kinds",
    "other_server_keys",
    "seaql_migrations",
    "server_key",
    "total_changes",
    "user_references",
];

/// The columns of a database, each with its table.
async fn columns(sandbox: &Sandbox) -> Vec<(String, String)> {
    let sql = if sandbox.is_sqlite() {
        "SELECT m.name AS table_name, c.name AS column_name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
    } else {
        "SELECT c.table_name::text AS table_name, c.column_name::text AS column_name FROM information_schema.columns AS c \
         JOIN pg_tables AS t ON t.schemaname = c.table_schema AND t.tablename = c.table_name \
         WHERE c.table_schema = current_schema()"
    };
    let db = sandbox.db().await;
    let read = db.read();
    let rows = read.query_all_raw(Statement::from_string(read.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| (row.try_get("", "table_name").unwrap(), row.try_get("", "column_name").unwrap())).collect()
}

in_every_sandbox! {
    async fn every_table_with_secrets_is_without_rows_or_kept_for_a_reason(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let columns = columns(&sandbox).await;
        assert!(columns.len() > 100, "{columns:?}");
        for (table, column) in &columns {
            let is_known = WITHOUT_ROWS.contains(&table.as_str()) || KEPT.iter().any(|(kept, _)| kept == table);
            let is_secret = column.rsplit('_').next().is_some_and(|end| SECRETS.contains(&end));
            assert!(is_known || !is_secret, "{table}.{column}: is its table to be in WITHOUT_ROWS?");
        }
        for table in WITHOUT_ROWS {
            assert!(columns.iter().any(|(of, _)| of == table), "there is no table {table}");
        }
    }

    async fn a_backup_states_the_number_of_rows_of_every_table(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let file = back_up(&sandbox, "a.tar").await;
        let manifest: Value = serde_json::from_slice(&unpack(&fs::read(file).unwrap())[0].1).unwrap();
        let counted = manifest["counts"].as_object().unwrap().keys().map(String::as_str);
        let known: BTreeSet<&str> = counted.chain(WITHOUT_ROWS).chain(UNCOUNTED).collect();
        let columns = columns(&sandbox).await;
        let tables: BTreeSet<&str> = columns.iter().map(|(table, _)| table.as_str()).collect();
        let unknown: Vec<&&str> = tables.difference(&known).collect();
        assert!(unknown.is_empty(), "neither counted nor named here: {unknown:?}");
    }
}
