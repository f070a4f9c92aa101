//! Transactions that may write.

mod membership;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseExecutor, DatabaseTransaction, DbErr, ExecResult, IntoDatabaseExecutor,
    QueryResult, Statement,
};
use tokio::sync::watch;

pub(super) use self::membership::{Answer, Ending, GroupMark, Membership, SeenGroup, closed, lost};
use super::changed::ChangedRows;
use super::primary::Primary;
use super::writer::check_after;

/// A transaction that may write, as [`Db::begin`](super::Db::begin) returns it. Dropped without a commit, it is rolled back.
///
/// As on PostgreSQL, it accepts no more statements after one has failed, and cannot be committed. On SQLite it may share a commit
/// with other transactions, and sees what those before it have written.
#[derive(Debug)]
pub struct Transaction {
    kind: Kind,
    /// The number of statements that are running, were abandoned or have failed.
    unfinished: AtomicUsize,
    /// Whether a statement has failed.
    has_failed: AtomicBool,
    /// The rows that transactions change.
    changed: ChangedRows,
    /// The server of PostgreSQL, to be checked after an error, if there may be another one.
    primary: Option<Arc<Primary>>,
    /// The number and the hash of the last event of the audit trail, if they were read while no other transaction can append.
    end_of_trail: OnceLock<(i64, Vec<u8>)>,
}

#[derive(Debug)]
enum Kind {
    /// A transaction of its own, and the number of commits, which wakes whoever waits for them.
    Own(DatabaseTransaction, watch::Sender<u64>),
    /// A member of a commit group. The reference to the group's transaction is dropped first: when a member has ended, its group
    /// has the only one.
    Member(Arc<DatabaseTransaction>, Membership),
}

impl Transaction {
    pub(super) fn new(inner: DatabaseTransaction, commits: watch::Sender<u64>) -> Self {
        Self::of(Kind::Own(inner, commits))
    }

    pub(super) fn member(group: Arc<DatabaseTransaction>, membership: Membership) -> Self {
        Self::of(Kind::Member(group, membership))
    }

    fn of(kind: Kind) -> Self {
        let (unfinished, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (changed, end_of_trail) = (ChangedRows::default(), OnceLock::new());
        Self { kind, unfinished, has_failed, changed, primary: None, end_of_trail }
    }

    /// Returns the transaction with the record of the rows that are changed.
    pub(super) fn recording(self, changed: ChangedRows) -> Self {
        Self { changed, ..self }
    }

    /// Returns the transaction with the server to be checked after an error.
    pub(super) fn checking(self, primary: Option<Arc<Primary>>) -> Self {
        Self { primary, ..self }
    }

    /// Returns the record of the rows that are changed. They are recorded after the commit.
    #[must_use]
    pub fn changed_rows(&self) -> ChangedRows {
        self.changed.clone()
    }

    /// Notes the end of the audit trail, so that the event of the transaction needs no statement to read it.
    pub fn note_end_of_trail(&self, seq: i64, hash: Vec<u8>) {
        let _ = self.end_of_trail.set((seq, hash));
    }

    /// Takes what was noted of the end of the audit trail.
    pub fn take_end_of_trail(&mut self) -> Option<(i64, Vec<u8>)> {
        self.end_of_trail.take()
    }

    /// Commits the transaction, and wakes the receivers of [`Db::committed`](super::Db::committed). Returns once the changes are
    /// durable.
    ///
    /// # Errors
    /// That a statement has failed, or that the database cannot be reached or has no room; nothing is saved then.
    #[expect(clippy::disallowed_methods, reason = "this is the transaction that others commit")]
    pub async fn commit(self) -> Result<(), DbErr> {
        if self.unfinished.load(Ordering::Relaxed) > 0 {
            return Err(DbErr::Custom("a statement of the transaction has failed or was abandoned".to_owned()));
        }
        match self.kind {
            Kind::Own(inner, commits) => {
                inner.commit().await.inspect_err(|error| check_after(self.primary.as_deref(), error))?;
                commits.send_modify(|commits| *commits += 1);
                Ok(())
            }
            Kind::Member(group, membership) => {
                drop(group);
                membership.end(Ending::Commit).await
            }
        }
    }

    /// Rolls the transaction back. Dropping it does the same, but later.
    ///
    /// # Errors
    /// That the database cannot be reached.
    pub async fn rollback(self) -> Result<(), DbErr> {
        match self.kind {
            Kind::Own(inner, _) => inner.rollback().await,
            Kind::Member(group, membership) => {
                drop(group);
                membership.end(Ending::RollBack).await
            }
        }
    }

    fn inner(&self) -> &DatabaseTransaction {
        match &self.kind {
            Kind::Own(inner, _) => inner,
            Kind::Member(group, _) => group.as_ref(),
        }
    }

    /// Runs a statement, which prevents a commit unless it succeeds, and later statements if it fails. After some errors, such as a
    /// full disk, SQLite has rolled back the whole transaction, and would commit each later statement on its own.
    async fn track<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(DbErr::Custom("an earlier statement of the transaction has failed".to_owned()));
        }
        self.unfinished.fetch_add(1, Ordering::Relaxed);
        let outcome = statement.await;
        match &outcome {
            Ok(_) => {
                self.unfinished.fetch_sub(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.has_failed.store(true, Ordering::Relaxed);
                if let Kind::Member(_, membership) = &self.kind {
                    membership.note(error);
                }
                check_after(self.primary.as_deref(), error);
            }
        }
        outcome
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.inner().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.track(self.inner().execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.track(self.inner().execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.track(self.inner().query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.track(self.inner().query_all_raw(statement)).await
    }
}

/// Lets migrations run in the transaction.
impl<'t> IntoDatabaseExecutor<'t> for &'t Transaction {
    fn into_database_executor(self) -> DatabaseExecutor<'t> {
        DatabaseExecutor::Transaction(self.inner())
    }
}
