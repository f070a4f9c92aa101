//! The hash chain: the places of events in it, and the hashes that cover them.

use chrono::{DateTime, Utc};
use rand::TryRng;
use sea_orm::{ConnectionTrait, DatabaseBackend, FromQueryResult, ModelTrait, Statement, Value as Stored};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Entry, json_of};
use crate::db::batch::{self, IfExists};
use crate::db::rows;
use crate::entity::audit_event::{self, Column};
use crate::error::Error;
use crate::scalar::Id;

/// The end of the chain.
#[derive(FromQueryResult)]
pub struct Head {
    /// The number of the last event; 0 if there is none.
    pub seq: i64,
    /// The hash of the last event; empty if there is none.
    pub hash: Vec<u8>,
}

impl Head {
    /// Reads the end of the chain; `None` if its row is missing.
    pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Option<Self>, Error> {
        Self::select(connection, "SELECT seq, hash FROM audit_head").await
    }

    /// Reads the end of the chain.
    ///
    /// # Errors
    /// `Internal` if its row is missing.
    pub async fn current(connection: &impl ConnectionTrait) -> Result<Self, Error> {
        Self::read(connection).await?.ok_or_else(missing)
    }

    /// Locks and reads the end of the chain. On SQLite, a transaction that writes holds the only write lock anyway.
    async fn lock(connection: &impl ConnectionTrait) -> Result<Self, Error> {
        if connection.get_database_backend() != DatabaseBackend::Postgres {
            return Self::current(connection).await;
        }
        Self::select(connection, "SELECT seq, hash FROM audit_head FOR UPDATE").await?.ok_or_else(missing)
    }

    async fn known_or_locked(connection: &impl ConnectionTrait, known: Option<Self>) -> Result<Self, Error> {
        match known {
            Some(head) => Ok(head),
            None => Self::lock(connection).await,
        }
    }

    async fn select(connection: &impl ConnectionTrait, sql: &str) -> Result<Option<Self>, Error> {
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        Ok(Self::find_by_statement(statement).one(connection).await?)
    }
}

fn missing() -> Error {
    Error::internal("the audit trail has no head")
}

/// Returns the event of an entry, without a place in the chain.
pub(super) fn new_event(entry: Entry, at: DateTime<Utc>) -> Result<audit_event::Model, Error> {
    let Entry { action, license_id, subject_type, subject_id, actor_id, api_key_id, request_id, changes } = entry;
    let (changes, salt) = if changes.is_empty() {
        (None, None)
    } else {
        let mut salt = vec![0_u8; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut salt).map_err(Error::internal)?;
        (Some(serde_json::to_string(&changes).map_err(Error::internal)?), Some(salt))
    };
    Ok(audit_event::Model {
        seq: 0,
        id: Id::new(),
        license_id,
        at,
        action,
        actor_id,
        api_key_id,
        subject_type,
        subject_id,
        request_id,
        changes_hash: hash_of_changes(changes.as_deref(), salt.as_deref()),
        changes,
        salt,
        previous: Vec::new(),
        hash: Vec::new(),
    })
}

/// Appends events to the chain, in their order.
pub(super) async fn append(connection: &impl ConnectionTrait, events: Vec<audit_event::Model>) -> Result<(), Error> {
    append_after(connection, None, events).await
}

/// Appends events as [`append`] does; `head` is the end of the chain, if the transaction has read it since it holds its lock.
pub(super) async fn append_after(
    connection: &impl ConnectionTrait,
    head: Option<Head>,
    events: Vec<audit_event::Model>,
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let mut head = Head::known_or_locked(connection, head).await?;
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let event = chained_event(event, head)?;
        head = Head { seq: event.seq, hash: event.hash.clone() };
        rows.push(event);
    }
    Ok(batch::insert(connection, &rows, IfExists::Fail).await?)
}

/// Returns a statement of SQLite together with those that append events; `head` as for [`append_after`].
pub(super) async fn with_events(
    connection: &impl ConnectionTrait,
    head: Option<Head>,
    statement: Statement,
    events: Vec<audit_event::Model>,
) -> Result<Statement, Error> {
    let (mut head, mut all) = (Head::known_or_locked(connection, head).await?, statement);
    for event in events {
        let event = chained_event(event, head)?;
        all = rows::both(all, rows::insertion(connection.get_database_backend(), &event));
        head = Head { seq: event.seq, hash: event.hash };
    }
    Ok(all)
}

/// Returns an event with its place after the head of the chain.
fn chained_event(event: audit_event::Model, head: Head) -> Result<audit_event::Model, Error> {
    let mut event = audit_event::Model { seq: head.seq + 1, previous: head.hash, ..event };
    event.hash = hash_of(&event)?;
    Ok(event)
}

/// The content that a hash covers, in serialization order.
#[derive(Serialize)]
struct HashedContent<'a> {
    version: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    id: Id,
    license_id: Id,
    at: i64,
    action: Value,
    actor_id: Option<Id>,
    api_key_id: Option<Id>,
    subject_type: Value,
    subject_id: Id,
    request_id: Option<&'a str>,
    changes_hash: Option<&'a [u8]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<&'a [u8]>,
}

impl<'a> HashedContent<'a> {
    /// Returns the content of an event without its place in the chain.
    fn of(event: &'a audit_event::Model) -> Self {
        let json = |stored: Stored| json_of(stored).unwrap_or(Value::Null);
        Self {
            version: 1,
            seq: None,
            id: event.id,
            license_id: event.license_id,
            at: event.at.timestamp_micros(),
            action: json(event.get(Column::Action)),
            actor_id: event.actor_id,
            api_key_id: event.api_key_id,
            subject_type: json(event.get(Column::SubjectType)),
            subject_id: event.subject_id,
            request_id: event.request_id.as_deref(),
            changes_hash: event.changes_hash.as_deref(),
            previous: None,
        }
    }

    fn hash(&self) -> Result<Vec<u8>, Error> {
        Ok(Sha256::digest(serde_json::to_vec(self).map_err(Error::internal)?).to_vec())
    }
}

/// Returns the SHA-256 of all fields of an event, except the hash itself and the changes, which are covered by their own hash.
pub(super) fn hash_of(event: &audit_event::Model) -> Result<Vec<u8>, Error> {
    HashedContent { seq: Some(event.seq), previous: Some(&event.previous), ..HashedContent::of(event) }.hash()
}

/// Returns the SHA-256 of the same fields of an event, except its place in the chain.
pub(super) fn content_hash_of(event: &audit_event::Model) -> Result<Vec<u8>, Error> {
    HashedContent::of(event).hash()
}

/// Returns whether the changes of an event, and their salt, match their hash.
pub(super) fn changes_match(event: &audit_event::Model) -> bool {
    event.changes.is_some() == event.salt.is_some()
        && hash_of_changes(event.changes.as_deref(), event.salt.as_deref()) == event.changes_hash
}

fn hash_of_changes(changes: Option<&str>, salt: Option<&[u8]>) -> Option<Vec<u8>> {
    let (changes, salt) = (changes?, salt?);
    Some(Sha256::new().chain_update(salt).chain_update(changes).finalize().to_vec())
}
