//! The interface between the HTTP server and the application behind it.

use std::sync::Arc;

use async_graphql::{Request, Response, parser::types::ExecutableDocument};
use futures_util::stream::BoxStream;
use poem::Route;

use super::{
    avatar::Avatar, caller::Caller, compression::EncodedBody, document_source::TrustedDocument, error::HttpError,
};
use crate::client::client_network;
use crate::scalar::Id;
use crate::share::{Requester, Share};

/// A response with more bytes than this is serialized in the background, and counted until it is read.
pub const LONG_RESPONSE: usize = 64 * 1024;

/// The result of a request that was executed.
pub struct ExecutionResult {
    pub response: Response,
    /// Held by a response of more than [`LONG_RESPONSE`] bytes until it is read.
    pub send_permit: Option<Share<Requester>>,
}

/// The schema for its readers, with an entity tag.
pub struct PublishedSchema {
    /// The text in the schema definition language.
    pub sdl: EncodedBody,
    /// The entity tag, with its quotation marks.
    pub etag: String,
    /// The same as a page. `None` if it could not be rendered.
    pub reference: Option<ReferencePage>,
}

/// A page in HTML that explains the schema.
pub struct ReferencePage {
    /// The text of the page.
    pub body: EncodedBody,
    /// The entity tag, with its quotation marks.
    pub etag: String,
    /// The content security policy.
    pub policy: String,
}

/// A short response, which is serialized at once.
impl From<Response> for ExecutionResult {
    fn from(response: Response) -> Self {
        Self { response, send_permit: None }
    }
}

/// An event of a subscription. If it ends otherwise than by `Failed` or `Refused`, it is complete.
pub enum Event {
    /// The position at which the events begin. Sent first, at most once.
    Begin { position: String },
    /// The result of one event, and the position after it. `send_permit` is held by a response of more than [`LONG_RESPONSE`]
    /// bytes until it is sent.
    Next { response: Response, position: Option<String>, send_permit: Option<Share<Requester>> },
    /// The errors for which the subscription ends, such as those of its arguments.
    Failed(Response),
    /// The reason why the caller may follow no longer, such as the end of their session.
    Refused(HttpError),
}

/// The events of a subscription, in order.
pub type Events = BoxStream<'static, Event>;

/// The interface between the HTTP server and the application behind it.
pub trait Application: Clone + Send + Sync + 'static {
    /// The facts about a document that the application collects before execution.
    type DocumentInfo: Send + Sync + 'static;

    /// Analyzes a document, once for all requests that send it.
    fn analyze(&self, document: &ExecutableDocument) -> Self::DocumentInfo;

    /// Authenticates the caller and executes the request.
    fn execute(
        &self,
        caller: Caller,
        request: Request,
        info: &Self::DocumentInfo,
    ) -> impl Future<Output = Result<ExecutionResult, HttpError>> + Send;

    /// Authenticates the caller and starts a subscription. It resumes after the event with an ID, which the client got as the
    /// position of the event, or begins as its document says.
    fn subscribe(
        &self,
        caller: Caller,
        request: Request,
        info: &Self::DocumentInfo,
        last_event_id: Option<String>,
    ) -> impl Future<Output = Result<Events, HttpError>> + Send {
        let _ = (caller, request, info, last_event_id);
        async { Err(HttpError::not_found()) }
    }

    /// Returns the caller for whom open connections are counted. It fails with 401 as soon as the caller's token is no longer
    /// valid.
    fn requester(&self, caller: &Caller) -> impl Future<Output = Result<Requester, HttpError>> + Send {
        let network = client_network(caller.address);
        async move { Ok(Requester::Network(network)) }
    }

    /// Checks whether the caller may send a file at all, before any of it is kept, and returns the user's ID.
    fn authorize_upload(&self, caller: &Caller) -> impl Future<Output = Result<Id, HttpError>> + Send {
        let _ = caller;
        async { Err(HttpError::unauthenticated()) }
    }

    /// Returns the avatar of the user with this ID, without its content if `is_cached` returns `true` for its hash. Without a token,
    /// the query string of the URL must be signed.
    fn avatar(
        &self,
        caller: Caller,
        id: &str,
        query: &str,
        is_cached: impl Fn(&str) -> bool + Send,
    ) -> impl Future<Output = Result<Avatar, HttpError>> + Send {
        let _ = (caller, id, query, is_cached);
        async { Err(HttpError::not_found()) }
    }

    /// Returns the trusted document with this ID, or with this SHA-256 hash in hexadecimal; `None` if there is none.
    fn trusted_document(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Arc<TrustedDocument>>, HttpError>> + Send {
        let _ = key;
        async { Ok(None) }
    }

    /// Checks whether the caller may send a document that is not trusted, on a server that executes only trusted documents.
    /// `for_playground` is whether its playground may send others.
    fn authorize_document(
        &self,
        caller: &Caller,
        text: &str,
        for_playground: bool,
    ) -> impl Future<Output = Result<(), HttpError>> + Send {
        let _ = (caller, text, for_playground);
        async { Err(HttpError::document_not_trusted()) }
    }

    /// Returns the schema for its readers, if the caller may read it.
    fn published_schema(
        &self,
        caller: Caller,
    ) -> impl Future<Output = Result<&'static PublishedSchema, HttpError>> + Send {
        let _ = caller;
        async { Err(HttpError::not_found()) }
    }

    /// Returns the schema in the schema definition language, by which documents are validated.
    fn sdl(&self) -> String;

    /// Returns whether errors of documents suggest fields of the schema, which discloses their names. Defaults to no.
    fn suggests_fields(&self) -> bool {
        false
    }

    /// Returns whether requests can be answered: the database is available and migrated.
    fn is_ready(&self) -> impl Future<Output = bool> + Send;

    /// Adds the pages that one-time links lead to.
    fn pages(&self, route: Route) -> Route {
        route
    }

    /// Adds the pages of the playground.
    fn playground(&self, route: Route) -> Route {
        route
    }
}
