//! `roster serve`: serves the API until the process is stopped.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backup_schedule::Schedule;
use super::config::{Listen, Settings};
use super::key_watch::KeyWatch;
use super::open::{DATA_DIR, DEMO_DIR, WrongSetting, check_key, hasher_of};
use super::output::announce;
use super::port::{METRICS_LISTEN, Ports, listen_on};
use super::position_task::PositionTask;
use super::trace_task::TraceTask;
use super::{admin, server_url, waiting};
use crate::app::App;
use crate::audit::sealer::{self, SealerMetrics};
use crate::auth::password::Hasher;
use crate::auth::policy::SelfServicePolicy;
use crate::db::{self, Db};
use crate::http::BoundSocket;
use crate::mail::MailMetrics;
use crate::mail::worker::MailWorker;
use crate::metrics::{Metrics, Sources};
use crate::scalar::Id;
use crate::{http, license};

/// The maximum time that an email being sent may delay the shutdown; not longer than the last requests may.
const LAST_MAIL_TIMEOUT: Duration = Duration::from_secs(7);

/// The maximum time that sealing the events of the last requests may delay the shutdown. The next process seals the rest.
const LAST_SEAL_TIMEOUT: Duration = Duration::from_secs(1);

pub async fn serve(settings: &Settings) -> anyhow::Result<()> {
    check_key(settings, DATA_DIR)?;
    settings.check_standby(DATA_DIR).map_err(WrongSetting)?;
    let Ports { public, metrics, tls } = Ports::bind(settings).await?;
    let Some((db, public)) = waiting::open(settings, public, tls.as_ref()).await? else { return Ok(()) };
    let hasher = hasher_of(&db, settings, DATA_DIR).await?;
    if !admin::has_superuser(&db).await? {
        announce(
            settings.log_format,
            "There is no administrator yet. Create one with the same settings, now or before the next start:",
        );
        let flag = |name, path: Option<&PathBuf>| path.map(|path| format!(" --{name} {}", path.display()));
        let data_dir = settings.data_dir.as_ref().filter(|_| !settings.data_dir_is_in_file);
        let flags = [flag("config", settings.config.as_ref()), flag("data-dir", data_dir)];
        let flags: String = flags.into_iter().flatten().collect();
        let command = "admin create --email you@example.org --first-name Your --last-name Name";
        let has_license = !license::list(&db).await?.is_empty();
        let holder = if has_license { "" } else { " --holder \"Your organization\"" };
        announce(settings.log_format, format_args!("    roster{flags} {command}{holder}"));
    }
    run(settings, DATA_DIR, db, hasher, Ports { public, metrics, tls }).await
}

/// Serves the API until the process is stopped.
pub(super) async fn run(
    settings: &Settings,
    default_dir: &str,
    db: Db,
    hasher: Hasher,
    ports: Ports,
) -> anyhow::Result<()> {
    let listen = ports.public.listen(settings)?;
    let public_url = settings.public_url(&listen);
    let app = application(settings, &public_url, &db, &hasher).await?;
    let (mails, sealer) = (MailMetrics::default(), SealerMetrics::default());
    let mail_worker = mail_worker(settings, default_dir, &public_url, db.clone(), &hasher)?;
    let mail_worker = if ports.metrics.is_some() { mail_worker.measuring(mails.clone()) } else { mail_worker };
    let (listener, stopped) = ports.public.open(settings)?;
    server_url::record(settings, default_dir, &public_url);
    http::allow_descriptors(settings.max_connections as usize);
    let (traces, trace_task) = TraceTask::start(settings)?;
    let server_settings = http::ServerSettings { traces, ..settings.server_settings(&public_url, ports.tls) };
    let index = app.start_search_index(settings.search_index.file_in(&settings.data_dir(default_dir)));
    let (stop, stopping) = watch::channel(false);
    let (http, sign_ins, search_index) = (server_settings.metrics.clone(), app.sign_ins().clone(), index.clone());
    let (source, ring) = (settings.key_source(default_dir), hasher.key_ring().clone());
    let key_watch = KeyWatch::start(db.clone(), source, ring, stopping.clone());
    let schedule = Schedule::of(settings, default_dir)?;
    let (backups, sealer_metrics) = (schedule.as_ref().map(|schedule| schedule.metrics.clone()), sealer.clone());
    let sources = Sources { backups, db: db.clone(), hasher, http, mails, sealer, search_index, sign_ins };
    serve_metrics(settings, ports.metrics, sources, stopping.clone())?;
    let position_task = PositionTask::start(db.clone(), settings.data_dir(default_dir)).await;
    announce_start(settings, default_dir, &listen);
    let mail_task = tokio::spawn(mail_worker.run(stopping.clone()));
    let sealer_task = SealerTask::start(db.clone(), sealer_metrics);
    start_backups(schedule, stopping.clone());
    let server = http::serve(app, listener, server_settings, announce_stop(stopped, stop));
    tokio::try_join!(server, finish_mail(mail_task, stopping))?;
    tokio::join!(sealer_task.finish(), index.stop(), key_watch.finish(), trace_task.finish());
    position_task.finish().await;
    tokio::time::timeout(Duration::from_secs(2), db.close()).await.context("closing the database timed out")??;
    tracing::info!("stopped");
    Ok(())
}

/// Waits until the process is told to stop, and tells its tasks.
async fn announce_stop(stopped: impl Future<Output = ()> + Send, stop: watch::Sender<bool>) {
    stopped.await;
    tracing::info!("stopping");
    stop.send_replace(true);
}

/// Creates the application that serves the API.
async fn application(settings: &Settings, public_url: &str, db: &Db, hasher: &Hasher) -> anyhow::Result<App> {
    let registration = registration_license(settings, db).await?;
    let (next_urls, sign_in_url) = (settings.next_urls(public_url), settings.sign_in_url());
    let self_service = SelfServicePolicy { next_urls, sign_in_url, registration };
    let policy = settings.sign_in_policy();
    let app = App::new(db.clone(), policy, hasher.clone(), public_url.to_owned(), self_service)?;
    Ok(app.with_introspection(settings.documents.introspection()))
}

/// Starts to back up by the schedule, if there is one, until the server stops.
fn start_backups(schedule: Option<Schedule>, stopping: watch::Receiver<bool>) {
    if let Some(schedule) = schedule {
        tokio::spawn(schedule.run(stopping));
    }
}

/// Serves the metrics on a socket, if there is one, in a task of its own until the server stops.
fn serve_metrics(
    settings: &Settings,
    socket: Option<BoundSocket>,
    sources: Sources,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let (Some(socket), Some(listen)) = (socket, &settings.metrics_listen) else { return Ok(()) };
    let listener = listen_on(socket, listen, METRICS_LISTEN)?;
    let place = listener.local_addr().map_or_else(|| listen.to_string(), |address| Listen::from(address).url("http"));
    announce(settings.log_format, format_args!("Metrics are served on {place}/metrics"));
    let metrics = Metrics::new(sources);
    tokio::spawn(async move {
        let stopped = async {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        if let Err(error) = http::serve_metrics(listener, move || metrics.text(), stopped).await {
            tracing::error!(%error, "failed to serve the metrics");
        }
    });
    Ok(())
}

/// Says where the server listens, and writes the line of the log with which every run begins.
fn announce_start(settings: &Settings, default_dir: &str, listen: &Listen) {
    let url = settings.own_url(listen);
    let database = settings.database(default_dir).url;
    let database = db::without_password(&database);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %listen, database, "started");
    let playground = if settings.playground { format!(", playground on {url}/") } else { String::new() };
    let everywhere = if listen.is_unspecified() { ", on all addresses of this machine" } else { "" };
    if let Listen::Unix(_) = listen {
        announce(settings.log_format, format_args!("Roster listens on {listen}"));
    } else {
        announce(settings.log_format, format_args!("Roster listens on {url}/graphql{playground}{everywhere}"));
    }
    if settings.mail.smtp_url().is_none() {
        let dir = settings.mail_dir(default_dir);
        announce(
            settings.log_format,
            format_args!("No SMTP server configured: emails are written to {}.", dir.display()),
        );
    }
}

/// Waits for the email that is being sent when the server is stopped, while the last requests are finished.
async fn finish_mail(mut mail_task: JoinHandle<()>, mut stopping: watch::Receiver<bool>) -> std::io::Result<()> {
    let _ = stopping.wait_for(|stopping| *stopping).await;
    if tokio::time::timeout(LAST_MAIL_TIMEOUT, &mut mail_task).await.is_err() {
        tracing::warn!("an email was still being sent when the server stopped; it may be sent twice");
        mail_task.abort();
    }
    Ok(())
}

/// The sealer of the audit trail.
struct SealerTask {
    task: JoinHandle<()>,
    end: watch::Sender<bool>,
}

impl SealerTask {
    fn start(db: Db, metrics: SealerMetrics) -> Self {
        let (end, ended) = watch::channel(false);
        Self { task: tokio::spawn(sealer::run(db, metrics, ended)), end }
    }

    /// Seals the events of the last requests, after they were answered.
    async fn finish(mut self) {
        self.end.send_replace(true);
        if tokio::time::timeout(LAST_SEAL_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Creates the worker that sends emails.
fn mail_worker(
    settings: &Settings,
    default_dir: &str,
    public_url: &str,
    db: Db,
    hasher: &Hasher,
) -> anyhow::Result<MailWorker> {
    let sends_mail = settings.mail.smtp_url().is_some();
    let transport = settings.mail_transport(default_dir, public_url).map_err(WrongSetting)?;
    let mail_worker =
        MailWorker::new(db, hasher.key_ring().clone(), public_url, transport, settings.max_send_duration());
    // A demo that sends no emails writes the links to the log.
    Ok(if default_dir == DEMO_DIR && !sends_mail { mail_worker.logging_links() } else { mail_worker })
}

/// Returns the id of the license in which visitors may register themselves.
async fn registration_license(settings: &Settings, db: &Db) -> anyhow::Result<Option<Id>> {
    let Some(number) = &settings.registration else { return Ok(None) };
    let license = license::find(db, number).await?;
    let no_such_license =
        || WrongSetting(format!("--registration {number} (ROSTER_REGISTRATION): there is no such license"));
    Ok(Some(license.ok_or_else(no_such_license)?.id))
}
