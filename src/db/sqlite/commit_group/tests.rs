//! Commit groups on a file, in the order in which the tests let their members go on.

#![expect(clippy::disallowed_methods, reason = "these transactions have no events")]

mod full_disk;

use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::db::sqlite::{opened, pool};
use crate::db::{DatabaseSettings, url_of};
use crate::error::Error;

/// Any number of writers that wait join a group, whatever the time.
const NO_LIMITS: Limits =
    Limits { min_writes: usize::MAX, max_writes: usize::MAX, max_duration: Duration::ZERO, hard_limit: Duration::MAX };

/// The commit groups of a new file with one table.
struct Notes {
    groups: CommitGroups,
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    commits: watch::Receiver<u64>,
    url: String,
    _dir: tempfile::TempDir,
}

impl Notes {
    async fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = url_of(&dir.path().join("notes.db"));
        let settings = DatabaseSettings::new(url.clone(), 1);
        let mut options = pool(&settings, 1, false);
        options.map_sqlx_sqlite_opts(|options| opened(options, false).busy_timeout(Duration::ZERO));
        let writer = Database::connect(options).await.unwrap();
        writer.execute_unprepared("CREATE TABLE notes (text TEXT PRIMARY KEY)").await.unwrap();
        let reader = Database::connect(pool(&settings, 1, true)).await.unwrap();
        let (sender, commits) = watch::channel(0);
        let groups = CommitGroups::with_limits(limits, writer.clone(), None, sender);
        Self { groups, writer, reader, commits, url, _dir: dir }
    }

    /// Begins a transaction in another task, which waits in line afterwards.
    async fn queue(&self, seen: Option<SeenGroup>) -> JoinHandle<Transaction> {
        let groups = self.groups.clone();
        let waiting = tokio::spawn(async move { groups.begin(seen.as_ref()).await.unwrap() });
        yield_now().await;
        waiting
    }

    /// Writes a note in another task, which waits in line afterwards.
    async fn queue_note(&self, text: impl Into<String>) -> JoinHandle<Result<(), DbErr>> {
        let (groups, text) = (self.groups.clone(), text.into());
        let waiting = tokio::spawn(async move {
            let transaction = groups.begin(None).await?;
            insert(&transaction, &text).await?;
            transaction.commit().await
        });
        yield_now().await;
        waiting
    }

    /// The committed notes.
    async fn texts(&self) -> Vec<String> {
        let all = Statement::from_string(DatabaseBackend::Sqlite, "SELECT text FROM notes ORDER BY text");
        let rows = self.reader.query_all_raw(all).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    fn commits(&self) -> u64 {
        *self.commits.borrow()
    }
}

async fn insert(transaction: &Transaction, text: &str) -> Result<(), DbErr> {
    transaction.execute_unprepared(&format!("INSERT INTO notes VALUES ('{text}')")).await?;
    Ok(())
}

/// The number of commits for a writer and ten who wait for it.
async fn commits_of_eleven(limits: Limits) -> u64 {
    let notes = Notes::new(limits).await;
    let first = notes.groups.begin(None).await.unwrap();
    let mut waiting = Vec::new();
    for number in 0..10 {
        waiting.push(notes.queue_note(number.to_string()).await);
    }
    first.commit().await.unwrap();
    for written in waiting {
        written.await.unwrap().unwrap();
    }
    assert_eq!(notes.texts().await.len(), 10);
    notes.commits()
}

#[tokio::test]
async fn writers_that_wait_share_a_commit() {
    assert_eq!(commits_of_eleven(NO_LIMITS).await, 1);
}

#[tokio::test]
async fn a_group_is_limited() {
    let few = Limits { min_writes: 1, max_writes: 4, max_duration: Duration::from_hours(1), ..NO_LIMITS };
    assert_eq!(commits_of_eleven(few).await, 3);
    let slow = Limits { min_writes: 3, max_writes: 64, ..NO_LIMITS };
    assert_eq!(commits_of_eleven(slow).await, 4);
    let old = Limits { hard_limit: Duration::ZERO, ..NO_LIMITS };
    assert_eq!(commits_of_eleven(old).await, 11);
}

#[tokio::test]
async fn a_member_that_fails_takes_no_other_along() {
    let notes = Notes::new(NO_LIMITS).await;
    let first = notes.groups.begin(None).await.unwrap();
    let ada = notes.queue_note("ada").await;
    let taken = notes.queue_note("ada").await;
    let dropped = notes.queue(None).await;
    let bob = notes.queue_note("bob").await;
    insert(&first, "first").await.unwrap();
    let first = tokio::spawn(first.commit());
    let member = dropped.await.unwrap();
    insert(&member, "dropped").await.unwrap();
    drop(member);
    for written in [first, ada, bob] {
        written.await.unwrap().unwrap();
    }
    assert!(taken.await.unwrap().unwrap_err().to_string().contains("UNIQUE"));
    assert_eq!(notes.texts().await, ["ada", "bob", "first"]);
    assert_eq!(notes.commits(), 1);
}

#[tokio::test]
async fn a_first_member_that_fails_leaves_those_who_wait() {
    let notes = Notes::new(NO_LIMITS).await;
    let first = notes.groups.begin(None).await.unwrap();
    let next = notes.queue_note("next").await;
    insert(&first, "first").await.unwrap();
    first.rollback().await.unwrap();
    next.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["next"]);
}

#[tokio::test]
async fn nothing_is_acknowledged_or_settled_before_the_commit() {
    let notes = Notes::new(NO_LIMITS).await;
    let seen = notes.groups.nothing_seen();
    seen.settle().await.unwrap();
    let first = notes.groups.begin(None).await.unwrap();
    insert(&first, "first").await.unwrap();
    let second = notes.queue(Some(seen.clone())).await;
    let third = notes.queue(None).await;
    let first = tokio::spawn(first.commit());
    drop(second.await.unwrap());
    let third = third.await.unwrap();
    assert!(notes.texts().await.is_empty());
    assert!(!first.is_finished());
    // Whoever was a member reads and begins only after the commit.
    assert!(seen.settle().now_or_never().is_none());
    let later = notes.queue(Some(seen.clone())).await;
    third.rollback().await.unwrap();
    seen.settle().await.unwrap();
    assert_eq!(notes.texts().await, ["first"]);
    first.await.unwrap().unwrap();
    later.await.unwrap().commit().await.unwrap();
    assert_eq!(notes.commits(), 2);
}

#[tokio::test]
async fn whoever_leaves_does_no_harm() {
    const SLOW: &str = "INSERT INTO notes WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted \
                        WHERE n < 300000) SELECT 'abandoned' FROM counted WHERE n = 300000";
    let notes = Notes::new(NO_LIMITS).await;
    let first = notes.groups.begin(None).await.unwrap();
    let leaver = notes.queue_note("left while waiting").await;
    let stays = notes.queue_note("stays").await;
    leaver.abort();
    assert!(leaver.await.unwrap_err().is_cancelled());
    first.commit().await.unwrap();
    stays.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["stays"]);

    // A commit that has begun is completed.
    let member = notes.groups.begin(None).await.unwrap();
    insert(&member, "committed").await.unwrap();
    assert!(member.commit().now_or_never().is_none());
    // A statement that was abandoned may have been executed.
    let member = notes.groups.begin(None).await.unwrap();
    assert!(member.execute_unprepared(SLOW).now_or_never().is_none());
    member.commit().await.unwrap_err();
    notes.queue_note("last").await.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["committed", "last", "stays"]);
}

#[tokio::test]
async fn a_transaction_with_a_failed_statement_accepts_no_other_and_is_not_committed() {
    let notes = Notes::new(NO_LIMITS).await;
    let transaction = notes.groups.begin(None).await.unwrap();
    insert(&transaction, "ada").await.unwrap();
    insert(&transaction, "ada").await.unwrap_err();
    insert(&transaction, "bob").await.unwrap_err();
    transaction.commit().await.unwrap_err();
    assert!(notes.texts().await.is_empty());
    notes.queue_note("next").await.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["next"]);
}

#[tokio::test]
async fn statements_that_need_the_connection_alone_wait_for_the_group() {
    let notes = Notes::new(NO_LIMITS).await;
    let first = notes.groups.begin(None).await.unwrap();
    insert(&first, "before").await.unwrap();
    let groups = notes.groups.clone();
    let alone = tokio::spawn(async move { groups.alone().await.unwrap() });
    yield_now().await;
    let after = notes.queue_note("after").await;
    first.commit().await.unwrap();
    let alone = alone.await.unwrap();
    assert_eq!(notes.texts().await, ["before"]);
    notes.writer.execute_unprepared("VACUUM").await.unwrap();
    drop(alone);
    after.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["after", "before"]);
    assert_eq!(notes.commits(), 2);
}

#[tokio::test]
async fn a_lost_transaction_fails_all_members_and_none_that_follow() {
    let notes = Notes::new(NO_LIMITS).await;
    let first = notes.groups.begin(None).await.unwrap();
    insert(&first, "first").await.unwrap();
    let second = notes.queue(None).await;
    let first = tokio::spawn(first.commit());
    let second = second.await.unwrap();
    let follows = notes.queue_note("follows").await;
    // SQLite does so by itself when the disk is full.
    second.execute_unprepared("ROLLBACK").await.unwrap();
    for outcome in [second.commit().await, first.await.unwrap()] {
        assert!(matches!(Error::from(outcome.unwrap_err()), Error::Unavailable(_)));
    }
    follows.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["follows"]);
    assert_eq!(notes.commits(), 1);
}

#[tokio::test]
async fn a_lost_group_fails_whoever_has_seen_it() {
    let notes = Notes::new(NO_LIMITS).await;
    let seen = notes.groups.nothing_seen();
    let first = notes.groups.begin(None).await.unwrap();
    insert(&first, "first").await.unwrap();
    let second = notes.queue(Some(seen.clone())).await;
    let third = notes.queue(None).await;
    let first = tokio::spawn(first.commit());
    let second = second.await.unwrap();
    // A transaction of the request is open, which must not wait for itself.
    assert!(seen.settle().now_or_never().is_some_and(|settled| settled.is_ok()));
    second.rollback().await.unwrap();
    let third = third.await.unwrap();
    third.execute_unprepared("ROLLBACK").await.unwrap();
    third.commit().await.unwrap_err();
    first.await.unwrap().unwrap_err();
    for error in [seen.settle().await.unwrap_err(), notes.groups.begin(Some(&seen)).await.unwrap_err()] {
        assert!(matches!(Error::from(error), Error::Unavailable(_)));
    }
    notes.groups.begin(None).await.unwrap().commit().await.unwrap();
    assert!(notes.texts().await.is_empty());
}

#[tokio::test]
async fn a_lock_of_another_process_fails_only_whoever_meets_it() {
    let notes = Notes::new(NO_LIMITS).await;
    let other = Database::connect(pool(&DatabaseSettings::new(notes.url.clone(), 1), 1, false)).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let refused = notes.queue_note("refused").await.await.unwrap();
    assert!(matches!(Error::from(refused.unwrap_err()), Error::Unavailable(_)));
    other.execute_unprepared("COMMIT").await.unwrap();
    notes.queue_note("next").await.await.unwrap().unwrap();
    assert_eq!(notes.texts().await, ["next"]);
}

#[tokio::test]
async fn the_task_ends_with_the_last_handle() {
    let Notes { groups, mut commits, _dir, .. } = Notes::new(NO_LIMITS).await;
    let clone = groups.clone();
    drop(groups);
    clone.begin(None).await.unwrap().commit().await.unwrap();
    commits.changed().await.unwrap();
    drop(clone);
    commits.changed().await.unwrap_err();
}
