//! `roster audit verify`: checks event by event that the trail is as it was written.

use std::collections::HashSet;
use std::fmt;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait,
};

use super::chain::{Head, changes_match, hash_of};
use super::{inbox, sealer};
use crate::db::Db;
use crate::db::conditions::one_of;
use crate::entity::audit_event::{self, SubjectType};
use crate::entity::{tombstone, user};
use crate::error::Error;
use crate::scalar::Id;

/// The number of events read at once.
const CHUNK: u64 = 1_000;
/// The maximum number of errors that are listed.
const MAX_ERRORS: usize = 100;

/// The result of a verification.
#[derive(Debug)]
pub struct VerificationReport {
    /// The number of events in the chain.
    pub events: u64,
    /// The hash of the last event in hexadecimal. To be kept elsewhere if the administrator of the database is not trusted.
    pub hash: String,
    /// The errors, in the order of the events; at most 100.
    pub errors: Vec<ChainError>,
    /// The number of errors.
    pub error_count: u64,
}

/// An error in the trail: something that is not as it was written.
#[derive(Debug)]
pub struct ChainError {
    /// The number of the event; `None` for the trail as a whole, and for an event without a place in the chain.
    pub seq: Option<i64>,
    /// The description of the error.
    pub message: String,
}

impl fmt::Display for ChainError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            Some(seq) => write!(formatter, "event {seq}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

/// Reads the whole trail in one snapshot and finds everything that was changed in it. Events that are committed but not sealed yet
/// are sealed first; those that cannot be are checked as well.
pub async fn verify(db: &Db) -> Result<VerificationReport, Error> {
    if let Err(error) = sealer::seal_committed(db).await {
        tracing::debug!(error = error.for_log(), "failed to seal the audit trail");
    }
    let snapshot = db.snapshot().await?;
    let mut chain = Chain::default();
    let mut last_seq = None;
    loop {
        let rows = read_chunk(&snapshot, last_seq).await?;
        let events = rows.iter().map(TrailRow::read).collect::<Result<Vec<_>, _>>()?;
        let erased = erased_subjects(&snapshot, &events).await?;
        for event in &events {
            chain.add(event, &erased)?;
            last_seq = Some(event.seq);
        }
        if (rows.len() as u64) < CHUNK {
            break;
        }
    }
    let head = Head::read(&snapshot).await?;
    if db.is_postgres() {
        check_inbox(&snapshot, &mut chain).await?;
    }
    snapshot.rollback().await?;
    Ok(chain.finish(head))
}

async fn read_chunk(snapshot: &DatabaseTransaction, after: Option<i64>) -> Result<Vec<QueryResult>, Error> {
    let mut select = audit_event::Entity::find().order_by_asc(audit_event::Column::Seq).limit(CHUNK);
    if let Some(after) = after {
        select = select.filter(audit_event::Column::Seq.gt(after));
    }
    Ok(snapshot.query_all(&QueryTrait::into_query(select)).await?)
}

/// Checks the events that have no place in the chain yet.
async fn check_inbox(snapshot: &DatabaseTransaction, chain: &mut Chain) -> Result<(), Error> {
    let (mut last_number, mut ids) = (None, HashSet::new());
    loop {
        let events = inbox::read(snapshot, last_number, &[]).await?;
        let is_last = (events.len() as u64) < inbox::BATCH;
        for event in events {
            let number = event.number;
            last_number = Some(number);
            let reason = match event.check() {
                Ok(event) if ids.insert(event.id) => continue,
                Ok(_) => "another event has the same ID".to_owned(),
                Err(reason) => reason,
            };
            chain.add_error(None, format!("unsealed event {number}: {reason}"));
        }
        if is_last {
            return Ok(());
        }
    }
}

/// A row of the trail. A row that was tampered with may not be readable as an event.
struct TrailRow {
    seq: i64,
    hash: Option<Vec<u8>>,
    event: Result<audit_event::Model, DbErr>,
}

impl TrailRow {
    fn read(row: &QueryResult) -> Result<Self, Error> {
        let event = audit_event::Model::from_query_result(row, "").and_then(|event| {
            // SQLite stores an instant as text, which may contain more than an instant does.
            match row.try_get::<String>("", "at") {
                Ok(text) if text != event.at.to_rfc3339() => Err(DbErr::Type(format!("at is {text}"))),
                _ => Ok(event),
            }
        });
        Ok(Self { seq: row.try_get("", "seq")?, hash: row.try_get("", "hash").ok(), event })
    }
}

/// Returns the users who have been erased, of the subjects of these events.
async fn erased_subjects(snapshot: &DatabaseTransaction, events: &[TrailRow]) -> Result<HashSet<Id>, Error> {
    let without_changes = events.iter().filter_map(|row| row.event.as_ref().ok()).filter(|event| lacks_changes(event));
    let ids: HashSet<Id> = without_changes.map(|event| event.subject_id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let backend = snapshot.get_database_backend();
    let of_users = one_of(backend, tombstone::Column::UserId, ids.iter().copied());
    let tombstones = tombstone::Entity::find().filter(of_users).all(snapshot).await?;
    let mut erased: HashSet<Id> = tombstones.into_iter().map(|tombstone| tombstone.user_id).collect();
    // A user who still exists was not erased, whatever a tombstone says.
    let existing = user::Entity::find().filter(one_of(backend, user::Column::Id, ids)).all(snapshot).await?;
    for user in existing {
        erased.remove(&user.id);
    }
    Ok(erased)
}

fn lacks_changes(event: &audit_event::Model) -> bool {
    event.changes.is_none() && event.salt.is_none() && event.changes_hash.is_some()
}

/// The chain as far as it has been read.
#[derive(Default)]
struct Chain {
    events: u64,
    seq: i64,
    hash: Option<Vec<u8>>,
    errors: Vec<ChainError>,
    error_count: u64,
}

impl Chain {
    fn add_error(&mut self, seq: Option<i64>, message: impl Into<String>) {
        self.error_count += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ChainError { seq, message: message.into() });
        }
    }

    fn add(&mut self, row: &TrailRow, erased: &HashSet<Id>) -> Result<(), Error> {
        let expected = self.seq.saturating_add(1);
        if row.seq != expected {
            self.add_error(Some(row.seq), format!("expected event {expected} here"));
        }
        match &row.event {
            Err(error) => self.add_error(Some(row.seq), format!("the row is not a valid event: {error}")),
            Ok(event) => self.check(event, erased)?,
        }
        self.events += 1;
        self.seq = row.seq;
        self.hash.clone_from(&row.hash);
        Ok(())
    }

    fn check(&mut self, event: &audit_event::Model, erased: &HashSet<Id>) -> Result<(), Error> {
        let seq = Some(event.seq);
        let before = if self.events == 0 { Some(Vec::new()) } else { self.hash.clone() };
        if before.is_some_and(|before| before != event.previous) {
            self.add_error(seq, "the previous hash does not match the hash of the preceding event");
        }
        if hash_of(event)? != event.hash {
            self.add_error(seq, "the hash does not match the event");
        }
        if lacks_changes(event) {
            if event.subject_type != SubjectType::User || !erased.contains(&event.subject_id) {
                self.add_error(seq, "the changes were removed, but no user was erased");
            }
        } else if !changes_match(event) {
            self.add_error(seq, "the changes do not match their hash");
        }
        Ok(())
    }

    fn finish(mut self, head: Option<Head>) -> VerificationReport {
        let hash = self.hash.take().unwrap_or_default();
        let error = match head {
            Some(head) if head.seq != self.seq => {
                Some(format!("the head of the trail points to event {}, but the last event is {}", head.seq, self.seq))
            }
            Some(head) if head.hash != hash => {
                Some("the hash in the head of the trail does not match the last event".to_owned())
            }
            Some(_) => None,
            None => Some("the head of the audit trail is missing".to_owned()),
        };
        if let Some(error) = error {
            self.add_error(None, error);
        }
        VerificationReport {
            events: self.events,
            hash: hex::encode(hash),
            errors: self.errors,
            error_count: self.error_count,
        }
    }
}
