//! Conversion of an HTTP request to a GraphQL request that is small, well formed and parsed once.

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_graphql::{Variables, parser::types::OperationType};
use ipnet::IpNet;
use poem::{
    Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use serde_json::{Map, Value};

use super::{
    Application, body,
    caller::Caller,
    document_cache::DocumentCache,
    document_limits,
    document_source::{self, DocumentPolicy, Source},
    error::HttpError,
    metrics::HttpMetrics,
    parameters::{Parameters, UPLOAD_MARK, from_json, from_query},
    persisted_queries::PersistedQueries,
    prepared::{Prepared, SharedDescription},
    subscription_root, variables,
};
use crate::background;
use crate::client::client_network;
use crate::error::TopLevelCode;
use crate::share::{Requester, ShareLimits, Shares};

/// Maximum number of bytes of a body, or a message of a WebSocket, that is not parsed in the background.
pub const LONG_BODY: usize = 16 * 1024;
/// Maximum number of bytes of a document that is not checked in the background, unless it is cached.
const LONG_DOCUMENT: usize = 2 * 1024;
/// The limits for the work in the background for one network.
const NETWORK_LIMITS: ShareLimits =
    ShareLimits { at_once: 1, waiting: 256, max_wait: Duration::from_secs(10), rest: 4 };
pub const ALLOW: &str = "GET, POST";

/// The types of operations that a request may execute, by the way in which it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    pub mutations: bool,
    pub subscriptions: bool,
}

/// Reads requests. Work that may take long is done in the background, with the same limit for each network.
pub struct Reader<A: Application> {
    app: A,
    policy: DocumentPolicy,
    documents: DocumentCache<A::DocumentInfo>,
    persisted: PersistedQueries,
    networks: Shares<IpNet>,
}

impl<A: Application> Clone for Reader<A> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            policy: self.policy,
            documents: self.documents.clone(),
            persisted: self.persisted.clone(),
            networks: self.networks.clone(),
        }
    }
}

/// Reads and checks a request, without executing it. A subscription is allowed if its sender accepts an event stream.
pub async fn read<A: Application>(
    request: &mut Request,
    reader: &Reader<A>,
    caller: &Caller,
    accepts_events: bool,
) -> Result<Prepared<A::DocumentInfo>, HttpError> {
    let allowed = Allowed { mutations: *request.method() == Method::POST, subscriptions: accepts_events };
    let description = SharedDescription::of(request);
    match *request.method() {
        Method::GET => {
            let parameters = from_query(request.uri().query().unwrap_or_default())?;
            reader.prepare(parameters, allowed, caller, description).await
        }
        Method::POST => {
            check_content(request.headers())?;
            let body = body::read(request).await?;
            if body.len() <= LONG_BODY {
                return reader.prepare(from_json(&body, "The body")?, allowed, caller, description).await;
            }
            let (all, sender) = (reader.clone(), caller.clone());
            let read = async move {
                let parameters = from_json(&body, "The body")?;
                let (source, rest) = all.resolve(parameters, &sender, description).await?;
                all.prepare_now(&source, rest, allowed).map(|prepared| (source, prepared))
            };
            let (source, prepared) = reader.in_background(caller.address, read).await??;
            reader.register(source, caller).await;
            Ok(prepared)
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
    pub fn new(app: A, policy: DocumentPolicy, metrics: &HttpMetrics) -> std::io::Result<Self> {
        Ok(Self {
            documents: DocumentCache::new(&app.sdl(), app.suggests_fields(), metrics.documents_parsed())?,
            app,
            policy,
            persisted: PersistedQueries::new()?,
            networks: Shares::new(NETWORK_LIMITS),
        })
    }

    /// Checks the parameters of a request, and registers its document if the caller asks for it. What is found out
    /// about the request is added to its description.
    pub async fn prepare(
        &self,
        parameters: Parameters,
        allowed: Allowed,
        caller: &Caller,
        description: SharedDescription,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let (source, rest) = self.resolve(parameters, caller, description).await?;
        if source.text.len() > LONG_DOCUMENT && !self.documents.contains(&source.text) {
            return self.prepare_source_in_background(source, rest, allowed, caller).await;
        }
        self.networks.pass();
        let prepared = self.prepare_now(&source, rest, allowed)?;
        self.register(source, caller).await;
        Ok(prepared)
    }

    /// Checks the parameters of a request in the background, for a request that is long otherwise than by its document.
    pub async fn prepare_in_background(
        &self,
        parameters: Parameters,
        allowed: Allowed,
        caller: &Caller,
        description: SharedDescription,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let (source, rest) = self.resolve(parameters, caller, description).await?;
        self.prepare_source_in_background(source, rest, allowed, caller).await
    }

    async fn prepare_source_in_background(
        &self,
        source: Source,
        rest: Rest,
        allowed: Allowed,
        caller: &Caller,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let reader = self.clone();
        let work = async move { reader.prepare_now(&source, rest, allowed).map(|prepared| (source, prepared)) };
        let (source, prepared) = self.in_background(caller.address, work).await??;
        self.register(source, caller).await;
        Ok(prepared)
    }

    /// Finds the document of a request.
    async fn resolve(
        &self,
        parameters: Parameters,
        caller: &Caller,
        description: SharedDescription,
    ) -> Result<(Source, Rest), HttpError> {
        let Parameters { document, operation_name, variables } = parameters;
        let source = document_source::resolve(&self.app, self.policy, &self.persisted, document, caller).await?;
        if let Some(trusted) = &source.trusted {
            description.set_document(trusted);
        }
        Ok((source, Rest { operation_name, variables, description }))
    }

    /// Does work for an address in the background, as soon as its network has no other work there.
    ///
    /// # Errors
    /// 429 if too much work of the network waits already, or for too long.
    pub async fn in_background<T: Send + 'static>(
        &self,
        client_address: IpAddr,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, HttpError> {
        let permit = self.networks.take(client_network(client_address)).await;
        let _permit = permit.ok_or_else(HttpError::too_many_expensive_requests)?;
        Ok(background::run(work).await)
    }

    /// Registers a valid document under its hash, if its sender is signed in: so nobody else can fill the memory.
    async fn register(&self, Source { text, register_as, .. }: Source, caller: &Caller) {
        let Some(hash) = register_as else { return };
        // A document that is not cached may hold a secret, or the name of a person: whoever guesses it could tell that it was sent.
        if !self.persisted.accepts(&hash, &text) || !self.documents.contains(&text) {
            return;
        }
        if let Ok(Requester::User(_)) = self.app.requester(caller).await {
            self.persisted.insert(hash, &text);
        }
    }

    fn prepare_now(
        &self,
        source: &Source,
        rest: Rest,
        allowed: Allowed,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        let Source { text: query, trusted, .. } = source;
        let Rest { operation_name, variables, description } = rest;
        // The text is searched for the escape, so that the literals of the document need not be walked.
        if query.contains('\0') || query.contains("\\u0000") || query.contains(UPLOAD_MARK) {
            return Err(HttpError::bad_request("query: must not contain U+0000 or the upload marker"));
        }
        let document = self.documents.get(query, trusted.is_some(), |parsed| self.app.analyze(parsed))?;
        let selected = document_limits::selected_operation(&document.parsed, operation_name.as_deref());
        let operation_type = selected.map(|(_, operation)| operation.ty);
        if let Some((name, operation)) = selected {
            description.set_operation(operation.ty, name);
        }
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
        let mut request =
            async_graphql::Request::new(query.as_str()).variables(Variables::from_json(Value::Object(values)));
        request.operation_name = operation_name;
        request.set_parsed_query(parsed);
        if let Some(trusted) = trusted {
            request = request.data(Arc::clone(trusted));
        }
        Ok(Prepared { request, document, operation_type, upload_permit: None })
    }
}

/// The parameters of a request besides its document.
struct Rest {
    operation_name: Option<String>,
    variables: Map<String, Value>,
    description: SharedDescription,
}
