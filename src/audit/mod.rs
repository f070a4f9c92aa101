//! Audit trail: every committed write appends its events in its own transaction, and each event contains the hash of the
//! previous one.

pub mod verify;

use chrono::{DateTime, Utc};
use rand::TryRng;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Iterable, ModelTrait, QueryFilter, Statement,
    Value as Stored,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::access::{AuthMethod, Viewer};
use crate::actor::Actor;
use crate::db::{Transaction, rows};
use crate::entity::audit_event::{self, AuditAction, SubjectType};
use crate::entity::subject::Subject;
use crate::error::Error;
use crate::scalar::{Id, now};

/// The number of events that one statement appends.
const ROWS_AT_ONCE: usize = 500;

/// An entry for the trail: an action, its subject, its actor and its changes.
#[derive(Clone, Debug)]
pub struct Entry {
    action: AuditAction,
    license_id: Id,
    subject_type: SubjectType,
    subject_id: Id,
    actor_id: Option<Id>,
    api_key_id: Option<Id>,
    request_id: Option<String>,
    changes: Vec<Change>,
}

/// The change of a field, with the values before and after. A secret is named, without its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub field: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Change {
    /// Creates the change of a field that got a value, lost one, or both.
    pub fn of(field: &str, before: impl Into<Option<Value>>, after: impl Into<Option<Value>>) -> Self {
        Self { field: field.to_owned(), before: before.into(), after: after.into() }
    }

    /// Creates the change of a secret that was set, changed or removed.
    #[must_use]
    pub fn of_secret(field: &str) -> Self {
        Self::of(field, None, None)
    }
}

/// Returns the recorded fields that differ between two states of a row.
pub fn difference<M: Subject>(old: &M, new: &M) -> Vec<Change> {
    let columns = <M::Entity as EntityTrait>::Column::iter();
    let changed = columns.filter_map(|column| {
        let (before, after) = (old.get(column), new.get(column));
        if before == after {
            return None;
        }
        Some(Change { field: M::recorded_as(&column)?, before: json_of(before), after: json_of(after) })
    });
    changed.collect()
}

/// Returns the value of a column as the trail records it.
pub fn recorded<M: ModelTrait>(row: &M, column: <M::Entity as EntityTrait>::Column) -> Option<Value> {
    json_of(row.get(column))
}

impl Entry {
    /// Creates an entry for an action without a signed-in user: by the command line, or during a sign-in.
    pub fn new(action: AuditAction, subject: &impl Subject) -> Self {
        let (id, license_id) = subject.ids();
        Self {
            action,
            license_id,
            subject_type: subject_type(subject),
            subject_id: id,
            actor_id: None,
            api_key_id: None,
            request_id: None,
            changes: Vec::new(),
        }
    }

    /// Sets the actor of the mutation that did it, with the API key and the request.
    #[must_use]
    pub fn by(self, actor: &Actor) -> Self {
        let Viewer::SignedIn(viewer) = &**actor else { return self };
        let api_key_id = match viewer.auth_method {
            AuthMethod::ApiKey(id, _) => Some(id),
            AuthMethod::Session(_) => None,
        };
        Self { actor_id: Some(viewer.user_id), api_key_id, request_id: viewer.request_id.clone(), ..self }
    }

    /// Sets the user who did it, in a request that had no viewer yet.
    #[must_use]
    pub fn by_user(self, user: Id, request_id: Option<String>) -> Self {
        Self { actor_id: Some(user), request_id, ..self }
    }

    /// Sets the request that did it, which has no viewer.
    #[must_use]
    pub fn in_request(self, request_id: Option<String>) -> Self {
        Self { request_id, ..self }
    }

    /// Adds changes.
    #[must_use]
    pub fn with(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes.extend(changes);
        self
    }
}

/// Commits a transaction together with the events of what it did: both are saved, or neither.
#[expect(clippy::disallowed_methods, reason = "this is the one place where a write is committed, with its event")]
pub async fn commit(transaction: Transaction, entries: impl IntoIterator<Item = Entry>) -> Result<(), Error> {
    append(&transaction, entries.into_iter().collect()).await?;
    Ok(transaction.commit().await?)
}

/// Erases the changes that the trail records of a user who has a tombstone. The action, its time and its actor remain.
pub async fn erase(transaction: &Transaction, user_id: Id) -> Result<(), Error> {
    audit_event::Entity::update_many()
        .col_expr(audit_event::Column::Changes, Expr::value(None::<String>))
        .col_expr(audit_event::Column::Salt, Expr::value(None::<Vec<u8>>))
        .filter(audit_event::Column::SubjectId.eq(user_id))
        .filter(audit_event::Column::Changes.is_not_null())
        .exec(transaction)
        .await?;
    Ok(())
}

/// The end of the chain.
#[derive(FromQueryResult)]
struct Head {
    seq: i64,
    hash: Vec<u8>,
}

async fn append(transaction: &Transaction, entries: Vec<Entry>) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    // The last lock that a transaction takes, which prevents deadlocks. On SQLite it holds the only write lock anyway.
    let select = match transaction.get_database_backend() {
        sea_orm::DatabaseBackend::Postgres => "SELECT seq, hash FROM audit_head FOR UPDATE",
        _ => "SELECT seq, hash FROM audit_head",
    };
    let head = Statement::from_string(transaction.get_database_backend(), select);
    let head = Head::find_by_statement(head).one(transaction).await?;
    let mut head = head.ok_or_else(|| Error::internal("the audit trail has no head"))?;
    let at = now();
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let row = chained_event(entry, &head, at)?;
        head = Head { seq: row.seq, hash: row.hash.clone() };
        rows.push(rows::active(row));
    }
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_AT_ONCE));
        audit_event::Entity::insert_many(rows).exec_without_returning(transaction).await?;
        rows = rest;
    }
    Ok(())
}

/// Returns the event that follows the head of the chain.
fn chained_event(entry: Entry, head: &Head, at: DateTime<Utc>) -> Result<audit_event::Model, Error> {
    let Entry { action, license_id, subject_type, subject_id, actor_id, api_key_id, request_id, changes } = entry;
    let (changes, salt) = if changes.is_empty() {
        (None, None)
    } else {
        let mut salt = vec![0_u8; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut salt).map_err(Error::internal)?;
        (Some(serde_json::to_string(&changes).map_err(Error::internal)?), Some(salt))
    };
    let mut event = audit_event::Model {
        seq: head.seq + 1,
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
        previous: head.hash.clone(),
        hash: Vec::new(),
    };
    event.hash = hash_of(&event)?;
    Ok(event)
}

/// The content that the hash of an event covers, in serialization order.
#[derive(Serialize)]
struct HashedContent<'a> {
    version: u8,
    seq: i64,
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
    previous: &'a [u8],
}

/// Returns the SHA-256 of all fields of an event, except the hash itself and the changes, which are covered by their own hash.
fn hash_of(event: &audit_event::Model) -> Result<Vec<u8>, Error> {
    let json = |stored: Stored| json_of(stored).unwrap_or(Value::Null);
    let content = HashedContent {
        version: 1,
        seq: event.seq,
        id: event.id,
        license_id: event.license_id,
        at: event.at.timestamp_micros(),
        action: json(event.get(audit_event::Column::Action)),
        actor_id: event.actor_id,
        api_key_id: event.api_key_id,
        subject_type: json(event.get(audit_event::Column::SubjectType)),
        subject_id: event.subject_id,
        request_id: event.request_id.as_deref(),
        changes_hash: event.changes_hash.as_deref(),
        previous: &event.previous,
    };
    Ok(Sha256::digest(serde_json::to_vec(&content).map_err(Error::internal)?).to_vec())
}

fn hash_of_changes(changes: Option<&str>, salt: Option<&[u8]>) -> Option<Vec<u8>> {
    let (changes, salt) = (changes?, salt?);
    Some(Sha256::new().chain_update(salt).chain_update(changes).finalize().to_vec())
}

fn json_of(stored: Stored) -> Option<Value> {
    match stored {
        // No text is stored empty: an empty text stands for a value that does not exist yet.
        Stored::String(text) => text.filter(|text| !text.is_empty()).map(Value::from),
        Stored::Uuid(id) => id.map(|id| id.to_string().into()),
        Stored::Bool(value) => value.map(Value::from),
        Stored::Int(number) => number.map(Value::from),
        Stored::ChronoDate(date) => date.map(|date| date.to_string().into()),
        Stored::ChronoDateTimeUtc(instant) => instant.map(|instant| instant.to_rfc3339().into()),
        _ => None,
    }
}

fn subject_type<S: Subject>(_: &S) -> SubjectType {
    S::TYPE
}
