//! A database that is older than what the machine last served is noticed.

use std::fs;

use super::back_up;
use crate::process::{ADMIN, Sandbox, mode};

const WARNING: &str = "the database is older than what this machine last served";

#[tokio::test]
async fn an_older_copy_of_the_database_is_noticed() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let file = back_up(&sandbox, "a.tar").await;
    let mut server = sandbox.serve(&[]).await;
    server.sign_in(ADMIN).await;
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
    assert_eq!(mode(&sandbox.path("roster-data/roster.position")), 0o600);
    let doctor = sandbox.run(&["doctor"]).await;
    assert!(doctor.out.contains("last served           event 3; the database contains it"), "{doctor:?}");

    for name in ["roster.db", "roster.db-wal", "roster.db-shm"] {
        let _ = fs::remove_file(sandbox.path("roster-data").join(name));
    }
    let restored = sandbox.run(&["restore", &file]).await;
    assert_eq!(restored.code, 0, "{restored:?}");
    let doctor = sandbox.run(&["doctor"]).await;
    assert!(doctor.code == 1 && doctor.out.contains(WARNING), "{doctor:?}");
    let mut server = sandbox.serve(&[]).await;
    let log = server.err();
    assert!(log.contains("WARN") && log.contains(WARNING) && log.contains("audit event 3"), "{log}");
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
    // It is said once: from now on, this is the database of the machine.
    assert!(!sandbox.serve(&[]).await.err().contains(WARNING));
    assert!(sandbox.run(&["doctor"]).await.out.contains("the database contains it"));
}

#[tokio::test]
async fn a_copy_with_everything_that_was_served_is_not_older() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let mut server = sandbox.serve(&[]).await;
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
    let file = back_up(&sandbox, "a.tar").await;
    fs::remove_file(sandbox.path("roster-data/roster.db")).unwrap();
    assert_eq!(sandbox.run(&["restore", &file]).await.code, 0);
    assert!(!sandbox.serve(&[]).await.err().contains(WARNING));
}
