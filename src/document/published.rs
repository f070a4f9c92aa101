//! The trusted documents in the memory of a server. Requests are answered from memory, and cause a look for publications and
//! withdrawals once a second.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::EntityTrait;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::is_hash;
use crate::db::Db;
use crate::entity::{document_revision, trusted_document};
use crate::error::Error;
use crate::http::{HASH_PREFIX, TrustedDocument, hash_of};

/// The time after which a request causes a look for publications and withdrawals.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum time of a look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which documents are executed while no look succeeds.
const MAX_AGE: Duration = Duration::from_secs(10);
/// The maximum time that a request waits for a look although documents are in memory.
const SHORT_WAIT: Duration = Duration::from_millis(100);
/// The maximum time that a request waits for a look otherwise.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// The documents by their IDs, and by the hashes of their texts.
type Documents = HashMap<String, Arc<TrustedDocument>>;

/// The trusted documents of a server; cheap to clone.
#[derive(Clone)]
pub struct PublishedDocuments(Arc<Shared>);

struct Shared {
    db: Db,
    known: watch::Sender<Known>,
    /// The last look, which may be under way. There is at most one at a time.
    look: Mutex<Option<Look>>,
}

struct Look {
    began_at: Instant,
    task: JoinHandle<()>,
}

/// The result of the last looks.
#[derive(Clone, Default)]
struct Known {
    /// The time at which the last look began that succeeded. `None` before the first one.
    as_of: Option<Instant>,
    revision: i64,
    documents: Arc<Documents>,
    /// The error of the last look, if it failed.
    error: Option<Error>,
}

impl PublishedDocuments {
    /// Creates the documents of a database. Nothing is read before the first request for one.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self(Arc::new(Shared { db, known: watch::Sender::default(), look: Mutex::default() }))
    }

    /// Returns the document with this ID, or with this hash of its text.
    ///
    /// # Errors
    /// That the database cannot be reached, and could not for a while.
    pub async fn find(&self, key: &str) -> Result<Option<Arc<TrustedDocument>>, Error> {
        let documents = self.current().await?;
        let by_hash = || documents.get(key.strip_prefix(HASH_PREFIX).filter(|hash| is_hash(hash))?);
        Ok(documents.get(key).or_else(by_hash).cloned())
    }

    async fn current(&self) -> Result<Arc<Documents>, Error> {
        let mut known = self.0.known.subscribe();
        let is_known = |age: Duration| known.borrow().is_younger_than(age);
        if !is_known(LOOK_INTERVAL) {
            let wait = if is_known(MAX_AGE) { SHORT_WAIT } else { LONG_WAIT };
            if self.0.look_if_due() {
                let _ = timeout(wait, known.changed()).await;
            }
        }
        let known = known.borrow();
        if known.is_younger_than(MAX_AGE) {
            return Ok(Arc::clone(&known.documents));
        }
        let unread = || Error::Unavailable(Arc::new(io::Error::other("the trusted documents are not read yet")));
        Err(known.error.clone().unwrap_or_else(unread))
    }
}

impl Shared {
    /// Starts a look unless one is under way, or the last one has just begun. Returns whether one is under way.
    fn look_if_due(self: &Arc<Self>) -> bool {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Look { began_at, task }) = &*look {
            if !task.is_finished() {
                return true;
            }
            if began_at.elapsed() < LOOK_INTERVAL {
                return false;
            }
        }
        // Not on the threads of the request, which may have a low priority: others wait for the look as well.
        let (db, runtime) = self.db.unlimited();
        let task = runtime.spawn(Arc::clone(self).look(db));
        *look = Some(Look { began_at: Instant::now(), task });
        true
    }

    async fn look(self: Arc<Self>, db: Db) {
        let before = self.known.borrow().clone();
        let looked = timeout(LOOK_TIMEOUT, before.clone().looked(&db)).await;
        let looked = looked.unwrap_or_else(|elapsed| Err(Error::Unavailable(Arc::new(elapsed))));
        self.known.send_replace(looked.unwrap_or_else(|error| Known { error: Some(error), ..before }));
    }
}

impl Known {
    fn is_younger_than(&self, age: Duration) -> bool {
        self.as_of.is_some_and(|as_of| as_of.elapsed() < age)
    }

    /// Returns what is known after another look.
    async fn looked(self, db: &Db) -> Result<Self, Error> {
        let as_of = Some(Instant::now());
        // The revision is read first: what is published after it is found at the next look.
        let row = document_revision::Entity::find().one(db.read()).await?;
        let revision = row.map(|row| row.revision).unwrap_or_default();
        if revision == self.revision && self.as_of.is_some() {
            return Ok(Self { as_of, error: None, ..self });
        }
        let rows = super::list(db).await?;
        let documents = spawn_blocking(move || index(rows)).await.map_err(Error::internal)?;
        Ok(Self { as_of, revision, documents: Arc::new(documents), error: None })
    }
}

fn index(rows: Vec<trusted_document::Model>) -> Documents {
    let mut by_id: BTreeMap<String, TrustedDocument> = BTreeMap::new();
    for row in rows {
        let (id, name, text) = (row.id.clone(), row.name, row.body);
        let document = TrustedDocument { id: row.id, name, text, sets: Vec::new() };
        by_id.entry(id).or_insert(document).sets.push(row.set_name);
    }
    let (mut documents, mut by_hash) = (Documents::new(), Documents::new());
    for (id, document) in by_id {
        let document = Arc::new(document);
        match by_hash.entry(hash_of(&document.text)) {
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(&document));
            }
            // A text with several IDs is in the sets of all of them.
            Entry::Occupied(mut entry) => add_sets(Arc::make_mut(entry.get_mut()), &document.sets),
        }
        documents.insert(id, document);
    }
    // An ID cannot stand for another text than the hash that it looks like.
    documents.extend(by_hash);
    documents
}

fn add_sets(document: &mut TrustedDocument, sets: &[String]) {
    for set in sets {
        if !document.sets.contains(set) {
            document.sets.push(set.clone());
        }
    }
}
