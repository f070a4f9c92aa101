//! Migrations and the locks of servers that go on: a migration gives way, and is retried.

use migration::{Migrator, MigratorTrait};
use roster::db::{Db, Transaction};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use crate::process::{Process, Sandbox, until};

/// The number of migrations before those that alter the table of users and, later, that of links.
const STEPS_BEFORE: u32 = 5;

const RETRIED: &str = "the migration is retried";

/// The database of an earlier version, and a transaction in it that locks a table.
async fn begin(sandbox: &Sandbox, lock: &str) -> (Db, Transaction) {
    let db = sandbox.db().await;
    let transaction = db.begin().await.unwrap();
    Migrator::up(&transaction, Some(STEPS_BEFORE)).await.unwrap();
    transaction.commit().await.unwrap();
    let other = db.begin().await.unwrap();
    // It never gives way itself.
    let patience = "SET LOCAL deadlock_timeout = '1h'; SET LOCAL idle_in_transaction_session_timeout = 0";
    other.execute_unprepared(&format!("{patience}; {lock}")).await.unwrap();
    (db, other)
}

fn migrate(sandbox: &Sandbox) -> Process {
    sandbox.start(&mut sandbox.command(&["migrate"]), "")
}

async fn assert_migrated(mut migrating: Process) {
    assert_eq!(migrating.code().await, 0, "{}", migrating.err());
    assert!(migrating.out().contains("The tables are up to date."), "{}", migrating.out());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_retried_if_a_transaction_locks_its_tables_in_the_other_order() {
    let Some(sandbox) = Sandbox::on_postgres().await else { return };
    let (db, other) = begin(&sandbox, "LOCK TABLE links IN ROW EXCLUSIVE MODE").await;
    let migrating = migrate(&sandbox);
    let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'links'::regclass \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let waiting = || Statement::from_string(DatabaseBackend::Postgres, waiting);
    let is_waiting = || async { db.read().query_one_raw(waiting()).await.unwrap() };
    until(is_waiting).await.unwrap_or_else(|| panic!("the migration waits\n{}", migrating.err()));
    other.execute_unprepared("LOCK TABLE users IN ROW EXCLUSIVE MODE").await.unwrap();
    other.commit().await.unwrap();
    migrating.wait_for_log(RETRIED).await;
    assert_migrated(migrating).await;
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_waits_for_a_table_lets_others_use_it() {
    let Some(sandbox) = Sandbox::on_postgres().await else { return };
    let (db, other) = begin(&sandbox, "LOCK TABLE users IN ACCESS SHARE MODE").await;
    let migrating = migrate(&sandbox);
    migrating.wait_for_log(RETRIED).await;
    db.read().execute_unprepared("SELECT 1 FROM users").await.unwrap();
    other.commit().await.unwrap();
    assert_migrated(migrating).await;
    db.close().await.unwrap();
}
