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

use super::{
    Application, body,
    document_cache::{Document, DocumentCache},
    document_limits,
    error::HttpError,
    parameters::{Parameters, UPLOAD_MARK, from_json, from_query},
    subscription_root, variables,
};
use crate::background;
use crate::client::client_network;
use crate::error::TopLevelCode;
use crate::scalar::Id;
use crate::share::{Share, ShareLimits, Shares};

/// Maximum number of bytes of a body, or a message of a WebSocket, that is not parsed in the background.
pub const LONG_BODY: usize = 16 * 1024;
/// Maximum number of bytes of a document that is not checked in the background, unless it is cached.
const LONG_DOCUMENT: usize = 2 * 1024;
/// The limits for the work in the background for one network.
const NETWORK_LIMITS: ShareLimits =
    ShareLimits { at_once: 1, waiting: 256, max_wait: Duration::from_secs(10), rest: 4 };
pub const ALLOW: &str = "GET, POST";

/// What a request may execute, by the way in which it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    pub mutations: bool,
    pub subscriptions: bool,
}

/// A request that is ready for execution.
pub struct Prepared<R> {
    pub request: async_graphql::Request,
    pub document: Arc<Document<R>>,
    /// The type of the operation; `None` if the document has no such operation, which its execution reports.
    pub operation_type: Option<OperationType>,
    /// The name of the operation, for the log.
    pub operation: Option<String>,
    /// Held until a request with a file has been executed; `None` without a file.
    pub upload_permit: Option<UploadPermit>,
}

/// The slots of a request with a file, released when it is dropped.
pub struct UploadPermit {
    _user_share: Share<Id>,
    _permit: OwnedSemaphorePermit,
}

impl UploadPermit {
    /// Combines the slot of the user with a slot among all users.
    pub fn new(user_share: Share<Id>, permit: OwnedSemaphorePermit) -> Self {
        Self { _user_share: user_share, _permit: permit }
    }
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

/// Reads and checks a request from an address, without executing it. A subscription is allowed if its sender accepts an event
/// stream.
pub async fn read<A: Application>(
    request: &mut Request,
    reader: &Reader<A>,
    client_address: IpAddr,
    accepts_events: bool,
) -> Result<Prepared<A::DocumentInfo>, HttpError> {
    let allowed = Allowed { mutations: *request.method() == Method::POST, subscriptions: accepts_events };
    match *request.method() {
        Method::GET => {
            let parameters = from_query(request.uri().query().unwrap_or_default())?;
            reader.prepare(parameters, allowed, client_address).await
        }
        Method::POST => {
            check_content(request.headers())?;
            let body = body::read(request).await?;
            if body.len() <= LONG_BODY {
                return reader.prepare(from_json(&body, "The body")?, allowed, client_address).await;
            }
            let read = move |reader: &Reader<A>| reader.prepare_now(from_json(&body, "The body")?, allowed);
            reader.in_background(client_address, read).await?
        }
        _ => Err(HttpError::method_not_allowed(ALLOW)),
    }
}

impl Allowed {
    fn check(self, operation_type: Option<OperationType>) -> Result<(), HttpError> {
        match operation_type {
            Some(OperationType::Mutation) if !self.mutations => {
                let message = "A mutation must be sent by POST";
                Err(HttpError { message: message.into(), ..HttpError::method_not_allowed("POST") })
            }
            Some(OperationType::Subscription) if !self.subscriptions => {
                Err(HttpError::bad_request("A subscription requires `Accept: text/event-stream`, or a WebSocket"))
            }
            _ => Ok(()),
        }
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
    HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, TopLevelCode::UnsupportedMediaType, message).with_header(
        HeaderName::from_static("accept-post"),
        HeaderValue::from_static("application/json, multipart/form-data"),
    )
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().is_some_and(|name| name == "application/json")
        && parts.all(|part| match part.strip_prefix("charset=") {
            Some(charset) => charset.trim_matches('"') == "utf-8",
            None => true,
        })
}

impl<A: Application> Reader<A> {
    /// Creates a reader for an application.
    ///
    /// # Errors
    /// If its schema cannot be parsed.
    pub fn new(app: A) -> std::io::Result<Self> {
        Ok(Self { documents: DocumentCache::new(&app.sdl())?, app, networks: Shares::new(NETWORK_LIMITS) })
    }

    /// Checks the parameters of a request from an address.
    pub async fn prepare(
        &self,
        parameters: Parameters,
        allowed: Allowed,
        client_address: IpAddr,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let query = &parameters.query;
        if query.len() <= LONG_DOCUMENT || self.documents.contains(query) {
            self.networks.pass();
            return self.prepare_now(parameters, allowed);
        }
        self.prepare_in_background(parameters, allowed, client_address).await
    }

    /// Checks the parameters of a request from an address in the background, for a request that is long otherwise than by its
    /// document.
    pub async fn prepare_in_background(
        &self,
        parameters: Parameters,
        allowed: Allowed,
        client_address: IpAddr,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        self.in_background(client_address, move |reader| reader.prepare_now(parameters, allowed)).await?
    }

    /// Does work for an address in the background, as soon as its network has no other work there.
    ///
    /// # Errors
    /// 429 if too much work of the network waits already, or for too long.
    pub async fn in_background<T: Send + 'static>(
        &self,
        client_address: IpAddr,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, HttpError> {
        let permit = self.networks.take(client_network(client_address)).await;
        let _permit = permit.ok_or_else(HttpError::too_many_expensive_requests)?;
        let reader = self.clone();
        Ok(background::run(async move { work(&reader) }).await)
    }

    fn prepare_now(&self, parameters: Parameters, allowed: Allowed) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let Parameters { query, operation_name, variables } = parameters;
        if query.is_empty() {
            return Err(HttpError::bad_request("The query is missing"));
        }
        // The text is searched for the escape, so that the literals of the document need not be walked.
        if query.contains('\0') || query.contains("\\u0000") || query.contains(UPLOAD_MARK) {
            return Err(HttpError::bad_request("query: must not contain U+0000 or the upload marker"));
        }
        let document = self.documents.get(&query, |parsed| self.app.analyze(parsed))?;
        let selected = document_limits::selected_operation(&document.parsed, operation_name.as_deref());
        let operation_type = selected.map(|(_, operation)| operation.ty);
        allowed.check(operation_type)?;
        let mut parsed = document.parsed.clone();
        if operation_type == Some(OperationType::Subscription) {
            subscription_root::unwrap_fragments(&mut parsed, operation_name.as_deref());
        }
        let mut values = Map::new();
        if let Some((_, operation)) = selected {
            values = variables::coerce(self.documents.schema, operation, &document.non_null_uses, variables)?;
            variables::remove_absent(&mut parsed, operation, &values);
        }
        let operation = selected.and_then(|(name, _)| name).map(str::to_owned);
        let mut request = async_graphql::Request::new(query).variables(Variables::from_json(Value::Object(values)));
        request.operation_name = operation_name;
        request.set_parsed_query(parsed);
        Ok(Prepared { request, document, operation_type, operation, upload_permit: None })
    }
}
