//! Commits of writes, each together with its events.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::{ChangedUsers, Entry, Head, PreparedEvents, chain, inbox, prepare, sealer};
use crate::actor::Reliance;
use crate::db::{Db, Transaction, joined};
use crate::error::Error;

/// Commits a transaction together with the events of what it did: both are saved, or neither.
pub async fn commit(mut transaction: Transaction, entries: impl IntoIterator<Item = Entry>) -> Result<(), Error> {
    let PreparedEvents { events, changed } = prepare(entries)?;
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        inbox::add(&transaction, events).await?;
    } else {
        let head = transaction.take_end_of_trail().map(|(seq, hash)| Head { seq, hash });
        chain::append_after(&transaction, head, events).await?;
    }
    finish(transaction, &changed).await
}

/// Commits a transaction with one more write, and its event, as [`commit`]. SQLite gets both as one statement. The inner error is that
/// of the write.
pub async fn commit_write(
    mut transaction: Transaction,
    write: Statement,
    entry: Entry,
) -> Result<Result<(), DbErr>, Error> {
    let PreparedEvents { events, changed } = prepare([entry])?;
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        if let Err(error) = transaction.execute_raw(write).await {
            return Ok(Err(error));
        }
        inbox::add(&transaction, events).await?;
    } else {
        let head = transaction.take_end_of_trail().map(|(seq, hash)| Head { seq, hash });
        let write = chain::with_events(&transaction, head, write, events).await?;
        if let Err(error) = transaction.execute_raw(write).await {
            return Ok(Err(error));
        }
    }
    finish(transaction, &changed).await.map(Ok)
}

/// Runs a write and the addition of its event as one statement, a whole transaction of PostgreSQL, if what it relies on is still so.
/// The write returns a row. Returns whether it was run. The inner error is that of the write.
pub async fn commit_if(
    db: &Db,
    reliance: &Reliance,
    write: Statement,
    entry: Entry,
) -> Result<Result<bool, DbErr>, Error> {
    let PreparedEvents { events, changed } = prepare([entry])?;
    let [event] = <[_; 1]>::try_from(events).map_err(|_| Error::internal("an entry has one event"))?;
    let parts = [(Reliance::NAME, reliance.statement()), (inbox::SOURCE, write)];
    let whole = joined(parts, inbox::addition_after(event)?);
    let rows = match db.write().execute_once(whole).await {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(error)),
    };
    if rows > 0 {
        db.write().changed_rows().record(&changed.users, &changed.events);
    }
    Ok(Ok(rows > 0))
}

/// Commits a transaction that wrote many rows together with its events, as [`commit`]. On PostgreSQL, it seals the events itself,
/// after those that are committed, because on the way through the inbox each would be written twice. It takes the last locks of a
/// transaction, as [`erase`](super::erase).
pub async fn commit_sealed(transaction: Transaction, prepared: PreparedEvents) -> Result<(), Error> {
    let PreparedEvents { events, changed } = prepared;
    if !events.is_empty() {
        sealer::seal_within(&transaction).await?;
        chain::append(&transaction, events).await?;
    }
    finish(transaction, &changed).await
}

/// Commits a transaction whose events have been written, and records the users that it changes.
#[expect(clippy::disallowed_methods, reason = "this is the one place where a write is committed, with its events")]
async fn finish(transaction: Transaction, changed: &ChangedUsers) -> Result<(), Error> {
    let rows = transaction.changed_rows();
    transaction.commit().await?;
    rows.record(&changed.users, &changed.events);
    Ok(())
}
