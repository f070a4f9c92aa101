//! `roster serve`: serves the API until the process is stopped.

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::{Listen, Settings};
use super::open::{DATA_DIR, DEMO_DIR, WrongSetting, check_key, hasher_of};
use super::port::Port;
use super::{admin, bulk, server_url, waiting};
use crate::app::App;
use crate::audit::sealer;
use crate::auth::password::Hasher;
use crate::auth::policy::SelfServicePolicy;
use crate::db::Db;
use crate::mail::worker::MailWorker;
use crate::scalar::Id;
use crate::{http, license};

/// The maximum time that an email being sent may delay the shutdown; not longer than the last requests may.
const LAST_MAIL_TIMEOUT: Duration = Duration::from_secs(7);

/// The maximum time that sealing the events of the last requests may delay the shutdown. The next process seals the rest.
const LAST_SEAL_TIMEOUT: Duration = Duration::from_secs(1);

pub async fn serve(settings: &Settings) -> anyhow::Result<()> {
    check_key(settings, DATA_DIR)?;
    let port = Port::bind(settings).await?;
    let Some((db, port)) = waiting::open(settings, port).await? else { return Ok(()) };
    let hasher = hasher_of(&db, settings, DATA_DIR).await?;
    bulk::recover(&db).await;
    if !admin::has_superuser(&db).await? {
        println!("There is no administrator yet. Create the first one, in another terminal or before the next start:");
        let dir = settings.data_dir.as_ref().map(|dir| format!(" --data-dir {}", dir.display())).unwrap_or_default();
        println!("    roster{dir} admin create --email you@example.org --first-name Your --last-name Name");
    }
    run(settings, DATA_DIR, db, hasher, port).await
}

/// Serves the API until the process is stopped.
pub(super) async fn run(
    settings: &Settings,
    default_dir: &str,
    db: Db,
    hasher: Hasher,
    port: Port,
) -> anyhow::Result<()> {
    let listen = port.listen(settings)?;
    let public_url = settings.public_url(&listen);
    let registration = registration_license(settings, &db).await?;
    let self_service = SelfServicePolicy { next_urls: settings.next_urls(&public_url), registration };
    let mail_worker = mail_worker(settings, default_dir, &public_url, db.clone(), &hasher)?;
    let (listener, stopped) = port.open(settings)?;
    server_url::record(settings, default_dir, &public_url);
    http::allow_descriptors(settings.max_connections as usize);
    announce(settings, &listen);
    if settings.mail.smtp_url().is_none() {
        println!("No SMTP server configured: emails are written to {}.", settings.mail_dir(default_dir).display());
    }
    let server_settings = settings.server_settings(&public_url);
    let app = App::new(db.clone(), settings.sign_in_policy(), hasher, public_url, self_service)?
        .with_introspection(settings.documents.introspection());
    let (stop, stopping) = watch::channel(false);
    let mail_task = tokio::spawn(mail_worker.run(stopping.clone()));
    let sealer_task = SealerTask::start(db.clone());
    let stopped = async move {
        stopped.await;
        stop.send_replace(true);
    };
    let server = http::serve(app, listener, server_settings, stopped);
    tokio::try_join!(server, finish_mail(mail_task, stopping))?;
    sealer_task.finish().await;
    tokio::time::timeout(Duration::from_secs(2), db.close()).await.context("closing the database timed out")??;
    Ok(())
}

/// Prints where the server listens.
fn announce(settings: &Settings, listen: &Listen) {
    if let Listen::Unix(_) = listen {
        return println!("Roster listens on {listen}");
    }
    println!(
        "Roster listens on {url}/graphql{playground}{everywhere}",
        url = listen.url(),
        playground = if settings.playground { format!(", playground on {}/", listen.url()) } else { String::new() },
        everywhere = if listen.is_unspecified() { ", on all addresses of this machine" } else { "" },
    );
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
    fn start(db: Db) -> Self {
        let (end, ended) = watch::channel(false);
        Self { task: tokio::spawn(sealer::run(db, ended)), end }
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
    let mail_worker = MailWorker::new(db, hasher.key(), public_url, transport, settings.max_send_duration());
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
