//! The task that runs commit groups.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::group::{Group, Limits};
use super::{Alone, Grant, Place, Request, Turn};
use crate::db::sqlite::WriteAheadLog;
use crate::db::transaction::{Ending, closed, lost};
use crate::repeated::Repeated;

/// The task that runs one group after another.
pub(super) struct GroupTask {
    pub(super) limits: Limits,
    pub(super) pool: DatabaseConnection,
    pub(super) log: Option<Arc<WriteAheadLog>>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    /// A request that waits for the end of the group.
    pub(super) next: Option<Request>,
    /// The number of the last group.
    pub(super) number: u64,
    pub(super) ended: watch::Sender<u64>,
    pub(super) commits: watch::Sender<u64>,
    /// The groups that could not be ended as they should.
    pub(super) failures: Repeated,
}

impl GroupTask {
    pub(super) async fn run(mut self) {
        while let Some(request) = self.next_request().await {
            match request {
                Request::Write(turn) => self.run_group(turn).await,
                Request::Alone(turn) => self.lend(turn).await,
            }
        }
    }

    async fn next_request(&mut self) -> Option<Request> {
        match self.next.take() {
            Some(request) => Some(request),
            None => self.requests.recv().await,
        }
    }

    /// Leaves the connection to a requester until it is returned.
    async fn lend(&self, turn: Turn<Alone>) {
        let Some(grant) = call(turn) else { return };
        let (returned, is_returned) = oneshot::channel();
        let alone = self.make_room().await.map(|()| Alone { _returned: returned });
        // If the requester has left, this drops what it would have got.
        let _ = grant.send(alone);
        let _ = is_returned.await;
    }

    /// Runs a group from its first member to its end. The first member needs no savepoint: if it is rolled back, so is the group,
    /// which has no other member yet.
    async fn run_group(&mut self, first: Turn<Place>) {
        let Some(grant) = call(first) else { return };
        let transaction = match self.begin().await {
            Ok(transaction) => transaction,
            Err(error) => {
                let has_connection = !matches!(error, DbErr::ConnectionAcquire(_));
                let _ = grant.send(Err(error));
                if has_connection {
                    self.replace_connection().await;
                }
                return;
            }
        };
        self.number += 1;
        let mut group = Group::new(transaction, self.number);
        let (outcome, undone) = match group.run_member(grant).await {
            Some(Ending::Commit(answer)) => {
                group.committed.push(answer);
                (self.add_members(&mut group).await, None)
            }
            Some(Ending::RollBack(answer)) => (Ok(()), Some(answer)),
            None => (Ok(()), None),
        };
        let outcome = self.end(group, outcome).await;
        if let Some(answer) = undone {
            let _ = answer.send(outcome);
        }
    }

    /// Begins the transaction of a group. It takes the write lock at once, so that it cannot fail halfway.
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.make_room().await?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.pool.begin_with_options(options).await
    }

    /// Empties the write-ahead log if it is too long.
    async fn make_room(&self) -> Result<(), DbErr> {
        match &self.log {
            Some(log) if log.is_long() => log.empty(&self.pool).await,
            _ => Ok(()),
        }
    }

    /// Runs one more member after another, while any waits and the group has room.
    ///
    /// # Errors
    /// That of a savepoint. The transaction is lost: SQLite rolls it back as a whole after some errors, such as a full disk, and
    /// what follows would not be part of it.
    async fn add_members(&mut self, group: &mut Group) -> Result<(), DbErr> {
        while let Some(turn) = self.next_member(group) {
            if let Err(error) = group.open_savepoint().await {
                // The transaction was lost before it was the member's turn.
                self.next = Some(Request::Write(turn));
                return Err(error);
            }
            if let Some(grant) = call(turn) {
                group.add_member(grant).await?;
            }
        }
        group.release_savepoint().await
    }

    fn next_member(&mut self, group: &Group) -> Option<Turn<Place>> {
        while self.next.is_none() && group.has_room(self.limits) {
            match self.requests.try_recv().ok()? {
                Request::Write(turn) if turn.is_closed() => {}
                Request::Write(turn) => return Some(turn),
                other @ Request::Alone(_) => self.next = Some(other),
            }
        }
        None
    }

    /// Ends a group, and tells its members the outcome. `outcome` is an error if the transaction is lost.
    async fn end(&self, group: Group, outcome: Result<(), DbErr>) -> Result<(), DbErr> {
        let Group { transaction, mark, committed, .. } = group;
        let outcome = match outcome {
            Ok(()) => finish(transaction, !committed.is_empty()).await.map_err(|error| mark.cause_of(error)),
            Err(error) => {
                drop(transaction);
                Err(lost(mark.cause_of(error)))
            }
        };
        if outcome.is_ok() && !committed.is_empty() {
            self.commits.send_modify(|commits| *commits += 1);
        }
        if let Err(cause) = &outcome
            && !committed.is_empty()
        {
            mark.lose(cause.clone());
        }
        self.ended.send_replace(mark.number);
        for answer in committed {
            let _ = answer.send(outcome.clone());
        }
        if let Err(cause) = &outcome {
            if let Some(times) = self.failures.count() {
                tracing::warn!(%cause, times, "a group of writes was rolled back");
            }
            self.replace_connection().await;
        }
        outcome
    }

    /// Closes the connection; the pool opens another one. After an error at which SQLite has rolled back on its own, sqlx no
    /// longer knows whether a transaction is open.
    async fn replace_connection(&self) {
        let outcome = match self.pool.get_sqlite_connection_pool().acquire().await {
            Ok(connection) => connection.close().await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "failed to close the connection that writes cleanly");
        }
    }
}

/// Commits the transaction of a group, or rolls it back if no member was committed.
#[expect(clippy::disallowed_methods, reason = "this commits what the members have committed")]
async fn finish(transaction: Arc<DatabaseTransaction>, has_commits: bool) -> Result<(), DbErr> {
    let transaction = Arc::into_inner(transaction).ok_or_else(closed)?;
    if has_commits { transaction.commit().await } else { transaction.rollback().await }
}

/// Tells a requester that it is its turn. Returns `None` if it no longer waits.
fn call<T>(turn: Turn<T>) -> Option<Grant<T>> {
    let (grant, granted) = oneshot::channel();
    turn.send(granted).is_ok().then_some(grant)
}
