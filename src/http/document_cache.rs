//! The cache of documents. Most callers send the same few documents again and again, and parsing, measuring and analyzing one
//! costs more than executing a small one. Access rules are checked for each request nevertheless.

use std::sync::Arc;

use async_graphql::parser::{parse_query, types::ExecutableDocument};
use prometheus_client::metrics::counter::Counter;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{
    document_limits::{self, TooLarge},
    error::HttpError,
    response::shorten,
    spacing::tidy,
    subscription_root,
    validation::{self, NonNullUse, Schema},
};
use crate::error::TopLevelCode;

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
    pub non_null_uses: Vec<NonNullUse>,
    pub info: R,
}

/// The documents that were sent recently; cheap to clone.
pub struct DocumentCache<R> {
    pub schema: &'static Schema,
    suggests: bool,
    parsed: Counter,
    documents: Arc<Cache<String, Arc<Document<R>>, TextLength>>,
}

impl<R> Clone for DocumentCache<R> {
    fn clone(&self) -> Self {
        Self {
            schema: self.schema,
            suggests: self.suggests,
            parsed: self.parsed.clone(),
            documents: Arc::clone(&self.documents),
        }
    }
}

/// Weighs a document by the bytes of its text. The minimum limits the number of documents to [`MAX_DOCUMENTS`].
#[derive(Clone)]
struct TextLength;

impl<V> Weighter<String, V> for TextLength {
    fn weight(&self, text: &String, _: &V) -> u64 {
        text.len().max(MAX_BYTES / MAX_DOCUMENTS) as u64
    }
}

/// Returns an empty cache of at most so many bytes, by their weight.
///
/// # Errors
/// If the cache cannot be built.
pub fn bounded<V: Clone, W: Weighter<String, V> + Clone>(
    documents: usize,
    bytes: usize,
    weighter: W,
) -> std::io::Result<Cache<String, V, W>> {
    // With several shards, each would have only a part of the bytes, too few for a long document.
    let options = OptionsBuilder::new()
        .shards(1)
        .estimated_items_capacity(documents)
        .weight_capacity(bytes as u64)
        .build()
        .map_err(std::io::Error::other)?;
    Ok(Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default()))
}

impl<R> DocumentCache<R> {
    /// Creates an empty cache for a schema. If it `suggests`, errors name the fields that were probably meant. `parsed` counts the
    /// documents that are parsed.
    ///
    /// # Errors
    /// If the schema cannot be parsed.
    pub fn new(sdl: &str, suggests: bool, parsed: Counter) -> std::io::Result<Self> {
        let documents = Arc::new(bounded(MAX_DOCUMENTS, MAX_BYTES, TextLength)?);
        Ok(Self { schema: validation::schema(sdl)?, suggests, parsed, documents })
    }

    /// Returns whether a document is cached.
    pub fn contains(&self, text: &str) -> bool {
        self.documents.contains_key(text)
    }

    /// Returns the document with this text; `analyze` collects the facts about one that is not cached. A document with a text in
    /// quotation marks is cached only if it is trusted: otherwise the text may be a password, or tell of a person.
    ///
    /// # Errors
    /// The errors of the document, which is not cached then.
    pub fn get(
        &self,
        text: &str,
        is_trusted: bool,
        analyze: impl FnOnce(&ExecutableDocument) -> R,
    ) -> Result<Arc<Document<R>>, HttpError> {
        if let Some(document) = self.documents.get(text) {
            return Ok(document);
        }
        self.parsed.inc();
        let (parsed, non_null_uses) = check(self.schema, text, self.suggests)?;
        let document = Arc::new(Document { info: analyze(&parsed), parsed, non_null_uses });
        if text.len() <= MAX_DOCUMENT_LENGTH && (is_trusted || !text.contains('"')) {
            self.documents.insert(text.to_owned(), Arc::clone(&document));
        }
        Ok(document)
    }
}

/// Checks a document against a schema, as it is checked before it is executed.
///
/// # Errors
/// The errors of the document.
pub fn check_document(sdl: &str, text: &str) -> Result<(), HttpError> {
    let schema = validation::schema(sdl).map_err(|_| HttpError::internal())?;
    check(schema, text, true).map(|_| ())
}

fn check(schema: &Schema, text: &str, suggests: bool) -> Result<(ExecutableDocument, Vec<NonNullUse>), HttpError> {
    let tidy = tidy(text);
    let parsed = parse(&tidy)?;
    let non_null_uses = validation::check(schema, &tidy, suggests)?;
    subscription_root::check(&parsed)?;
    Ok((parsed, non_null_uses))
}

fn parse(query: &str) -> Result<ExecutableDocument, HttpError> {
    let too_large = |error: TooLarge| HttpError::bad_document(TopLevelCode::DocumentTooLarge, error.to_string());
    document_limits::check_text(query).map_err(too_large)?;
    let document = parse_query(query).map_err(|error| {
        let message = format!("The query cannot be parsed: {}", reason(&error.to_string()));
        HttpError {
            locations: error.positions().collect(),
            ..HttpError::bad_document(TopLevelCode::GraphqlParseFailed, message)
        }
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
        let sdl = "type Query { a: Int b(name: String): Int } type Mutation { a(password: String): Int }";
        DocumentCache::new(sdl, true, Counter::default()).unwrap()
    }

    #[test]
    fn a_document_is_analyzed_once() {
        let documents = documents();
        for turn in 0..3 {
            let document = documents.get("{ a }", false, |_| turn).ok().unwrap();
            assert_eq!(document.info, 0);
        }
        assert_eq!(documents.get("{ a a }", false, |_| 7).ok().unwrap().info, 7);
        assert!(documents.contains("{ a }") && !documents.contains("{ a a a }"));
        assert_eq!(documents.parsed.get(), 2);
        assert!(documents.get("{ a", false, |_| 0).is_err());
        assert_eq!(documents.parsed.get(), 3);
    }

    #[test]
    fn rejected_documents_and_those_with_texts_are_not_cached() {
        let documents = documents();
        let deep = format!("{}a{}", "{ a ".repeat(20), "}".repeat(20));
        let with_texts = [
            "mutation { a(password: \"seven-brass-otters\") }",
            "{ b(name: \"ann\") }",
            "{ b(name: \"\"\"ann\"\"\") }",
        ];
        for text in with_texts {
            documents.get(text, false, |_| 0).ok().unwrap();
        }
        for rejected in ["{ a", "query($a: Nothing) { a }", deep.as_str()] {
            assert!(documents.get(rejected, false, |_| 0).is_err(), "{rejected}");
        }
        assert!(documents.documents.is_empty());
        for text in with_texts {
            documents.get(text, true, |_| 0).ok().unwrap();
            assert!(documents.contains(text), "the operator knows a trusted document");
        }
    }

    #[test]
    fn the_number_and_the_bytes_of_cached_documents_are_limited() {
        let documents = documents();
        let add = |text: &str| documents.get(text, false, |_| 0).ok().unwrap();
        for number in 0..3 * MAX_DOCUMENTS {
            add(&format!("{{ a }} # {number}"));
            assert!(documents.documents.len() <= MAX_DOCUMENTS);
            assert!(documents.documents.weight() <= MAX_BYTES as u64);
        }
        let comment = "x".repeat(MAX_DOCUMENT_LENGTH - 20);
        for number in 0..100 {
            add(&format!("{{ a }} # {number} {comment}"));
            assert!(documents.documents.weight() <= MAX_BYTES as u64);
        }
        assert!((0..100).any(|number| documents.contains(&format!("{{ a }} # {number} {comment}"))));
        let too_long = format!("{{ a }} # {}", "x".repeat(MAX_DOCUMENT_LENGTH));
        add(&too_long);
        assert!(!documents.contains(&too_long));
    }

    #[test]
    fn a_document_that_is_requested_again_and_again_stays() {
        let documents = documents();
        documents.get("{ a }", false, |_| 1).ok().unwrap();
        for number in 0..2 * MAX_DOCUMENTS {
            documents.get(&format!("{{ a }} # {number}"), false, |_| 0).ok().unwrap();
            assert_eq!(documents.get("{ a }", false, |_| 2).ok().unwrap().info, 1);
        }
    }
}
