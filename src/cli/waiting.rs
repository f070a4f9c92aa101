//! Waits for the database at the start of the server. Meanwhile, the server is live but not ready.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_graphql::Request;
use async_graphql::parser::types::ExecutableDocument;
use backon::{ExponentialBuilder, Retryable};
use poem::Route;
use tokio::sync::oneshot;

use super::config::Settings;
use super::open::{self, DATA_DIR, WrongSetting, setting_of_database};
use super::output::announce;
use super::port::Port;
use crate::db::{self, Db};
use crate::error::Error;
use crate::http::{
    self, Application, Avatar, Caller, Events, ExecutionResult, HttpError, PublishedSchema, TrustedDocument,
};
use crate::repeated::Repeated;
use crate::scalar::Id;
use crate::schema;
use crate::share::Requester;
use crate::web::{pages, playground};

/// The pauses between two attempts to connect.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(Duration::from_secs(2))
    .with_jitter()
    .without_max_times();

/// The seconds after which clients should try again.
const RETRY_AFTER: u64 = 1;

/// Opens the database, with pending migrations applied. As long as PostgreSQL cannot be reached, the server waits for it, with its
/// port open. Returns `None` if the process is told to stop meanwhile.
pub(super) async fn open(settings: &Settings, port: Port) -> anyhow::Result<Option<(Db, Port)>> {
    let database = settings.database(DATA_DIR);
    if !db::is_postgres(&database.url) {
        return Ok(Some((open::open(settings, DATA_DIR).await?, port)));
    }
    let (connected, port) = match Db::connect(&database).await {
        Err(error) if db::is_unreachable(&error) => match wait(settings, port).await? {
            Some(waited) => waited,
            None => return Ok(None),
        },
        connected => (connected, port),
    };
    let migrated = async {
        let db = connected?;
        db.migrate().await.map(|()| db)
    };
    let db = migrated.await.map_err(anyhow::Error::from);
    Ok(Some((db.with_context(|| setting_of_database(settings, DATA_DIR))?, port)))
}

/// Connects as soon as the database can be reached, and serves health checks until then. Returns `None` if the process is told to
/// stop.
async fn wait(settings: &Settings, port: Port) -> anyhow::Result<Option<(Result<Db, Error>, Port)>> {
    let listen = port.listen(settings)?;
    let public_url = settings.public_url(&listen);
    // Checked before anyone can connect, as at any other start.
    settings.mail_transport(DATA_DIR, &public_url).map_err(WrongSetting)?;
    let (listener, mut stopped) = port.open(settings)?;
    let url = listen.url();
    let (end, ended) = oneshot::channel::<()>();
    let ended = async {
        let _ = ended.await;
    };
    let application = Waiting { min_password_length: settings.password_length.into() };
    // Both servers accept from the same socket, one after the other, so that no connection is refused in between.
    let waiting_listener = listener.try_clone()?;
    let server = tokio::spawn(http::serve(application, waiting_listener, settings.server_settings(&public_url), ended));
    announce(
        settings.log_format,
        format_args!("Roster waits for its database; it answers {url}/health/live and {url}/health/ready."),
    );
    let connected = tokio::select! {
        connected = connect(settings) => Some(connected),
        () = &mut stopped => None,
    };
    drop(end);
    server.await??;
    Ok(connected.map(|connected| (connected, Port::Open { listener, stopped })))
}

/// Connects to the database, and tries again as long as it cannot be reached.
async fn connect(settings: &Settings) -> Result<Db, Error> {
    let database = settings.database(DATA_DIR);
    let setting = setting_of_database(settings, DATA_DIR);
    let failures = Repeated::new();
    let log = |error: &Error, _: Duration| {
        if let Error::Unavailable(cause) = error
            && let Some(times) = failures.count()
        {
            tracing::warn!(setting, %cause, times, "the database cannot be reached; the server tries again until it can");
        }
    };
    (|| Db::connect(&database)).retry(BACKOFF).when(db::is_unreachable).notify(log).await
}

/// The application until there is a database: it answers every request that needs one with 503.
#[derive(Clone)]
struct Waiting {
    min_password_length: usize,
}

impl Application for Waiting {
    type DocumentInfo = ();

    fn analyze(&self, _: &ExecutableDocument) {}

    async fn execute(&self, _: Caller, _: Request, (): &()) -> Result<ExecutionResult, HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    async fn subscribe(&self, _: Caller, _: Request, (): &(), _: Option<String>) -> Result<Events, HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    async fn requester(&self, _: &Caller) -> Result<Requester, HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    async fn authorize_upload(&self, _: &Caller) -> Result<Id, HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    async fn trusted_document(&self, _: &str) -> Result<Option<Arc<TrustedDocument>>, HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    async fn authorize_document(&self, _: &Caller, _: &str) -> Result<(), HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    async fn published_schema(&self, _: Caller) -> Result<&'static PublishedSchema, HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    async fn avatar(&self, _: Caller, _: &str, _: &str, _: impl Fn(&str) -> bool + Send) -> Result<Avatar, HttpError> {
        Err(HttpError::overloaded(RETRY_AFTER))
    }

    fn sdl(&self) -> String {
        schema::sdl()
    }

    async fn is_ready(&self) -> bool {
        false
    }

    fn pages(&self, route: Route) -> Route {
        pages::add_to(route, self.min_password_length)
    }

    fn playground(&self, route: Route) -> Route {
        playground::add_to(route)
    }
}
