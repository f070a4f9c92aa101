//! Automatic persisted queries: documents that signed-in callers have registered under their hash, in the memory of this
//! process. A client whose document was dropped registers it again.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use super::document_cache;

/// Maximum number of bytes of all registered documents.
const MAX_BYTES: usize = 1024 * 1024;
/// Maximum number of registered documents.
const MAX_DOCUMENTS: usize = 2_048;
/// Maximum number of bytes of a registered document; a longer one is executed, but not registered.
const MAX_DOCUMENT_LENGTH: usize = 16 * 1024;

/// The registered documents by their hash in hexadecimal; cheap to clone.
#[derive(Clone)]
pub struct PersistedQueries(Arc<Cache<String, Arc<str>, TextLength>>);

/// Weighs a document by the bytes of its text. The minimum limits the number of documents to [`MAX_DOCUMENTS`].
#[derive(Clone)]
struct TextLength;

impl Weighter<String, Arc<str>> for TextLength {
    fn weight(&self, _: &String, text: &Arc<str>) -> u64 {
        text.len().max(MAX_BYTES / MAX_DOCUMENTS) as u64
    }
}

impl PersistedQueries {
    /// Creates an empty cache.
    ///
    /// # Errors
    /// If the cache cannot be built.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(Arc::new(document_cache::bounded(MAX_DOCUMENTS, MAX_BYTES, TextLength)?)))
    }

    /// Returns the text that is registered under a hash.
    pub fn get(&self, hash: &str) -> Option<Arc<str>> {
        self.0.get(hash)
    }

    /// Returns whether a text can be registered under a hash: it is not yet, and is not too long.
    pub fn accepts(&self, hash: &str, text: &str) -> bool {
        text.len() <= MAX_DOCUMENT_LENGTH && !self.0.contains_key(hash)
    }

    /// Registers a text under its hash.
    pub fn insert(&self, hash: String, text: &str) {
        self.0.insert(hash, Arc::from(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_and_the_bytes_of_registered_documents_are_limited() {
        let queries = PersistedQueries::new().unwrap();
        for number in 0..3 * MAX_DOCUMENTS {
            queries.insert(number.to_string(), "{ a }");
            assert!(queries.0.len() <= MAX_DOCUMENTS && queries.0.weight() <= MAX_BYTES as u64);
        }
        let long = "x".repeat(MAX_DOCUMENT_LENGTH);
        for number in 0..200 {
            assert!(queries.accepts(&format!("long {number}"), &long));
            queries.insert(format!("long {number}"), &long);
            assert!(queries.0.weight() <= MAX_BYTES as u64);
        }
        assert!(!queries.accepts("longer", &format!("{long}x")));
        assert!((0..200).any(|number| queries.get(&format!("long {number}")).is_some()));
    }
}
