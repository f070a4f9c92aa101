//! Waits for the database at the start of the server, and prepares it. Meanwhile, the server is live but not ready.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_graphql::Request;
use async_graphql::parser::types::ExecutableDocument;
use backon::{ExponentialBuilder, Retryable};
use poem::Route;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::bulk;
use super::config::Settings;
use super::open::{self, DATA_DIR, WrongSetting, setting_of_database};
use super::output::announce;
use super::port::Port;
use crate::db::{self, Db};
use crate::error::{Error, unavailability};
use crate::http::{
    self, Application, Avatar, Caller, Events, ExecutionResult, HttpError, PublishedSchema, Tls, TrustedDocument,
};
use crate::repeated::Repeated;
use crate::scalar::Id;
use crate::schema;
use crate::share::Requester;
use crate::web::pages::{self, PageSettings};
use crate::web::playground;

/// The pauses between two attempts to connect.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(Duration::from_secs(2))
    .with_jitter()
    .without_max_times();

/// The time that the preparation of the database may take before the server answers health checks.
const PATIENCE: Duration = Duration::from_secs(1);

/// The seconds after which clients should try again.
const RETRY_AFTER: u64 = 1;

/// Opens the database, with pending migrations applied and all indexes built. If that takes long, or PostgreSQL cannot be reached,
/// the server answers health checks meanwhile. Returns `None` if the process is told to stop then.
pub(super) async fn open(settings: &Settings, port: Port, tls: Option<&Tls>) -> anyhow::Result<Option<(Db, Port)>> {
    let is_unreachable = Notify::new();
    let mut prepared = pin!(prepare(settings, &is_unreachable));
    let reason = tokio::select! {
        db = &mut prepared => return Ok(Some((db?, port))),
        () = is_unreachable.notified() => "waits for its database",
        () = sleep(PATIENCE) => "prepares its database",
    };
    wait(settings, port, tls.cloned(), reason, prepared).await
}

/// Serves health checks until the database is prepared. Returns `None` if the process is told to stop.
async fn wait(
    settings: &Settings,
    port: Port,
    tls: Option<Tls>,
    reason: &str,
    prepared: impl Future<Output = anyhow::Result<Db>>,
) -> anyhow::Result<Option<(Db, Port)>> {
    let listen = port.listen(settings)?;
    let public_url = settings.public_url(&listen);
    // Checked before anyone can connect, as at any other start.
    settings.mail_transport(DATA_DIR, &public_url).map_err(WrongSetting)?;
    let (listener, mut stopped) = port.open(settings)?;
    let url = settings.own_url(&listen);
    let (end, ended) = oneshot::channel::<()>();
    let ended = async {
        let _ = ended.await;
    };
    let pages = PageSettings::new(settings.password_length.into(), settings.sign_in_url());
    let application = Waiting { pages };
    // Both servers accept from the same socket, one after the other, so that no connection is refused in between.
    let waiting_listener = listener.try_clone()?;
    let server_settings = settings.server_settings(&public_url, tls);
    let server = tokio::spawn(http::serve(application, waiting_listener, server_settings, ended));
    announce(
        settings.log_format,
        format_args!("Roster {reason}; it answers {url}/health/live and {url}/health/ready."),
    );
    let prepared = tokio::select! {
        prepared = prepared => Some(prepared),
        () = &mut stopped => None,
    };
    drop(end);
    server.await??;
    Ok(match prepared {
        Some(db) => Some((db?, Port::Open { listener, stopped })),
        None => None,
    })
}

/// Opens the database, applies pending migrations, and builds indexes that are missing. Waits for PostgreSQL as long as it cannot be
/// reached.
async fn prepare(settings: &Settings, is_unreachable: &Notify) -> anyhow::Result<Db> {
    let db = if db::is_postgres(&settings.database(DATA_DIR).url) {
        let migrated = async {
            let db = connect(settings, is_unreachable).await?;
            db.migrate().await.map(|()| db)
        };
        let db = migrated.await.map_err(anyhow::Error::from);
        db.with_context(|| setting_of_database(settings, DATA_DIR))?
    } else {
        open::open(settings, DATA_DIR).await?
    };
    bulk::recover(&db).await;
    Ok(db)
}

/// Connects to the database, and tries again as long as it cannot be reached, of which the waiting server is told.
async fn connect(settings: &Settings, is_unreachable: &Notify) -> Result<Db, Error> {
    let database = settings.database_with_standby(DATA_DIR);
    let setting = setting_of_database(settings, DATA_DIR);
    let failures = Repeated::new();
    let log = |error: &Error, _: Duration| {
        is_unreachable.notify_one();
        if let Error::Unavailable(cause) = error
            && let Some(times) = failures.count()
        {
            let reason = unavailability(&**cause);
            tracing::warn!(setting, %cause, times, "{reason}; the server tries again until it can");
        }
    };
    (|| Db::connect(&database)).retry(BACKOFF).when(db::is_unreachable).notify(log).await
}

/// The application until there is a database: it answers every request that needs one with 503.
#[derive(Clone)]
struct Waiting {
    pages: PageSettings,
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

    async fn authorize_document(&self, _: &Caller, _: &str, _: bool) -> Result<(), HttpError> {
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
        pages::add_to(route, &self.pages)
    }

    fn playground(&self, route: Route) -> Route {
        playground::add_to(route, false)
    }
}
