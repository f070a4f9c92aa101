//! The cache of documents. Most callers send the same few documents again and again, and parsing, measuring and analyzing one
//! costs more than executing a small one. Access rules are checked for each request nevertheless.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::parser::{
    parse_query,
    types::{ExecutableDocument, OperationType},
};

use super::{
    document_limits::{self, TooLarge},
    response::{HttpError, shorten},
    spacing::tidy,
    validation::{self, Demand, Schema},
};

/// Maximum number of bytes of cached documents; a parsed document takes about twenty times as much memory.
const MAX_BYTES: usize = 256 * 1024;
/// Maximum number of cached documents.
const MAX_DOCUMENTS: usize = 1_024;
/// Maximum number of bytes of a cached document; a longer one is not cached.
const MAX_DOCUMENT_LENGTH: usize = 16 * 1024;

/// A document that is small, well formed and valid, and what the application has found out about it.
pub struct Document<R> {
    pub parsed: ExecutableDocument,
    /// The variables that must not be null in some places.
    pub demands: Vec<Demand>,
    pub reading: R,
}

/// The documents that were sent recently; cheap to clone.
pub struct DocumentCache<R> {
    pub schema: &'static Schema,
    kept: Arc<Mutex<Kept<R>>>,
}

impl<R> Clone for DocumentCache<R> {
    fn clone(&self) -> Self {
        Self { schema: self.schema, kept: Arc::clone(&self.kept) }
    }
}

/// Two generations: a document of the old one that is requested moves to the young one. Once the young one is full, it becomes
/// the old one, and the rest of the old one is dropped.
struct Kept<R> {
    young: HashMap<String, Arc<Document<R>>>,
    old: HashMap<String, Arc<Document<R>>>,
    bytes_of_young: usize,
}

impl<R> DocumentCache<R> {
    /// Creates an empty cache for a schema.
    ///
    /// # Errors
    /// If the schema cannot be parsed.
    pub fn of(sdl: &str) -> std::io::Result<Self> {
        let kept = Kept { young: HashMap::new(), old: HashMap::new(), bytes_of_young: 0 };
        Ok(Self { schema: validation::schema(sdl)?, kept: Arc::new(Mutex::new(kept)) })
    }

    /// Returns whether a document is cached.
    pub fn knows(&self, text: &str) -> bool {
        self.kept().find(text).is_some()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<R>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the document with this text; `read` analyzes one that is not cached.
    ///
    /// # Errors
    /// The errors of the document, which is not cached then.
    pub fn find(&self, text: &str, read: impl FnOnce(&ExecutableDocument) -> R) -> Result<Arc<Document<R>>, HttpError> {
        if let Some(known) = self.kept().find(text) {
            return Ok(known);
        }
        let tidy = tidy(text);
        let parsed = parse(&tidy)?;
        let demands = validation::check(self.schema, &tidy)?;
        let new = Arc::new(Document { reading: read(&parsed), parsed, demands });
        if text.len() <= MAX_DOCUMENT_LENGTH && !may_hold_secret(text, &new.parsed) {
            self.kept().keep(text.to_owned(), Arc::clone(&new));
        }
        Ok(new)
    }
}

/// Returns whether the document itself may contain a password; such a document is not cached.
fn may_hold_secret(text: &str, document: &ExecutableDocument) -> bool {
    let mut operations = document.operations.iter();
    text.contains('"') && operations.any(|(_, operation)| operation.node.ty == OperationType::Mutation)
}

impl<R> Kept<R> {
    fn find(&mut self, text: &str) -> Option<Arc<Document<R>>> {
        if let Some(known) = self.young.get(text) {
            return Some(Arc::clone(known));
        }
        let (text, known) = self.old.remove_entry(text)?;
        self.keep(text, Arc::clone(&known));
        Some(known)
    }

    fn keep(&mut self, text: String, document: Arc<Document<R>>) {
        if self.bytes_of_young + text.len() > MAX_BYTES / 2 || self.young.len() >= MAX_DOCUMENTS / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes_of_young = 0;
        }
        self.bytes_of_young += text.len();
        self.young.insert(text, document);
    }
}

fn parse(query: &str) -> Result<ExecutableDocument, HttpError> {
    let too_large = |error: TooLarge| HttpError::bad_document("DOCUMENT_TOO_LARGE", error.to_string());
    document_limits::check_text(query).map_err(too_large)?;
    let document = parse_query(query).map_err(|error| {
        let message = format!("The query cannot be parsed: {}", reason(&error.to_string()));
        HttpError { locations: error.positions().collect(), ..HttpError::bad_document("GRAPHQL_PARSE_FAILED", message) }
    })?;
    document_limits::measure(&document).map_err(too_large)?;
    document_limits::check_variables(query, &document).map_err(too_large)?;
    Ok(document)
}

/// Returns the reason from an error message of the parser. The parser draws the line of the source and, below it, what it
/// expected; only the latter is returned.
fn reason(message: &str) -> String {
    let expected = message.lines().rev().find_map(|line| line.trim_start().strip_prefix("= "));
    shorten(expected.or_else(|| message.lines().next()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> DocumentCache<usize> {
        DocumentCache::of("type Query { a: Int } type Mutation { a(password: String): Int }").unwrap()
    }

    /// Returns the number of cached documents and of the bytes of their texts.
    fn size(documents: &DocumentCache<usize>) -> (usize, usize) {
        let kept = documents.kept.lock().unwrap();
        let texts = kept.young.keys().chain(kept.old.keys());
        (texts.clone().count(), texts.map(String::len).sum())
    }

    #[test]
    fn a_document_is_read_once() {
        let documents = documents();
        for turn in 0..3 {
            let found = documents.find("{ a }", |_| turn).ok().unwrap();
            assert_eq!(found.reading, 0);
        }
        assert_eq!(documents.find("{ a a }", |_| 7).ok().unwrap().reading, 7);
    }

    #[test]
    fn what_is_refused_or_may_hold_a_password_is_not_kept() {
        let documents = documents();
        let deep = format!("{}a{}", "{ a ".repeat(20), "}".repeat(20));
        documents.find("mutation { a(password: \"seven-brass-otters\") }", |_| 0).ok().unwrap();
        for refused in ["{ a", "query($a: Nothing) { a }", deep.as_str()] {
            assert!(documents.find(refused, |_| 0).is_err(), "{refused}");
        }
        assert_eq!(size(&documents), (0, 0));
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let documents = documents();
        for number in 0..3 * MAX_DOCUMENTS {
            documents.find(&format!("{{ a }} # {number}"), |_| 0).ok().unwrap();
            assert!(size(&documents).0 <= MAX_DOCUMENTS);
        }
        for number in 0..100 {
            documents
                .find(&format!("{{ a }} # {number} {}", "x".repeat(MAX_DOCUMENT_LENGTH - 20)), |_| 0)
                .ok()
                .unwrap();
            assert!(size(&documents).1 <= MAX_BYTES);
        }
        let before = size(&documents);
        documents.find(&format!("{{ a }} # {}", "x".repeat(MAX_DOCUMENT_LENGTH)), |_| 0).ok().unwrap();
        assert_eq!(size(&documents), before);
    }

    #[test]
    fn what_is_asked_for_again_and_again_stays() {
        let documents = documents();
        documents.find("{ a }", |_| 1).ok().unwrap();
        for number in 0..2 * MAX_DOCUMENTS {
            documents.find(&format!("{{ a }} # {number}"), |_| 0).ok().unwrap();
            assert_eq!(documents.find("{ a }", |_| 2).ok().unwrap().reading, 1);
        }
    }
}
