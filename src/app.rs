//! The application behind the HTTP server: who is asking, and what resolvers need to answer.

use std::sync::Arc;

use async_graphql::{Request, Response};
use poem::Route;

use crate::access::{Asking, Viewer};
use crate::columns::Named;
use crate::context::{Client, Lifetime};
use crate::db::Db;
use crate::error::Error;
use crate::gather::gather;
use crate::loader::Links;
use crate::password::Hasher;
use crate::schema::{self, RosterSchema};
use crate::server::{Application, Caller, Refusal};
use crate::{playground, session};

/// A running directory; cheap to clone.
#[derive(Clone)]
pub struct App {
    db: Db,
    lifetime: Lifetime,
    schema: RosterSchema,
}

impl App {
    /// A directory over a database whose tables are up to date.
    #[must_use]
    pub fn new(db: Db, lifetime: Lifetime, hasher: Hasher) -> Self {
        let schema = schema::build().data(db.clone()).data(hasher).data(lifetime).finish();
        Self { db, lifetime, schema }
    }
}

impl Application for App {
    async fn answer(&self, caller: Caller, mut request: Request) -> Result<Response, Refusal> {
        let viewer = match caller.token {
            None => Viewer::Anonymous,
            Some(token) => match session::authenticate(&self.db, self.lifetime, &token).await {
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
            },
        };
        let asking = Arc::new(Asking::new(viewer));
        let client = Client { ip_address: Some(caller.address), user_agent: caller.user_agent };
        // What does not parse is refused before anything is read.
        let named = Arc::new(request.parsed_query().map(Named::in_document).unwrap_or_default());
        let (links, loads) = gather(Links::new(self.db.clone(), Arc::clone(&asking), Arc::clone(&named)));
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

    fn playground(&self, route: Route) -> Route {
        playground::add_to(route)
    }
}
