//! Commit groups: writers of SQLite that wait for their turn share one transaction, and so one wait for the disk.
//!
//! A task gives the connection that writes to one requester after another, in the order of their requests. When a writer has
//! finished, the next one that waits joins its group, in a savepoint of the same transaction, and all are told of the outcome of
//! the one COMMIT at its end. A writer that fails is rolled back to its savepoint, and takes no other along.

mod group;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnAcquireErr, DatabaseConnection, DatabaseTransaction, DbErr};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use self::group::{LIMITS, Limits};
use self::task::GroupTask;
use super::WriteAheadLog;
use crate::db::transaction::{Ending, GroupMark, Membership, SeenGroup, Transaction, closed};
use crate::repeated::Repeated;

/// A handle to the commit groups of a database; cheap to clone. Their task ends with the last handle.
#[derive(Clone, Debug)]
pub(in crate::db) struct CommitGroups {
    requests: mpsc::UnboundedSender<Request>,
    /// The number of the last group that has ended.
    ended: watch::Receiver<u64>,
    /// The maximum time to wait for a turn.
    max_wait: Duration,
}

/// A request for the connection that writes.
enum Request {
    /// To write as a member of a group.
    Write(Turn<Place>),
    /// To use the connection alone, outside a transaction.
    Alone(Turn<Alone>),
}

/// Tells a requester that it is its turn; what it gets follows. The time in between does not count as waiting for the turn.
type Turn<T> = oneshot::Sender<oneshot::Receiver<Result<T, DbErr>>>;

/// Gives a requester what it waits for.
type Grant<T> = oneshot::Sender<Result<T, DbErr>>;

/// A place in a group. Dropping it ends the member: the transaction first, then the sender that says so.
struct Place {
    transaction: Arc<DatabaseTransaction>,
    group: GroupMark,
    ending: oneshot::Sender<Ending>,
}

/// The exclusive use of the connection that writes, until this is dropped.
pub(in crate::db) struct Alone {
    _returned: oneshot::Sender<()>,
}

impl CommitGroups {
    /// Starts the task of the groups. `pool` has one connection; `commits` is the number of commits.
    pub(in crate::db) fn start(
        pool: DatabaseConnection,
        log: Option<Arc<WriteAheadLog>>,
        commits: watch::Sender<u64>,
        max_wait: Duration,
    ) -> Self {
        Self { max_wait, ..Self::with_limits(LIMITS, pool, log, commits) }
    }

    fn with_limits(
        limits: Limits,
        pool: DatabaseConnection,
        log: Option<Arc<WriteAheadLog>>,
        commits: watch::Sender<u64>,
    ) -> Self {
        let (requests, waiting) = mpsc::unbounded_channel();
        let (ended, has_ended) = watch::channel(0);
        let (next, number, failures) = (None, 0, Repeated::new());
        let task = GroupTask { limits, pool, log, requests: waiting, next, number, ended, commits, failures };
        tokio::spawn(task.run());
        Self { requests, ended: has_ended, max_wait: Duration::MAX }
    }

    /// Returns what a request has seen that was not in a group yet.
    pub(in crate::db) fn nothing_seen(&self) -> SeenGroup {
        SeenGroup::new(self.ended.clone())
    }

    /// Waits for a turn, and begins a transaction as a member of a group.
    ///
    /// # Errors
    /// `ConnectionAcquire` if the turn does not come in time, or the database is closed; an error of the database if the
    /// transaction cannot begin; the reason if what the request has seen was lost.
    pub(in crate::db) async fn begin(&self, seen: Option<&SeenGroup>) -> Result<Transaction, DbErr> {
        if let Some(seen) = seen {
            seen.settle().await?;
        }
        let Place { transaction, group, ending } = self.take(Request::Write).await?;
        Ok(Transaction::member(transaction, Membership::new(group, ending, seen.cloned())))
    }

    /// Waits for a turn to use the connection alone, for statements that cannot run in a transaction.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(in crate::db) async fn alone(&self) -> Result<Alone, DbErr> {
        self.take(Request::Alone).await
    }

    async fn take<T>(&self, request: fn(Turn<T>) -> Request) -> Result<T, DbErr> {
        let (turn, waiting) = oneshot::channel();
        self.requests.send(request(turn)).map_err(|_| closed())?;
        let timed_out = |_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let granted = timeout(self.max_wait, waiting).await.map_err(timed_out)?.map_err(|_| closed())?;
        granted.await.map_err(|_| closed())?
    }
}
