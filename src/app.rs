//! The application behind the HTTP server: authenticates the caller and gives resolvers what they need.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Pos, Request, Response, ServerError};
use poem::Route;

use crate::access::{CurrentViewer, Viewer};
use crate::auth::password::Hasher;
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle::LoginInputs;
use crate::avatar::{ImageProcessor, Store};
use crate::budget::{Budget, Limit, Size};
use crate::client::{Client, client_network};
use crate::db::Db;
use crate::error::Error;
use crate::graphql::batching::batch;
use crate::graphql::context::{Files, PublicUrl};
use crate::graphql::cost::{self, Costs};
use crate::graphql::credential_use::{self, CredentialUses};
use crate::graphql::loader::Loaders;
use crate::graphql::pagination::CursorKey;
use crate::graphql::projection::SelectedFields;
use crate::http::{self, Answer, Application, Caller, HttpError, introspection};
use crate::scalar::Id;
use crate::schema::{self, RosterSchema};
use crate::share::{Share, ShareLimits, Shares, Who};
use crate::web::{pages, playground};
use crate::{background, session, user};

/// Returns the limits for the expensive requests of one caller.
fn heavy_requests() -> ShareLimits {
    ShareLimits { at_once: background::threads(), waiting: 16, patience: Duration::from_secs(3) }
}

/// The long responses that one caller has under way: each is kept in memory until the caller has read it.
const LONG_RESPONSES: ShareLimits = ShareLimits { at_once: 4, waiting: 8, patience: Duration::from_secs(3) };

/// The running application; cheap to clone.
#[derive(Clone)]
pub struct App {
    db: Db,
    rules: SignInPolicy,
    schema: RosterSchema,
    costs: Arc<Costs>,
    heavy: Shares<Who>,
    sending: Shares<Who>,
    shortest_password: usize,
}

impl App {
    /// Creates an application that serves a database with up-to-date tables at its public URL.
    ///
    /// # Errors
    /// `Internal` if a field of the schema has no rule.
    pub fn new(
        db: Db,
        rules: SignInPolicy,
        hasher: Hasher,
        public_url: String,
        ways: SelfServicePolicy,
    ) -> Result<Self, Error> {
        schema::check()?;
        let seal = CursorKey::new(hasher.key());
        let shortest_password = hasher.shortest();
        let schema = schema::build().data(db.clone()).data(hasher).data(rules).data(seal);
        let schema = schema
            .data(ImageProcessor::default())
            .data(LoginInputs::default())
            .data(ways)
            .data(PublicUrl(public_url))
            .finish();
        let costs = Arc::new(Costs::of(&schema::sdl())?);
        let (heavy, sending) = (Shares::new(heavy_requests()), Shares::new(LONG_RESPONSES));
        Ok(Self { db, rules, schema, costs, heavy, sending, shortest_password })
    }

    /// Returns the viewer, read from the database for each request.
    async fn viewer(&self, caller: &Caller) -> Result<Viewer, HttpError> {
        let Some(token) = &caller.token else { return Ok(Viewer::Anonymous) };
        let request_id = Some(caller.request_id.clone());
        match session::authenticate(&self.db, self.rules.lifetime, token, request_id).await {
            Ok(viewer) => Ok(Viewer::SignedIn(viewer)),
            Err(Error::Unauthenticated) => Err(HttpError::unauthenticated()),
            Err(error) => Err(failed(error, caller, "failed to look up an access token")),
        }
    }

    /// Returns the cost of a request unless it is too high, and charges its introspection to the budget.
    fn cost(&self, request: &mut Request, reading: &DocumentInfo, budget: &Budget) -> Result<usize, Error> {
        let schema = reading.introspection.clone()?;
        budget.charge(Limit::Fields, schema.fields)?;
        budget.charge(Limit::Bytes, schema.bytes)?;
        let (name, variables) = (request.operation_name.clone(), request.variables.clone());
        // A document that cannot be parsed or has no such operation is refused when it is executed.
        let Ok(document) = request.parsed_query() else { return Ok(0) };
        let Some((_, operation)) = http::selected(document, name.as_deref()) else { return Ok(0) };
        let cost = self.costs.cost(document, operation, &variables).saturating_add(cost::of_introspection(schema));
        cost::check(cost).map(|()| cost)
    }

    /// Waits for a slot of the caller if a request is expensive; other requests need none.
    async fn place(&self, who: Who, cost: usize) -> Result<Option<Share<Who>>, HttpError> {
        if cost < cost::HEAVY {
            return Ok(None);
        }
        self.heavy.take(who).await.map(Some).ok_or_else(HttpError::too_many)
    }

    /// Returns the permit of a long response, which is held until the caller has read it.
    async fn place_to_send(&self, who: Who, bytes: usize, is_mutation: bool) -> Result<Option<Share<Who>>, HttpError> {
        if bytes <= http::LONG_ANSWER {
            return Ok(None);
        }
        self.sending.take(who).await.map(Some).ok_or_else(|| HttpError::unread(is_mutation))
    }

    /// Returns the viewer if they are signed in; otherwise fails with 401.
    async fn signed_in(&self, caller: &Caller) -> Result<Viewer, HttpError> {
        match self.viewer(caller).await? {
            Viewer::Anonymous => Err(HttpError::unauthenticated()),
            viewer @ Viewer::SignedIn(_) => Ok(viewer),
        }
    }
}

/// The facts about a document that are collected before execution.
pub struct DocumentInfo {
    named: Arc<SelectedFields>,
    /// The size of its introspection, or the error if that is too large.
    introspection: Result<Size, Error>,
    credential_uses: CredentialUses,
    /// The places where it selects the description of the schema.
    descriptions: Vec<introspection::Asked>,
}

impl Application for App {
    type DocumentInfo = DocumentInfo;

    fn read(&self, document: &ExecutableDocument) -> DocumentInfo {
        DocumentInfo {
            named: Arc::new(SelectedFields::in_document(document)),
            introspection: self.costs.introspection(document),
            credential_uses: CredentialUses::in_document(document),
            descriptions: introspection::descriptions(document),
        }
    }

    async fn answer(&self, caller: Caller, mut request: Request, reading: &DocumentInfo) -> Result<Answer, HttpError> {
        let viewer = self.viewer(&caller).await?;
        if reading.credential_uses.are_many(&request.variables) {
            let with_secret = credential_use::WITH_SECRET.map(|mutation| format!("{mutation} with a password or PIN"));
            let mutations = credential_use::ALWAYS.map(str::to_owned).into_iter().chain(with_secret);
            let message = format!(
                "{}: at most one of these mutations is allowed per request.",
                mutations.collect::<Vec<_>>().join(", ")
            );
            return Ok(refused(Error::BadInput(message)).into());
        }
        let budget = Budget::default();
        let cost = self.cost(&mut request, reading, &budget).map_err(refusal)?;
        let who = who(&viewer, &caller);
        let place = self.place(who, cost).await?;
        let is_mutation = is_mutation(&mut request);
        let asking = Arc::new(CurrentViewer::new(viewer));
        let client = Client {
            ip_address: Some(caller.address),
            user_agent: caller.user_agent,
            language: caller.language,
            request_id: Some(caller.request_id),
        };
        let named = Arc::clone(&reading.named);
        let operation = request.operation_name.clone();
        let files = Files::new(std::mem::take(&mut request.uploads));
        let idle = self.rules.lifetime.idle;
        let db = if place.is_some() { &self.db.in_background() } else { &self.db };
        let db = db.within(budget.clone(), who);
        let (links, loads) = batch(Loaders::new(db.clone(), Arc::clone(&asking), Arc::clone(&named), idle));
        let request = request.data(asking).data(client).data(named).data(links).data(files).data(db);
        let (schema, taken) = (self.schema.clone(), budget.clone());
        let executed = Box::pin(async move {
            let request = request.data(taken.clone());
            let response = loads.run(taken.in_turns(schema.execute(request))).await;
            (Size::of(&response.data), response)
        });
        let (size, mut response) = if place.is_some() { background::run(executed).await } else { executed.await };
        within(&budget, size, is_mutation).map_err(refusal)?;
        introspection::describe(&mut response, operation.as_deref(), &reading.descriptions);
        let sending = self.place_to_send(who, size.bytes, is_mutation).await?;
        Ok(Answer { response, sending })
    }

    async fn admits_upload(&self, caller: &Caller) -> Result<Id, HttpError> {
        match self.viewer(caller).await? {
            Viewer::Anonymous => Err(HttpError::unauthenticated()),
            Viewer::SignedIn(viewer) => Ok(viewer.user_id),
        }
    }

    async fn picture(
        &self,
        caller: Caller,
        id: &str,
        holds: impl Fn(&str) -> bool + Send,
    ) -> Result<http::Picture, HttpError> {
        let viewer = self.signed_in(&caller).await?;
        let internal = |error| failed(error, &caller, "failed to read a picture");
        let id = Id::parse(id).ok_or_else(HttpError::not_found)?;
        let hash =
            user::avatar::hash(&self.db, &viewer, id).await.map_err(internal)?.ok_or_else(HttpError::not_found)?;
        if holds(&hash) {
            return Ok(http::Picture { hash, content: None });
        }
        let found = Store::read(&self.db, id).await.map_err(internal)?.ok_or_else(HttpError::not_found)?;
        // The hash is that of the content itself, which may have been replaced between the two reads.
        Ok(http::Picture { hash: found.hash(), content: Some((found.content_type.name(), found.content)) })
    }

    fn sdl(&self) -> String {
        schema::sdl_of(&self.schema)
    }

    async fn ready(&self) -> bool {
        let is_ready =
            async { Ok::<_, Error>(self.db.pending_migrations().await? == 0 && self.db.is_writable().await?) };
        match is_ready.await {
            Ok(is_ready) => is_ready,
            Err(error) => {
                tracing::warn!(?error, "the readiness check failed");
                false
            }
        }
    }

    fn pages(&self, route: Route) -> Route {
        pages::add_to(route, self.shortest_password)
    }

    fn playground(&self, route: Route) -> Route {
        playground::add_to(route)
    }
}

fn who(viewer: &Viewer, caller: &Caller) -> Who {
    match viewer {
        Viewer::SignedIn(viewer) => Who::User(viewer.user_id),
        Viewer::Anonymous => Who::Network(client_network(caller.address)),
    }
}

fn is_mutation(request: &mut Request) -> bool {
    let name = request.operation_name.clone();
    let document = request.parsed_query().ok();
    document.and_then(|document| http::kind(document, name.as_deref())) == Some(OperationType::Mutation)
}

/// Checks that a request has not exceeded its budget and that its response is not too large. Otherwise a part of the response is
/// missing, and none of it is sent.
fn within(budget: &Budget, answer: Size, is_mutation: bool) -> Result<(), Error> {
    let rest = |limit, size: usize| budget.charge(limit, size.saturating_sub(budget.taken(limit)));
    let done = budget.check().and_then(|()| rest(Limit::Fields, answer.fields));
    done.and_then(|()| rest(Limit::Bytes, answer.bytes)).map_err(|error| match error {
        Error::AnswerTooLarge(message) if is_mutation => {
            Error::AnswerTooLarge(format!("{message} Changes may still have been saved."))
        }
        error => error,
    })
}

/// Returns the HTTP error for a document, or its response, that is too large.
fn refusal(error: Error) -> HttpError {
    match error {
        Error::DocumentTooLarge(message) => HttpError::bad_document("DOCUMENT_TOO_LARGE", message),
        Error::AnswerTooLarge(message) => HttpError::bad_document("ANSWER_TOO_LARGE", message),
        _ => HttpError::internal(),
    }
}

/// Logs an error that the caller did not cause, and returns the HTTP error for it.
fn failed(error: Error, caller: &Caller, what: &str) -> HttpError {
    if let Error::Unavailable(cause) = error {
        tracing::warn!(%cause, "the database cannot be reached");
        return HttpError::overloaded(1);
    }
    tracing::error!(?error, request_id = caller.request_id, "{what}");
    HttpError::internal()
}

/// Returns the response to a document of which nothing was executed.
fn refused(error: Error) -> Response {
    let error = async_graphql::Error::from(error).into_server_error(Pos::default());
    Response::from_errors(vec![ServerError { locations: Vec::new(), ..error }])
}
