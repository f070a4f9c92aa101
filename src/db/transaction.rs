//! Transactions that may write.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DatabaseExecutor, DatabaseTransaction, DbErr, ExecResult,
    IntoDatabaseExecutor, QueryResult, RuntimeErr, Statement,
};
use tokio::sync::{oneshot, watch};

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

/// How a member of a commit group ends, and where to send the outcome.
#[derive(Debug)]
pub(super) enum Ending {
    Commit(Answer),
    RollBack(Answer),
}

pub(super) type Answer = oneshot::Sender<Result<(), DbErr>>;

/// The membership of a transaction in a commit group. Dropping it ends the member, which is rolled back.
#[derive(Debug)]
pub(super) struct Membership {
    group: GroupMark,
    ending: Option<oneshot::Sender<Ending>>,
    /// The place to note that the group's changes have been seen.
    seen: Option<SeenGroup>,
}

impl Membership {
    pub(super) fn new(group: GroupMark, ending: oneshot::Sender<Ending>, seen: Option<SeenGroup>) -> Self {
        if let Some(seen) = &seen {
            seen.open.fetch_add(1, Ordering::AcqRel);
        }
        Self { group, ending: Some(ending), seen }
    }

    async fn end(mut self, ending: fn(Answer) -> Ending) -> Result<(), DbErr> {
        let (answer, outcome) = oneshot::channel();
        let _ = self.ending.take().map(|group| group.send(ending(answer)));
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            seen.note(&self.group);
            seen.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The number of a commit group, and whether what its members have committed was lost.
#[derive(Clone, Debug)]
pub(super) struct GroupMark {
    pub(super) number: u64,
    is_lost: Arc<AtomicBool>,
}

impl GroupMark {
    pub(super) fn new(number: u64) -> Self {
        Self { number, is_lost: Arc::default() }
    }

    /// Notes that what members have committed was lost. To be called before the group has ended.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
    }
}

/// The last commit group that a request was a member of. While the group is open, a member has seen changes of others that the
/// readers cannot see, and that may still be lost.
#[derive(Clone, Debug)]
pub(super) struct SeenGroup {
    last: Arc<Mutex<Option<GroupMark>>>,
    /// The number of transactions of the request that are open.
    open: Arc<AtomicUsize>,
    /// The number of the last group that has ended.
    ended: watch::Receiver<u64>,
}

impl SeenGroup {
    pub(super) fn new(ended: watch::Receiver<u64>) -> Self {
        Self { last: Arc::default(), open: Arc::default(), ended }
    }

    fn note(&self, group: &GroupMark) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| last.number < group.number) {
            *last = Some(group.clone());
        }
    }

    fn last(&self) -> Option<GroupMark> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the group has ended. Returns at once while a transaction of the request is open: that may be a later member of
    /// the group, which would wait for itself.
    ///
    /// # Errors
    /// That the group was lost, and so what the request has seen of it.
    pub(super) async fn settle(&self) -> Result<(), DbErr> {
        let Some(group) = self.last() else { return Ok(()) };
        if self.open.load(Ordering::Acquire) > 0 {
            return Ok(());
        }
        let mut ended = self.ended.clone();
        // Fails if the group will never end.
        ended.wait_for(|ended| *ended >= group.number).await.map_err(|_| closed())?;
        if group.is_lost.load(Ordering::Acquire) { Err(lost("a request has seen it")) } else { Ok(()) }
    }
}

/// Returns the error for a lost transaction of a commit group: another attempt may succeed.
pub(super) fn lost(cause: impl Display) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("the transaction that writers shared was rolled back: {cause}")))
}

/// Returns the error of requests to a closed database.
pub(super) fn closed() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
}
