//! A commit group while it is open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use tokio::sync::oneshot;

use super::{Grant, Place};
use crate::db::transaction::{Answer, Ending, GroupMark};

/// The limits of a group. Each writer is told of its commit only at the end of the group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// So many writers may join until `hard_limit`.
    pub(super) min_writes: usize,
    pub(super) max_writes: usize,
    /// Beyond `min_writes`, no writer joins a group that has been open for longer.
    pub(super) max_duration: Duration,
    /// No writer joins a group that has been open for longer, however few members it has.
    pub(super) hard_limit: Duration,
}

pub(super) const LIMITS: Limits = Limits {
    min_writes: 8,
    max_writes: 64,
    max_duration: Duration::from_millis(5),
    hard_limit: Duration::from_millis(100),
};

/// The transaction of a group and its members so far.
pub(super) struct Group {
    pub(super) transaction: Arc<DatabaseTransaction>,
    pub(super) mark: GroupMark,
    begun: Instant,
    /// The number of members, whether or not they were committed.
    writes: usize,
    savepoint: Savepoint,
    /// The members that wait for the COMMIT.
    pub(super) committed: Vec<Answer>,
}

/// The savepoint of a group. It is released together with the beginning of the next one, because each statement is a visit to
/// the thread of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Savepoint {
    None,
    /// One in which nothing has been written.
    Empty,
    /// That of a committed member.
    Used,
}

impl Group {
    pub(super) fn new(transaction: DatabaseTransaction, number: u64) -> Self {
        Self {
            transaction: Arc::new(transaction),
            mark: GroupMark::new(number),
            begun: Instant::now(),
            writes: 0,
            savepoint: Savepoint::None,
            committed: Vec::new(),
        }
    }

    pub(super) fn has_room(&self, limits: Limits) -> bool {
        let is_young = |most| self.begun.elapsed() < most;
        let has_few = self.writes < limits.min_writes;
        is_young(limits.hard_limit) && (has_few || (self.writes < limits.max_writes && is_young(limits.max_duration)))
    }

    /// Gives the transaction to a member, and waits until the member has ended. Returns `None` if it was dropped.
    pub(super) async fn run_member(&mut self, grant: Grant<Place>) -> Option<Ending> {
        self.writes += 1;
        let (ending, has_ended) = oneshot::channel();
        let place = Place { transaction: Arc::clone(&self.transaction), group: self.mark.clone(), ending };
        // If the requester has left, this drops the place.
        let _ = grant.send(Ok(place));
        has_ended.await.ok()
    }

    /// Begins the savepoint of the next member.
    pub(super) async fn open_savepoint(&mut self) -> Result<(), DbErr> {
        match self.savepoint {
            Savepoint::None => self.transaction.execute_unprepared("SAVEPOINT member").await?,
            Savepoint::Used => self.transaction.execute_unprepared("RELEASE member; SAVEPOINT member").await?,
            Savepoint::Empty => return Ok(()),
        };
        self.savepoint = Savepoint::Empty;
        Ok(())
    }

    pub(super) async fn release_savepoint(&mut self) -> Result<(), DbErr> {
        if self.savepoint != Savepoint::None {
            self.transaction.execute_unprepared("RELEASE member").await?;
            self.savepoint = Savepoint::None;
        }
        Ok(())
    }

    /// Runs a member in the savepoint that has been opened for it.
    ///
    /// # Errors
    /// That the savepoint cannot be rolled back.
    pub(super) async fn add_member(&mut self, grant: Grant<Place>) -> Result<(), DbErr> {
        match self.run_member(grant).await {
            Some(Ending::Commit(answer)) => {
                self.committed.push(answer);
                self.savepoint = Savepoint::Used;
            }
            other => {
                self.transaction.execute_unprepared("ROLLBACK TO member").await?;
                if let Some(Ending::RollBack(answer)) = other {
                    let _ = answer.send(Ok(()));
                }
            }
        }
        Ok(())
    }
}
