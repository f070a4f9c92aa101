//! Conversion of an HTTP request to a GraphQL request that is small, well formed and parsed once.

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_graphql::{Variables, parser::types::OperationType};
use ipnet::IpNet;
use poem::{
    Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use url::form_urlencoded;

use super::{
    Application, body,
    document_cache::{Document, DocumentCache},
    document_limits,
    response::HttpError,
    variables,
};
use crate::background;
use crate::client::client_network;
use crate::scalar::Id;
use crate::share::{Share, ShareLimits, Shares};

/// Maximum number of bytes of a body that is not parsed in the background.
const LONG_BODY: usize = 16 * 1024;
/// Maximum number of bytes of a document that is not checked in the background, unless it is cached.
const LONG_DOCUMENT: usize = 2 * 1024;
/// The limits for the work in the background for one network.
const OF_ONE_NETWORK: ShareLimits = ShareLimits { at_once: 1, waiting: 256, patience: Duration::from_secs(10) };
/// Maximum number of objects in the JSON of a request, at any depth.
const MAX_OBJECTS: usize = 1_000;
/// The prefix by which async-graphql marks an uploaded file in variables; a caller who sends it refers to a file that does not
/// exist.
const UPLOAD_MARK: &str = "#__graphql_file__:";
pub const ALLOW: &str = "GET, POST";

/// A request that is ready for execution.
pub struct Prepared<R> {
    pub request: async_graphql::Request,
    pub document: Arc<Document<R>>,
    pub is_mutation: bool,
    /// The name of the operation, for the log.
    pub operation: Option<String>,
    /// The slot of a request with a file; `None` without a file.
    pub turn: Option<(Share<Id>, OwnedSemaphorePermit)>,
}

/// Reads requests. Work that may take long is done in the background, with the same limit for each network.
pub struct Reader<A: Application> {
    app: A,
    documents: DocumentCache<A::DocumentInfo>,
    networks: Shares<IpNet>,
}

impl<A: Application> Clone for Reader<A> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), documents: self.documents.clone(), networks: self.networks.clone() }
    }
}

/// Reads and checks a request from an address, without executing it.
pub async fn read<A: Application>(
    request: &mut Request,
    reader: &Reader<A>,
    from: IpAddr,
) -> Result<Prepared<A::DocumentInfo>, HttpError> {
    match *request.method() {
        Method::GET => {
            let parameters = from_query(request.uri().query().unwrap_or_default())?;
            reader.prepare(parameters, true, from).await
        }
        Method::POST => {
            check_content(request.headers())?;
            let body = body::read(request).await?;
            if body.len() <= LONG_BODY {
                return reader.prepare(from_json(&body, "The body")?, false, from).await;
            }
            let read = move |reader: &Reader<A>| reader.prepare_at_once(from_json(&body, "The body")?, false);
            reader.in_background(from, read).await
        }
        _ => Err(HttpError::method(ALLOW)),
    }
}

fn check_content(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter().map(|value| value.to_str().unwrap_or_default());
    let is_json = types.next().is_some_and(is_json) && types.next().is_none();
    if is_json && is_plain(headers) { Ok(()) } else { Err(unsupported()) }
}

/// Returns whether the body is sent without compression.
pub fn is_plain(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

pub fn unsupported() -> HttpError {
    let message = "Send the request as application/json (a file as multipart/form-data), in UTF-8 and not compressed";
    HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
        .with(HeaderName::from_static("accept-post"), HeaderValue::from_static("application/json, multipart/form-data"))
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().is_some_and(|name| name == "application/json")
        && parts.all(|part| match part.strip_prefix("charset=") {
            Some(charset) => charset.trim_matches('"') == "utf-8",
            None => true,
        })
}

/// The parameters of a request; other members of the JSON object are ignored.
pub struct Parameters {
    query: String,
    operation_name: Option<String>,
    pub variables: Map<String, Value>,
}

pub fn from_json(text: &[u8], what: &str) -> Result<Parameters, HttpError> {
    let text = std::str::from_utf8(text).map_err(|_| HttpError::bad_request(format!("{what}: not valid UTF-8")))?;
    match parse_json(text, what)? {
        Value::Object(members) => parameters(members),
        Value::Array(_) => Err(HttpError::bad_request("Batches are not supported; send one request at a time")),
        _ => Err(HttpError::bad_request(format!("{what}: must be a JSON object"))),
    }
}

fn from_query(query: &str) -> Result<Parameters, HttpError> {
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // Bytes that are not UTF-8 are decoded as U+FFFD.
        if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
            return Err(HttpError::bad_request("The query string is not valid UTF-8"));
        }
        let value = match name.as_ref() {
            "variables" | "extensions" if value.is_empty() => Value::Null,
            "variables" => parse_json(&value, "variables")?,
            "extensions" => parse_json(&value, "extensions")?,
            _ => Value::String(value.into_owned()),
        };
        if members.insert(name.into_owned(), value).is_some() {
            return Err(HttpError::bad_request("A parameter of the query string is given twice"));
        }
    }
    parameters(members)
}

fn parameters(mut members: Map<String, Value>) -> Result<Parameters, HttpError> {
    let extensions = object(members.remove("extensions"), "extensions")?; // ignored if there is a query
    let query = string(members.remove("query"), "query")?.unwrap_or_default();
    if query.is_empty() && extensions.get("persistedQuery").is_some_and(Value::is_object) {
        return Err(HttpError::persisted_query_not_supported());
    }
    Ok(Parameters {
        query,
        operation_name: string(members.remove("operationName"), "operationName")?,
        variables: object(members.remove("variables"), "variables")?,
    })
}

/// Parses JSON. The parser stops at a depth of 128 and refuses lone surrogates. Its own messages may repeat the source, so they
/// are not used.
pub fn parse_json(text: &str, what: &str) -> Result<Value, HttpError> {
    let value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        HttpError::bad_request(format!("{what}: not valid JSON at line {line}, column {column}"))
    })?;
    if objects_in(&value) > MAX_OBJECTS {
        return Err(HttpError::bad_request(format!("{what}: must contain at most {MAX_OBJECTS} objects")));
    }
    if is_clean(&value) {
        Ok(value)
    } else {
        Err(HttpError::bad_request(format!("{what}: strings must not contain U+0000 or start with the upload marker")))
    }
}

/// Counts the objects in a value. An object of two bytes may stand for an input of many fields, and some memory is kept for each
/// of them.
fn objects_in(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(objects_in).sum(),
        Value::Object(members) => 1 + members.values().map(objects_in).sum::<usize>(),
        _ => 0,
    }
}

fn is_clean(value: &Value) -> bool {
    match value {
        Value::String(text) => is_clean_text(text),
        Value::Array(items) => items.iter().all(is_clean),
        Value::Object(members) => members.iter().all(|(name, member)| is_clean_text(name) && is_clean(member)),
        _ => true,
    }
}

/// Returns whether a text has neither U+0000 nor the upload marker. No database stores U+0000: one refuses it, the other
/// truncates the text there.
fn is_clean_text(text: &str) -> bool {
    !text.contains('\0') && !text.starts_with(UPLOAD_MARK)
}

fn string(value: Option<Value>, name: &str) -> Result<Option<String>, HttpError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(HttpError::bad_request(format!("{name} must be a string"))),
    }
}

fn object(value: Option<Value>, name: &str) -> Result<Map<String, Value>, HttpError> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(HttpError::bad_request(format!("{name} must be a JSON object"))),
    }
}

impl<A: Application> Reader<A> {
    /// Creates a reader for an application.
    ///
    /// # Errors
    /// If its schema cannot be parsed.
    pub fn new(app: A) -> std::io::Result<Self> {
        Ok(Self { documents: DocumentCache::of(&app.sdl())?, app, networks: Shares::new(OF_ONE_NETWORK) })
    }

    /// Checks the parameters of a request from an address.
    pub async fn prepare(
        &self,
        parameters: Parameters,
        by_get: bool,
        from: IpAddr,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let query = &parameters.query;
        if query.len() <= LONG_DOCUMENT || self.documents.knows(query) {
            return self.prepare_at_once(parameters, by_get);
        }
        self.in_background(from, move |reader| reader.prepare_at_once(parameters, by_get)).await
    }

    async fn in_background(
        &self,
        from: IpAddr,
        work: impl FnOnce(&Self) -> Result<Prepared<A::DocumentInfo>, HttpError> + Send + 'static,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let _place = self.networks.take(client_network(from)).await.ok_or_else(HttpError::too_many)?;
        let reader = self.clone();
        background::run(async move { work(&reader) }).await
    }

    fn prepare_at_once(&self, parameters: Parameters, by_get: bool) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let Parameters { query, operation_name, variables } = parameters;
        if query.is_empty() {
            return Err(HttpError::bad_request("The query is missing"));
        }
        // The text is searched for the escape, so that the literals of the document need not be walked.
        if query.contains('\0') || query.contains("\\u0000") || query.contains(UPLOAD_MARK) {
            return Err(HttpError::bad_request("query: must not contain U+0000 or the upload marker"));
        }
        let document = self.documents.find(&query, |parsed| self.app.read(parsed))?;
        let selected = document_limits::selected(&document.parsed, operation_name.as_deref());
        let kind = selected.map(|(_, operation)| operation.ty);
        match kind {
            Some(OperationType::Mutation) if by_get => {
                let message = "A mutation must be sent by POST";
                return Err(HttpError { message: message.into(), ..HttpError::method("POST") });
            }
            Some(OperationType::Subscription) => {
                return Err(HttpError::bad_request("A subscription requires a WebSocket, not a single request"));
            }
            _ => {}
        }
        let mut parsed = document.parsed.clone();
        let mut values = Map::new();
        if let Some((_, operation)) = selected {
            values = variables::coerce(self.documents.schema, operation, &document.demands, variables)?;
            variables::leave_out(&mut parsed, operation, &values);
        }
        let operation = selected.and_then(|(name, _)| name).map(str::to_owned);
        let mut request = async_graphql::Request::new(query).variables(Variables::from_json(Value::Object(values)));
        request.operation_name = operation_name;
        request.set_parsed_query(parsed);
        Ok(Prepared { request, document, is_mutation: kind == Some(OperationType::Mutation), operation, turn: None })
    }
}
