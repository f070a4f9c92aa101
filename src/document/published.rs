//! The trusted documents in the memory of a server, which notices publications and withdrawals within a second.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::EntityTrait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::db::Db;
use crate::entity::document_revision;
use crate::error::Error;
use crate::http::{HASH_PREFIX, TrustedDocument, hash_of};

/// The time after which a request looks for publications and withdrawals.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// The documents by their IDs, and by the hashes of their texts.
type Documents = HashMap<String, Arc<TrustedDocument>>;

/// The trusted documents of a server; cheap to clone.
#[derive(Clone)]
pub struct PublishedDocuments {
    db: Db,
    /// Locked while one request reads the documents; the others wait for it.
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// `None` before the first look.
    looked_at: Option<Instant>,
    revision: i64,
    documents: Arc<Documents>,
}

impl PublishedDocuments {
    /// Creates the documents of a database. Nothing is read before the first request for one.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db, state: Arc::default() }
    }

    /// Returns the document with this ID, or with this hash of its text.
    ///
    /// # Errors
    /// That the database cannot be reached.
    pub async fn find(&self, key: &str) -> Result<Option<Arc<TrustedDocument>>, Error> {
        let documents = self.current().await?;
        let found = documents.get(key).or_else(|| documents.get(key.strip_prefix(HASH_PREFIX)?));
        Ok(found.cloned())
    }

    async fn current(&self) -> Result<Arc<Documents>, Error> {
        let mut state = self.state.lock().await;
        if state.looked_at.is_none_or(|looked_at| looked_at.elapsed() >= REFRESH_INTERVAL) {
            // The revision is read first: what is published after it is found at the next look.
            let row = document_revision::Entity::find().one(self.db.read()).await?;
            let revision = row.map(|row| row.revision).unwrap_or_default();
            if revision != state.revision || state.looked_at.is_none() {
                state.documents = Arc::new(read(&self.db).await?);
                state.revision = revision;
            }
            state.looked_at = Some(Instant::now());
        }
        Ok(Arc::clone(&state.documents))
    }
}

async fn read(db: &Db) -> Result<Documents, Error> {
    let mut by_id: BTreeMap<String, TrustedDocument> = BTreeMap::new();
    for row in super::list(db).await? {
        let (id, name, text) = (row.id.clone(), row.name, row.body);
        let document = TrustedDocument { id: row.id, name, text, sets: Vec::new() };
        by_id.entry(id).or_insert(document).sets.push(row.set_name);
    }
    let mut documents = Documents::new();
    for (id, document) in by_id {
        let (hash, document) = (hash_of(&document.text), Arc::new(document));
        documents.entry(hash).or_insert_with(|| Arc::clone(&document));
        documents.insert(id, document);
    }
    Ok(documents)
}
