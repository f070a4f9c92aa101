//! Imports that are told to stop: they say whether anything was written, and can be repeated.

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use crate::process::{Sandbox, until};

const ROWS: &str = "firstName,lastName,email\nAnn,Oak,ann@example.org\n";
const WAITING: &str = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Tells an import to stop while it waits for a table that is locked in a mode. Returns what it says.
async fn stop(sandbox: &Sandbox, signal: &str, mode: &str) -> String {
    let db = sandbox.db().await;
    let other = db.begin().await.unwrap();
    other.execute_unprepared(&format!("LOCK TABLE users IN {mode} MODE")).await.unwrap();
    let mut import = sandbox.start(&mut sandbox.command(&["import", "people.csv"]), "");
    let waiting = || Statement::from_string(DatabaseBackend::Postgres, WAITING);
    let is_waiting = || async { db.read().query_one_raw(waiting()).await.unwrap() };
    until(is_waiting).await.unwrap_or_else(|| panic!("the import waits\n{}", import.err()));
    import.signal(signal);
    assert_eq!(import.code().await, 130, "{}", import.err());
    other.rollback().await.unwrap();
    db.close().await.unwrap();
    import.err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_import_says_what_was_written_and_can_be_repeated() {
    let Some(sandbox) = Sandbox::on_postgres().await else { return };
    assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
    std::fs::write(sandbox.path("people.csv"), ROWS).unwrap();
    for signal in ["INT", "TERM"] {
        let checking = stop(&sandbox, signal, "ACCESS EXCLUSIVE").await;
        assert!(checking.contains("stopped by a signal before the end; nothing was written"), "{checking}");
        let writing = stop(&sandbox, signal, "SHARE").await;
        assert!(writing.contains("what was written stays, and the same command writes the rest"), "{writing}");
    }
    let again = sandbox.run(&["import", "people.csv"]).await;
    assert!(again.code == 0 && again.out.starts_with("1 was created, 0 changed, 0 unchanged."), "{again:?}");
}
