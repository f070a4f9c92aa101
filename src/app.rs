//! The application behind the HTTP server: who is asking, and what resolvers need to answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_graphql::{Name, Pos, Request, Response, ServerError, Value};
use poem::Route;

use crate::access::{Asking, Viewer};
use crate::columns::Named;
use crate::context::{Client, Rules};
use crate::db::Db;
use crate::error::Error;
use crate::gather::gather;
use crate::loader::Links;
use crate::page::Seal;
use crate::password::Hasher;
use crate::schema::{self, RosterSchema};
use crate::server::{Application, Caller, Refusal};
use crate::{page, pages, playground, session};

/// A running directory; cheap to clone.
#[derive(Clone)]
pub struct App {
    db: Db,
    rules: Rules,
    schema: RosterSchema,
}

impl App {
    /// A directory over a database whose tables are up to date.
    ///
    /// # Errors
    /// `Internal` where a field of the schema has no rule.
    pub fn new(db: Db, rules: Rules, hasher: Hasher) -> Result<Self, Error> {
        schema::check()?;
        let seal = Seal::new(hasher.key());
        let schema = schema::build().data(db.clone()).data(hasher).data(rules).data(seal).finish();
        Ok(Self { db, rules, schema })
    }
}

impl Application for App {
    async fn answer(&self, caller: Caller, mut request: Request) -> Result<Response, Refusal> {
        let viewer = match caller.token {
            None => Viewer::Anonymous,
            Some(token) => {
                match session::authenticate(&self.db, self.rules.lifetime, &token, Some(caller.request_id.clone()))
                    .await
                {
                    Ok(viewer) => Viewer::SignedIn(viewer),
                    Err(Error::Unauthenticated) => return Err(Refusal::unauthenticated()),
                    Err(Error::Unavailable(cause)) => {
                        tracing::warn!(%cause, "the database cannot be reached");
                        return Err(Refusal::overloaded(1));
                    }
                    Err(error) => {
                        tracing::error!(?error, request_id = caller.request_id, "a token could not be looked up");
                        return Err(Refusal::internal());
                    }
                }
            }
        };
        let asking = Arc::new(Asking::new(viewer));
        let client = Client {
            ip_address: Some(caller.address),
            user_agent: caller.user_agent,
            request_id: Some(caller.request_id),
        };
        // What does not parse is refused before anything is read.
        let given: BTreeSet<Name> = request.variables.keys().cloned().collect();
        let (named, absent) = match request.parsed_query() {
            Ok(document) if schema::has_many_credentials(document) => {
                let message = "login, activateAccount, changePassword, setPin: only one of them in a request.";
                return Ok(refused(Error::BadInput(message.to_owned())));
            }
            Ok(document) => (Arc::new(Named::in_document(document)), page::sizes_left_out(document, &given)),
            Err(_) => (Arc::default(), Vec::new()),
        };
        request.variables.extend(absent.into_iter().map(|name| (name, Value::Null)));
        let idle = self.rules.lifetime.idle;
        let (links, loads) = gather(Links::new(self.db.clone(), Arc::clone(&asking), Arc::clone(&named), idle));
        Ok(loads.run(self.schema.execute(request.data(asking).data(client).data(named).data(links))).await)
    }

    fn sdl(&self) -> String {
        self.schema.sdl()
    }

    async fn ready(&self) -> bool {
        match self.db.pending_migrations().await {
            Ok(pending) => pending == 0,
            Err(error) => {
                tracing::warn!(?error, "not ready");
                false
            }
        }
    }

    fn pages(&self, route: Route) -> Route {
        pages::add_to(route)
    }

    fn playground(&self, route: Route) -> Route {
        playground::add_to(route)
    }
}

/// The answer to a document of which nothing is run.
fn refused(error: Error) -> Response {
    let error = async_graphql::Error::from(error).into_server_error(Pos::default());
    Response::from_errors(vec![ServerError { locations: Vec::new(), ..error }])
}
