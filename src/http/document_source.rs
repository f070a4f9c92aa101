//! How a request gives its document: as a text, by the ID of a trusted document, or by a hash.

use std::any::TypeId;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Application, caller::Caller, error::HttpError, persisted_queries::PersistedQueries};

/// The version of automatic persisted queries.
const VERSION: u64 = 1;
/// The prefix of an ID that is the hash of its document, by the draft of "GraphQL over HTTP".
pub const HASH_PREFIX: &str = "sha256:";

/// The documents that a server executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentPolicy {
    /// All documents.
    #[default]
    Any,
    /// Only trusted documents, and those for which [`Application::authorize_document`] succeeds.
    TrustedOnly { for_playground: bool },
}

/// A document that the operator of the server has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedDocument {
    pub id: String,
    pub name: Option<String>,
    pub text: String,
    /// The sets that contain the document.
    pub sets: Vec<String>,
}

/// How a request gives its document.
#[derive(Debug, PartialEq, Eq)]
pub enum GivenDocument {
    /// As a text, which is registered under its hash if the client sends one.
    Text { text: String, hash: Option<String> },
    /// By the ID of a trusted document.
    Id(String),
    /// By the hash of a text that was registered, or of a trusted document; or by the ID of one, which some clients send in
    /// place of the hash.
    Hash(String),
}

/// The document of a request.
pub struct Source {
    pub text: String,
    pub trusted: Option<Arc<TrustedDocument>>,
    /// The hash under which the text is to be registered.
    pub register_as: Option<String>,
}

impl GivenDocument {
    /// Takes the document from the members of a request.
    ///
    /// # Errors
    /// 400 if there is none, or if it is given in two ways.
    pub fn take(
        members: &mut Map<String, Value>,
        query: Option<String>,
        extensions: &Map<String, Value>,
    ) -> Result<Self, HttpError> {
        let id = match members.remove("documentId") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if !id.is_empty() => Some(id),
            Some(_) => return Err(HttpError::bad_request("documentId must be a string that is not empty")),
        };
        let hash = persisted_hash(extensions)?;
        match (query, id, hash) {
            (Some(_), Some(_), _) => Err(HttpError::bad_request("Send either query or documentId, not both")),
            (Some(text), None, hash) => Ok(Self::Text { text, hash }),
            (None, Some(id), _) => Ok(Self::Id(id)),
            (None, None, Some(hash)) => Ok(Self::Hash(hash)),
            (None, None, None) => Err(HttpError::bad_request("The query is missing")),
        }
    }
}

/// Returns the hash in the extension `persistedQuery`, if the request has one.
fn persisted_hash(extensions: &Map<String, Value>) -> Result<Option<String>, HttpError> {
    let extension = match extensions.get("persistedQuery") {
        None | Some(Value::Null) => return Ok(None),
        Some(extension) => extension,
    };
    if extension.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(HttpError::bad_request("extensions.persistedQuery.version: must be 1"));
    }
    match extension.get("sha256Hash") {
        Some(Value::String(hash)) if !hash.is_empty() => Ok(Some(hash.clone())),
        _ => Err(HttpError::bad_request("extensions.persistedQuery.sha256Hash: must be a string that is not empty")),
    }
}

/// Returns the SHA-256 hash of a text in lowercase hexadecimal.
#[must_use]
pub fn hash_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Finds the document of a request. Nothing of it is parsed.
///
/// # Errors
/// `PERSISTED_QUERY_NOT_FOUND` for a hash that is not known, `DOCUMENT_NOT_TRUSTED` for a document that the policy does not
/// allow, 400 for a hash of another text.
pub async fn resolve<A: Application>(
    app: &A,
    policy: DocumentPolicy,
    persisted: &PersistedQueries,
    given: GivenDocument,
    caller: &Caller,
) -> Result<Source, HttpError> {
    match given {
        GivenDocument::Id(id) => {
            let trusted = app.trusted_document(&id).await?;
            trusted.map(Source::of_trusted).ok_or_else(HttpError::document_not_trusted)
        }
        GivenDocument::Hash(hash) => match (app.trusted_document(&hash).await?, policy) {
            (Some(trusted), _) => Ok(Source::of_trusted(trusted)),
            (None, DocumentPolicy::TrustedOnly { .. }) => Err(HttpError::document_not_trusted()),
            (None, DocumentPolicy::Any) => {
                let text = persisted.get(&hash).ok_or_else(HttpError::persisted_query_not_found)?;
                Ok(Source { text: text.to_string(), trusted: None, register_as: None })
            }
        },
        GivenDocument::Text { text, hash } => resolve_text(app, policy, text, hash, caller).await,
    }
}

async fn resolve_text<A: Application>(
    app: &A,
    policy: DocumentPolicy,
    text: String,
    hash: Option<String>,
    caller: &Caller,
) -> Result<Source, HttpError> {
    let actual = (hash.is_some() || policy != DocumentPolicy::Any).then(|| hash_of(&text));
    if hash.is_some() && hash != actual {
        return Err(HttpError::bad_request("extensions.persistedQuery.sha256Hash: is not the hash of query"));
    }
    let DocumentPolicy::TrustedOnly { for_playground } = policy else {
        return Ok(Source { text, trusted: None, register_as: hash });
    };
    let trusted = app.trusted_document(actual.as_deref().unwrap_or_default()).await?;
    if let Some(trusted) = trusted.filter(|trusted| trusted.text == text) {
        return Ok(Source::of_trusted(trusted));
    }
    app.authorize_document(caller, &text, for_playground).await?;
    Ok(Source { text, trusted: None, register_as: None })
}

/// Returns the trusted document that a request executes; `None` if it gives its document otherwise.
#[must_use]
pub fn trusted_document(request: &async_graphql::Request) -> Option<&TrustedDocument> {
    let data = request.data.get(&TypeId::of::<Arc<TrustedDocument>>())?;
    data.downcast_ref::<Arc<TrustedDocument>>().map(Arc::as_ref)
}

impl Source {
    fn of_trusted(trusted: Arc<TrustedDocument>) -> Self {
        Self { text: trusted.text.clone(), trusted: Some(trusted), register_as: None }
    }
}
