//! The sealer: gives committed events their places in the chain, on PostgreSQL.
//!
//! A write adds its events to the inbox as the last thing in its transaction, and takes no lock for it, so that writes
//! commit side by side. The sealer moves what is committed into the chain. It gives the places after the commits, so the
//! chain has no gaps, and no event appears before another one that is already there.
//!
//! Within a batch, the order is that of the numbers in the inbox. A write that waited for a row of another write adds its
//! events after the other one has committed, so it has the higher number; and whoever sees its events also sees those of
//! the other one. Each batch is read from the beginning, because a lower number may be committed after a higher one. So no
//! event precedes one that it depends on. For writes that do not depend on each other, either order is right.
//!
//! Any number of processes may seal; an advisory lock lets one do it at a time. A process of an earlier version appends
//! its events to the chain itself, under the lock of the head. The sealer takes that lock too (`chain::append`), so both may
//! run beside each other.
//!
//! On SQLite writes take turns anyway, and [`super::commit`] appends their events to the chain.

mod log;
mod metrics;
mod task;

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

pub use self::metrics::SealerMetrics;
pub use self::task::run;
use super::{chain, inbox};
use crate::db::Db;
use crate::entity::audit_event::{self, AuditAction};
use crate::error::Error;
use crate::scalar::Id;

/// The advisory lock of a transaction that seals events.
const SEALING_LOCK: i64 = 7_305_804_404;
/// The maximum time that a reader waits for the newest events to be sealed.
const MAX_WAIT_OF_READER: Duration = Duration::from_millis(500);
/// The maximum time that a command waits for its events to be sealed.
const MAX_WAIT_OF_COMMAND: Duration = Duration::from_mins(1);
/// The delay after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The reaction to another transaction that seals events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfLocked {
    /// Waits until it ends.
    Wait,
    /// Leaves the events to it.
    Return,
}

/// The result of sealing.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The number of events that were sealed.
    pub events: u64,
    /// The events that stay in the inbox.
    pub rejected: Vec<RejectedEvent>,
    /// Whether events were left to another transaction that seals events.
    pub was_locked: bool,
}

/// An event that cannot be sealed, because it is not as it was written.
#[derive(Debug)]
pub struct RejectedEvent {
    /// The number of its row in the inbox.
    pub number: i64,
    pub reason: String,
}

/// Seals the events that are committed, in transactions of at most a thousand events. Does nothing on SQLite.
///
/// # Errors
/// `Unavailable` if the database cannot be reached, or not be written.
pub async fn seal(db: &Db, if_locked: IfLocked) -> Result<Sealed, Error> {
    if is_up_to_date(db).await? {
        return Ok(Sealed::default());
    }
    seal_unsealed(db, if_locked).await
}

/// Seals as [`seal`] does, without looking first whether there is anything to seal. Does nothing on SQLite.
async fn seal_unsealed(db: &Db, if_locked: IfLocked) -> Result<Sealed, Error> {
    if !db.is_postgres() {
        return Ok(Sealed::default());
    }
    let turn = db.sealing_turn();
    let turn = match if_locked {
        IfLocked::Wait => turn.lock_owned().await,
        IfLocked::Return => match turn.try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => return Ok(Sealed { was_locked: true, ..Sealed::default() }),
        },
    };
    seal_in_turn(db, turn, if_locked).await
}

/// Seals every event that is committed, for those who read the chain afterwards.
///
/// # Errors
/// As [`seal`].
pub async fn seal_committed(db: &Db) -> Result<(), Error> {
    if is_up_to_date(db).await? {
        return Ok(());
    }
    let turn = db.sealing_turn().lock_owned().await;
    let (unlimited, runtime) = db.unlimited();
    // A task of its own: a request that ends while a transaction begins would leave it open in the pool. Others wait for it, so
    // neither the limits of this request nor the priority of its thread apply to it.
    let sealing = runtime.spawn(async move { seal_in_turn(&unlimited, turn, IfLocked::Wait).await });
    sealing.await.map_err(Error::internal)?.map(|_| ())
}

/// Seals every event that is committed, as [`seal_committed`], if possible within a short time. For those who prefer a chain
/// without the newest events to none, such as on a database that cannot be written.
pub async fn try_to_seal(db: &Db) {
    match timeout(MAX_WAIT_OF_READER, seal_committed(db)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = error.for_log(), "failed to seal the audit trail"),
        // The task that seals goes on.
        Err(_) => tracing::debug!("the audit trail could not be sealed in time"),
    }
}

/// Seals every event that is committed, for a command that writes: it waits for others who seal, and tries again after a failure. It
/// gives up after a minute, because the command has done its work: a server, or the next command, seals the rest.
pub async fn seal_for_command(db: &Db) {
    let sealed = async {
        loop {
            match seal_committed(db).await {
                Err(Error::Unavailable(cause)) => {
                    tracing::debug!(%cause, "failed to seal the audit trail; trying again");
                }
                outcome => return outcome,
            }
            sleep(RETRY_DELAY).await;
        }
    };
    match timeout(MAX_WAIT_OF_COMMAND, sealed).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(error = error.for_log(), "failed to seal the audit trail; the events stay in audit_inbox");
        }
        Err(_) => tracing::warn!("the audit trail could not be sealed in time; a server or the next command seals it"),
    }
}

/// Seals every event that is committed, as a part of another transaction. The transaction holds the lock of the sealer and of the
/// head from then on, so this must be among the last things that it does. Does nothing on SQLite.
pub(super) async fn seal_within(transaction: &impl ConnectionTrait) -> Result<(), Error> {
    if transaction.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(());
    }
    lock(transaction, IfLocked::Wait).await?;
    let mut sealed = Sealed::default();
    while seal_batch(transaction, &mut sealed).await? {}
    Ok(())
}

async fn is_up_to_date(db: &Db) -> Result<bool, Error> {
    Ok(!db.is_postgres() || inbox::is_empty(db.read()).await?)
}

/// Seals what is committed, one task of this process at a time: so many writes need few transactions to seal them.
async fn seal_in_turn(db: &Db, _turn: OwnedMutexGuard<()>, if_locked: IfLocked) -> Result<Sealed, Error> {
    let mut sealed = Sealed::default();
    // Another task may have sealed everything, while this one waited for its turn.
    if if_locked == IfLocked::Wait && is_up_to_date(db).await? {
        return Ok(sealed);
    }
    while seal_one_batch(db, if_locked, &mut sealed).await? {}
    Ok(sealed)
}

/// Seals a batch in a transaction of its own. Returns whether there may be another one.
#[expect(clippy::disallowed_methods, reason = "the events are those of writes that are committed")]
async fn seal_one_batch(db: &Db, if_locked: IfLocked, sealed: &mut Sealed) -> Result<bool, Error> {
    let transaction = db.begin().await?;
    if !lock(&transaction, if_locked).await? {
        transaction.rollback().await?;
        sealed.was_locked = true;
        return Ok(false);
    }
    let before = sealed.events;
    let is_full = seal_batch(&transaction, sealed).await?;
    if sealed.events > before {
        transaction.commit().await?;
    } else {
        // A commit would wake the sealer again, for ever if a rejected event stays in the inbox.
        transaction.rollback().await?;
    }
    Ok(is_full)
}

/// Locks out other transactions that seal events, until this one ends. Returns false if another one does and is not waited for.
///
/// It must be a statement of its own: the one that reads the inbox has to begin with the lock held, so that it does not see events
/// that are sealed already.
///
/// It also keeps the planner from reading whole tables for the rest of the transaction. The inbox seems small to it, but has a
/// minute's worth of deleted rows that are not vacuumed yet; an index leads past them. A table without an index is then so expensive
/// to it that it would compile the plan.
async fn lock(transaction: &impl ConnectionTrait, if_locked: IfLocked) -> Result<bool, Error> {
    let lock = match if_locked {
        IfLocked::Wait => format!("pg_advisory_xact_lock({SEALING_LOCK}) IS NOT NULL"),
        IfLocked::Return => format!("pg_try_advisory_xact_lock({SEALING_LOCK})"),
    };
    let set = ["enable_seqscan", "jit"].map(|name| format!(" AND set_config('{name}', 'off', true) IS NOT NULL"));
    let lock = format!("SELECT {lock}{}", set.concat());
    let row = transaction.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, lock)).await?;
    Ok(row.map(|row| row.try_get_by_index::<bool>(0)).transpose()?.unwrap_or(false))
}

/// Moves the oldest events from the inbox into the chain, within a transaction that holds the lock. Returns whether there may be
/// more.
async fn seal_batch(transaction: &impl ConnectionTrait, sealed: &mut Sealed) -> Result<bool, Error> {
    let rejected: Vec<i64> = sealed.rejected.iter().map(|event| event.number).collect();
    let unsealed = inbox::read(transaction, None, &rejected).await?;
    let is_full = unsealed.len() as u64 == inbox::BATCH;
    let (mut numbers, mut events) = (Vec::with_capacity(unsealed.len()), Vec::with_capacity(unsealed.len()));
    let mut ids: HashSet<Id> = HashSet::new();
    for event in unsealed {
        let (number, is_erased) = (event.number, event.is_erased);
        match event.check() {
            Ok(event) if ids.insert(event.id) => {
                numbers.push(number);
                // A deletion records its values for the time after it.
                let is_kept = !is_erased || event.action == AuditAction::UserDeleted;
                events.push(if is_kept { event } else { without_changes(event) });
            }
            Ok(_) => sealed.reject(number, "another event has the same ID".to_owned()),
            Err(reason) => sealed.reject(number, reason),
        }
    }
    sealed.events += events.len() as u64;
    chain::append(transaction, events).await?;
    inbox::delete(transaction, numbers).await?;
    Ok(is_full)
}

/// Returns an event as erasure leaves it, for an event that was written about a user who has been erased by now.
fn without_changes(event: audit_event::Model) -> audit_event::Model {
    audit_event::Model { changes: None, salt: None, ..event }
}

impl Sealed {
    fn reject(&mut self, number: i64, reason: String) {
        self.rejected.push(RejectedEvent { number, reason });
    }
}
