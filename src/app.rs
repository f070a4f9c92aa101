//! The application behind the HTTP server: who is asking, and what resolvers need to answer.

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Name, Pos, Request, Response, ServerError, Value};
use poem::Route;

use crate::access::{Asking, Viewer};
use crate::avatar::{Store, Studio};
use crate::columns::Named;
use crate::context::{Client, Files, PublicUrl, Rules, Ways};
use crate::db::Db;
use crate::error::Error;
use crate::gather::gather;
use crate::loader::Links;
use crate::page::Seal;
use crate::password::Hasher;
use crate::scalar::Id;
use crate::schema::{self, RosterSchema};
use crate::server::{Application, Caller, Refusal};
use crate::{page, pages, playground, server, session, user};

/// A running directory; cheap to clone.
#[derive(Clone)]
pub struct App {
    db: Db,
    rules: Rules,
    schema: RosterSchema,
    shortest_password: usize,
}

impl App {
    /// A directory over a database whose tables are up to date, which people reach at its public address.
    ///
    /// # Errors
    /// `Internal` where a field of the schema has no rule.
    pub fn new(db: Db, rules: Rules, hasher: Hasher, public_url: String, ways: Ways) -> Result<Self, Error> {
        schema::check()?;
        let seal = Seal::new(hasher.key());
        let shortest_password = hasher.shortest();
        let schema = schema::build().data(db.clone()).data(hasher).data(rules).data(seal);
        let schema = schema.data(Studio::default()).data(ways).data(PublicUrl(public_url)).finish();
        Ok(Self { db, rules, schema, shortest_password })
    }

    /// Who is asking, read afresh with each request.
    async fn viewer(&self, caller: &Caller) -> Result<Viewer, Refusal> {
        let Some(token) = &caller.token else { return Ok(Viewer::Anonymous) };
        let request_id = Some(caller.request_id.clone());
        match session::authenticate(&self.db, self.rules.lifetime, token, request_id).await {
            Ok(viewer) => Ok(Viewer::SignedIn(viewer)),
            Err(Error::Unauthenticated) => Err(Refusal::unauthenticated()),
            Err(error) => Err(failed(error, caller, "a token could not be looked up")),
        }
    }

    /// Somebody who is signed in.
    async fn signed_in(&self, caller: &Caller) -> Result<Viewer, Refusal> {
        match self.viewer(caller).await? {
            Viewer::Anonymous => Err(Refusal::unauthenticated()),
            viewer @ Viewer::SignedIn(_) => Ok(viewer),
        }
    }
}

/// What is to be known of a document before it is run.
pub struct Reading {
    named: Arc<Named>,
    /// The variables for the size of a page that may be left out.
    sizes: Vec<Name>,
    has_many_credentials: bool,
}

impl Application for App {
    type Reading = Reading;

    fn read(&self, document: &ExecutableDocument) -> Reading {
        Reading {
            named: Arc::new(Named::in_document(document)),
            sizes: page::sizes_in(document),
            has_many_credentials: schema::has_many_credentials(document),
        }
    }

    async fn answer(&self, caller: Caller, mut request: Request, reading: &Reading) -> Result<Response, Refusal> {
        let viewer = self.viewer(&caller).await?;
        if reading.has_many_credentials {
            let message = format!("{}: only one of them in a request.", schema::CREDENTIALS.join(", "));
            return Ok(refused(Error::BadInput(message)));
        }
        let asking = Arc::new(Asking::new(viewer));
        let client = Client {
            ip_address: Some(caller.address),
            user_agent: caller.user_agent,
            language: caller.language,
            request_id: Some(caller.request_id),
        };
        for size in &reading.sizes {
            request.variables.entry(size.clone()).or_insert(Value::Null);
        }
        let named = Arc::clone(&reading.named);
        let files = Files::new(std::mem::take(&mut request.uploads));
        let idle = self.rules.lifetime.idle;
        let (links, loads) = gather(Links::new(self.db.clone(), Arc::clone(&asking), Arc::clone(&named), idle));
        let request = request.data(asking).data(client).data(named).data(links).data(files);
        Ok(loads.run(self.schema.execute(request)).await)
    }

    async fn admits_upload(&self, caller: &Caller) -> Result<(), Refusal> {
        self.signed_in(caller).await.map(|_| ())
    }

    async fn picture(
        &self,
        caller: Caller,
        id: &str,
        holds: impl Fn(&str) -> bool + Send,
    ) -> Result<server::Picture, Refusal> {
        let viewer = self.signed_in(&caller).await?;
        let internal = |error| failed(error, &caller, "a picture could not be read");
        let id = Id::parse(id).ok_or_else(Refusal::not_found)?;
        let hash = user::avatar::hash(&self.db, &viewer, id).await.map_err(internal)?.ok_or_else(Refusal::not_found)?;
        if holds(&hash) {
            return Ok(server::Picture { hash, content: None });
        }
        let found = Store::read(&self.db, id).await.map_err(internal)?.ok_or_else(Refusal::not_found)?;
        // Of the content itself: it may have been replaced between the two looks.
        Ok(server::Picture { hash: found.hash(), content: Some((found.content_type.name(), found.content)) })
    }

    fn sdl(&self) -> String {
        self.schema.sdl()
    }

    async fn ready(&self) -> bool {
        let is_ready =
            async { Ok::<_, Error>(self.db.pending_migrations().await? == 0 && self.db.is_writable().await?) };
        match is_ready.await {
            Ok(is_ready) => is_ready,
            Err(error) => {
                tracing::warn!(?error, "not ready");
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

/// The answer where it is not the caller's fault.
fn failed(error: Error, caller: &Caller, what: &str) -> Refusal {
    if let Error::Unavailable(cause) = error {
        tracing::warn!(%cause, "the database cannot be reached");
        return Refusal::overloaded(1);
    }
    tracing::error!(?error, request_id = caller.request_id, "{what}");
    Refusal::internal()
}

/// The answer to a document of which nothing is run.
fn refused(error: Error) -> Response {
    let error = async_graphql::Error::from(error).into_server_error(Pos::default());
    Response::from_errors(vec![ServerError { locations: Vec::new(), ..error }])
}
