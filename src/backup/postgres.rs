//! Backups of PostgreSQL: what `pg_dump` writes of one snapshot, in its custom format.

use std::path::Path;

use anyhow::{Context as _, ensure};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, QueryResult, Statement};

use super::WITHOUT_ROWS;
use super::contents::{self, Contents};
use super::manifest::Manifest;
use super::postgres_programs::{connection_string, run, server_command};
use crate::audit::sealer;
use crate::db::{self, DatabaseSettings, Db};
use crate::private_file;

const THROUGH_POOLER: &str = "pg_dump and pg_restore need connections of their own: use the URL of the database itself, not of a \
                              connection pooler";

/// Keeps the server from ending the snapshot while `pg_dump` reads it.
const NO_TIMEOUTS: &str = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0";

/// A table or function of the current schema that is not part of an extension.
const ANY_OBJECT: &str = "\
SELECT 'table ' || c.relname FROM pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT 'function ' || p.proname FROM pg_proc p
WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
LIMIT 1";

/// Dumps the database to a new file, without the rows that no backup has.
pub(super) async fn dump(database: &DatabaseSettings, to: &Path) -> anyhow::Result<Contents> {
    ensure!(!db::has_pooler(&database.url), THROUGH_POOLER);
    let db = Db::connect(database).await?;
    // Events in the chain are easier to compare than those in the inbox. The inbox is backed up as well.
    sealer::try_to_seal(&db).await;
    let snapshot = db.snapshot().await?;
    let dumped = dump_snapshot(&snapshot, &database.url, to).await;
    snapshot.rollback().await?;
    db.close().await?;
    dumped
}

async fn dump_snapshot(snapshot: &DatabaseTransaction, url: &str, to: &Path) -> anyhow::Result<Contents> {
    snapshot.execute_unprepared(NO_TIMEOUTS).await?;
    let contents = Contents::read(snapshot).await?;
    let schema = quoted(contents.postgres_schema.as_deref().unwrap_or_default());
    let id: String = query(snapshot, "SELECT pg_export_snapshot()").await?.try_get_by_index(0)?;
    let mut command = server_command("pg_dump", url, server_version(snapshot).await?).await?;
    // pg_dump would create it with the mode of the umask.
    drop(private_file::make(to)?);
    command.args(["--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--no-comments"]);
    command.args(["--no-password", "--lock-wait-timeout=60s"]);
    command.arg(format!("--schema={schema}")).arg(format!("--snapshot={id}"));
    command.args(WITHOUT_ROWS.map(|table| format!("--exclude-table-data={schema}.{table}")));
    run("pg_dump", command.arg("--file").arg(to)).await?;
    Ok(contents)
}

/// Checks that a database can be restored: its schema is that of the backup, and is empty.
pub(super) async fn check_empty(db: &Db, manifest: &Manifest) -> anyhow::Result<()> {
    let schema = contents::postgres_schema(db.write()).await?.unwrap_or_default();
    let expected = manifest.postgres_schema.as_deref().unwrap_or_default();
    ensure!(
        schema == expected,
        "the tables of the backup are in the schema {expected:?}, but the first schema of search_path in this database is \
         {schema:?}: create the schema {expected:?}, and add options[search_path]={expected} to the URL"
    );
    let any = db.write().query_one_raw(Statement::from_string(DatabaseBackend::Postgres, ANY_OBJECT)).await?;
    let any: Option<String> = any.map(|row| row.try_get_by_index(0)).transpose()?;
    if let Some(any) = any {
        anyhow::bail!(
            "the schema {schema:?} of the database has the {any}, and a backup is restored only into an empty schema: \
             create a new database, or drop the old tables"
        );
    }
    Ok(())
}

/// Restores a dump into an empty database, in one transaction.
pub(super) async fn restore(db: &Db, url: &str, dump: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    ensure!(!db::has_pooler(url), THROUGH_POOLER);
    // It belongs to no schema of the dump. The migrations do the same.
    db.write().execute_unprepared("CREATE EXTENSION IF NOT EXISTS pg_trgm").await?;
    let mut command = server_command("pg_restore", url, server_version(db.write()).await?).await?;
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-comments"]);
    // It leaves out the statement that creates the schema, which exists.
    command.arg(format!("--schema={}", manifest.postgres_schema.as_deref().unwrap_or_default()));
    command.arg("--no-password").arg(format!("--dbname={}", connection_string(url)?)).arg(dump);
    run("pg_restore", &mut command).await?;
    Ok(())
}

async fn query(connection: &impl ConnectionTrait, sql: &str) -> anyhow::Result<QueryResult> {
    let row = connection.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await?;
    row.context("a statement without a result")
}

/// Returns the major version of the server.
async fn server_version(connection: &impl ConnectionTrait) -> anyhow::Result<u32> {
    let version = query(connection, "SELECT current_setting('server_version_num')").await?;
    let version: String = version.try_get_by_index(0)?;
    Ok(version.parse::<u32>().context("server_version_num")? / 10_000)
}

/// Returns a name as a pattern of `pg_dump` that matches nothing else.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
