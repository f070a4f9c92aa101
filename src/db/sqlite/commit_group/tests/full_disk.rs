//! A full disk, for which SQLite rolls back the transaction that writers share.

use super::*;
use crate::error::unavailability;

/// Needs pages that the file does not have.
const LARGE: &str = "INSERT INTO notes VALUES (hex(randomblob(100000)))";

/// Asserts that an error tells the full disk, not what SQLite says to later statements of a transaction that it has rolled back.
fn assert_tells_full_disk(error: DbErr) {
    let Error::Unavailable(cause) = Error::from(error) else { panic!("another error") };
    assert_eq!(unavailability(&*cause), "the database cannot do its work at present");
    assert!(cause.to_string().contains("database or disk is full"), "{cause}");
}

/// Keeps the database file as small as it is, until its connection is replaced.
async fn fill_disk(notes: &Notes) {
    notes.writer.execute_unprepared("PRAGMA max_page_count = 1").await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_the_reason_why_a_group_is_lost() {
    let notes = Notes::new(NO_LIMITS).await;
    fill_disk(&notes).await;
    let seen = notes.groups.nothing_seen();
    let first = notes.groups.begin(None).await.unwrap();
    insert(&first, "first").await.unwrap();
    let second = notes.queue(Some(seen.clone())).await;
    let first = tokio::spawn(first.commit());
    let second = second.await.unwrap();
    assert_tells_full_disk(second.execute_unprepared(LARGE).await.unwrap_err());
    drop(second);
    assert_tells_full_disk(first.await.unwrap().unwrap_err());
    assert_tells_full_disk(seen.settle().await.unwrap_err());
    notes.queue_note("next").await.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["next"]);
}

#[tokio::test]
async fn a_writer_alone_whose_rollback_fails_is_told_of_the_full_disk() {
    let notes = Notes::new(NO_LIMITS).await;
    fill_disk(&notes).await;
    let alone = notes.groups.begin(None).await.unwrap();
    assert_tells_full_disk(alone.execute_unprepared(LARGE).await.unwrap_err());
    assert_tells_full_disk(alone.rollback().await.unwrap_err());
    notes.queue_note("next").await.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["next"]);
}

#[tokio::test]
async fn a_group_that_is_lost_for_no_known_reason_is_not_a_database_out_of_reach() {
    let notes = Notes::new(NO_LIMITS).await;
    let first = notes.groups.begin(None).await.unwrap();
    let second = notes.queue(None).await;
    let first = tokio::spawn(first.commit());
    second.await.unwrap().execute_unprepared("ROLLBACK").await.unwrap();
    let Error::Unavailable(cause) = Error::from(first.await.unwrap().unwrap_err()) else { panic!("another error") };
    assert_eq!(unavailability(&*cause), "the database cannot do its work at present");
    assert!(cause.to_string().contains("the transaction that writers shared was rolled back"), "{cause}");
}
