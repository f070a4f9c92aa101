//! Trusted documents: published and withdrawn by the operator of the server, for all licenses.

pub mod manifest;
mod published;

use std::collections::{BTreeMap, HashSet};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;

pub use self::manifest::NewDocument;
pub use self::published::PublishedDocuments;
use crate::audit::{self, Change, Entry};
use crate::db::batch::{self, IfExists};
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::trusted_document::{self, is_set_name};
use crate::entity::{document_revision, license};
use crate::error::Error;
use crate::http::{self, HASH_PREFIX, HttpError};
use crate::scalar::now;

/// The name of the set of documents that are published without one.
pub const DEFAULT_SET: &str = "default";

/// Maximum number of documents in all sets together, each counted in each set. Servers keep them in memory.
pub const MAX_DOCUMENTS: usize = 10_000;
/// Maximum number of bytes of all documents together.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Maximum number of bytes of the ID of a document.
const MAX_ID: usize = 200;
/// Maximum number of bytes of the name of a document.
const MAX_NAME: usize = 200;
/// The number of digits of a SHA-256 hash in hexadecimal.
const HASH_LENGTH: usize = 64;

/// The result of [`publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub added: usize,
    /// The number of documents that the set had already.
    pub unchanged: usize,
}

/// The documents to withdraw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// The document with this ID, from all sets.
    Document(String),
    /// All documents of this set.
    Set(String),
}

/// Adds documents to a set. Each is checked against the schema; if one is invalid, none is added. Documents that the set has
/// besides stay, because older versions of a client still ask for them.
///
/// # Errors
/// `BadInput` with every error of the documents, for an ID that another text has, and if there would be too many documents.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn publish(db: &Db, sdl: &str, set: &str, documents: Vec<NewDocument>) -> Result<Published, Error> {
    check_set_name(set)?;
    check_documents(sdl, &documents)?;
    let transaction = db.begin().await?;
    let revision = lock(&transaction).await?;
    let stored = trusted_document::Entity::find().all(&transaction).await?;
    check_texts(&stored, &documents)?;
    let of_set: HashSet<&str> = stored.iter().filter(|row| row.set_name == set).map(|row| row.id.as_str()).collect();
    // A manifest may list a document twice.
    let documents: BTreeMap<_, _> = documents.into_iter().map(|document| (document.id.clone(), document)).collect();
    let (old, new): (Vec<_>, Vec<_>) =
        documents.into_values().partition(|document| of_set.contains(document.id.as_str()));
    let published = Published { added: new.len(), unchanged: old.len() };
    check_size(&stored, &new)?;
    if new.is_empty() {
        return Ok(published);
    }
    let published_at = now();
    let row = |NewDocument { id, name, body }: NewDocument| trusted_document::Model {
        set_name: set.to_owned(),
        id,
        name,
        body,
        published_at,
    };
    let rows: Vec<_> = new.into_iter().map(row).collect();
    batch::insert(&transaction, &rows, IfExists::Fail).await?;
    let changes = [Change::of("documentSet", None, Value::from(set)), count(None, Some(published.added))];
    commit(transaction, revision, AuditAction::DocumentsPublished, &changes).await?;
    Ok(published)
}

/// Withdraws documents, and returns their number. Servers no longer execute them.
///
/// # Errors
/// `BadInput` if there are none.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn withdraw(db: &Db, withdrawal: &Withdrawal) -> Result<u64, Error> {
    let (condition, change) = match withdrawal {
        Withdrawal::Document(id) => {
            (trusted_document::Column::Id.eq(id.as_str()), Change::of("documentId", Value::from(id.as_str()), None))
        }
        Withdrawal::Set(set) => (
            trusted_document::Column::SetName.eq(set.as_str()),
            Change::of("documentSet", Value::from(set.as_str()), None),
        ),
    };
    let transaction = db.begin().await?;
    let revision = lock(&transaction).await?;
    let withdrawn = trusted_document::Entity::delete_many().filter(condition).exec(&transaction).await?.rows_affected;
    if withdrawn == 0 {
        return Err(Error::BadInput(match withdrawal {
            Withdrawal::Document(id) => format!("there is no document with the ID {id}"),
            Withdrawal::Set(set) => format!("there are no documents in the set {set}"),
        }));
    }
    let changes = [change, count(Some(usize::try_from(withdrawn).unwrap_or(usize::MAX)), None)];
    commit(transaction, revision, AuditAction::DocumentsWithdrawn, &changes).await?;
    Ok(withdrawn)
}

/// Returns all documents, sorted by set and ID.
pub async fn list(db: &Db) -> Result<Vec<trusted_document::Model>, Error> {
    let documents = trusted_document::Entity::find()
        .order_by_asc(trusted_document::Column::SetName)
        .order_by_asc(trusted_document::Column::Id);
    Ok(documents.all(db.read()).await?)
}

/// Checks the name of a set.
///
/// # Errors
/// `BadInput` if the name is not valid.
pub fn check_set_name(set: &str) -> Result<(), Error> {
    if is_set_name(set) {
        return Ok(());
    }
    let max = trusted_document::MAX_SET_NAME;
    Err(Error::BadInput(format!("--set: must have 1 to {max} letters, digits, `.`, `_` or `-` (got {set:?})")))
}

/// Locks the documents against other publications, and returns their revision.
async fn lock(transaction: &Transaction) -> Result<document_revision::Model, Error> {
    let row = document_revision::Entity::find().lock_exclusive().one(transaction).await?;
    row.ok_or_else(|| Error::internal("the revision of the documents is missing"))
}

/// Commits a change of the documents with an event in the audit trail of every license.
async fn commit(
    transaction: Transaction,
    revision: document_revision::Model,
    action: AuditAction,
    changes: &[Change],
) -> Result<(), Error> {
    let next = document_revision::Model { revision: revision.revision.wrapping_add(1), ..revision.clone() };
    rows::update(&transaction, &revision, next).await?;
    let licenses = license::Entity::find().order_by_asc(license::Column::Id).all(&transaction).await?;
    let events = licenses.iter().map(|license| Entry::new(action, license).with(changes.to_vec()));
    audit::commit(transaction, events.collect::<Vec<_>>()).await
}

fn count(before: Option<usize>, after: Option<usize>) -> Change {
    Change::of("documents", before.map(Value::from), after.map(Value::from))
}

fn check_documents(sdl: &str, documents: &[NewDocument]) -> Result<(), Error> {
    let errors: Vec<String> = documents.iter().flat_map(|document| errors_of(sdl, document)).collect();
    if errors.is_empty() { Ok(()) } else { Err(Error::BadInput(errors.join("\n"))) }
}

/// Returns the errors of a document, each with the ID and the position.
fn errors_of(sdl: &str, document: &NewDocument) -> Vec<String> {
    let NewDocument { id, name, body } = document;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_graphic());
    if !(1..=MAX_ID).contains(&id.len()) || !is_plain {
        return vec![format!("{id:?}: the ID must have 1 to {MAX_ID} visible ASCII characters")];
    }
    if name.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
        return vec![format!("{id}: the name must have at most {MAX_NAME} bytes")];
    }
    let hash = id.strip_prefix(HASH_PREFIX).or(Some(id.as_str()).filter(|id| is_hash(id)));
    if hash.is_some_and(|hash| hash != http::hash_of(body)) {
        return vec![format!("{id}: the ID is not the SHA-256 hash of the document")];
    }
    let Err(error) = http::check_document(sdl, body) else { return Vec::new() };
    let label = name.as_ref().map_or_else(|| id.clone(), |name| format!("{id} ({name})"));
    error.all().map(|error| format!("{label}: {}", described(error))).collect()
}

/// Returns whether an ID has the form of a SHA-256 hash, by which servers find texts.
fn is_hash(id: &str) -> bool {
    id.len() == HASH_LENGTH && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn described(error: &HttpError) -> String {
    let position = error.locations.first().map(|at| format!("line {}, column {}: ", at.line, at.column));
    format!("{}{}", position.unwrap_or_default(), error.message)
}

/// Checks that no ID stands for two texts.
fn check_texts(stored: &[trusted_document::Model], documents: &[NewDocument]) -> Result<(), Error> {
    let mut texts: BTreeMap<&str, &str> = stored.iter().map(|row| (row.id.as_str(), row.body.as_str())).collect();
    let mut errors = Vec::new();
    for NewDocument { id, body, .. } in documents {
        if *texts.entry(id).or_insert(body) != body.as_str() {
            errors.push(format!("{id}: another document has this ID; withdraw it first"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::BadInput(errors.join("\n"))) }
}

fn check_size(stored: &[trusted_document::Model], new: &[NewDocument]) -> Result<(), Error> {
    if stored.len() + new.len() > MAX_DOCUMENTS {
        let message = format!("at most {MAX_DOCUMENTS} documents can be published; withdraw sets that no client uses");
        return Err(Error::BadInput(message));
    }
    let lengths = stored.iter().map(|row| row.body.len()).chain(new.iter().map(|document| document.body.len()));
    if lengths.sum::<usize>() > MAX_BYTES {
        return Err(Error::BadInput(format!("the documents of all sets can have at most {MAX_BYTES} bytes together")));
    }
    Ok(())
}
