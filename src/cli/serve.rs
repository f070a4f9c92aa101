//! `roster serve`: serves the API until the process is stopped.

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::{Listen, Settings};
use super::open::{DATA_DIR, DEMO_DIR, WrongSetting, check_key, open_with_key};
use super::{bulk, server_url};
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
    let socket = bind(settings).await?;
    let (db, hasher) = open_with_key(settings, DATA_DIR).await?;
    bulk::recover(&db).await;
    if !admin::has_superuser(&db).await? {
        println!("There is no administrator yet. Create the first one, in another terminal or before the next start:");
        let dir = settings.data_dir.as_ref().map(|dir| format!(" --data-dir {}", dir.display())).unwrap_or_default();
        println!("    roster{dir} admin create --email you@example.org --first-name Your --last-name Name");
    }
    run(settings, DATA_DIR, db, hasher, socket).await
}

/// Binds the port. Nobody can connect to it until everything else has been checked.
pub(super) async fn bind(settings: &Settings) -> anyhow::Result<TcpSocket> {
    check_public_url(settings)?;
    let setting = || format!("--listen {} (ROSTER_LISTEN)", settings.listen);
    let addresses = settings.listen.resolve().await.map_err(|error| WrongSetting(format!("{}: {error}", setting())))?;
    let mut last_error = None;
    for address in addresses {
        match http::bind(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = Some(error),
        }
    }
    let no_address = || std::io::Error::other("the host name has no address");
    Err(last_error.unwrap_or_else(no_address)).with_context(setting)
}

/// Requires a public URL if emails are sent and the server listens on all addresses: the links in emails need an address that
/// their recipients can reach.
fn check_public_url(settings: &Settings) -> Result<(), WrongSetting> {
    if settings.mail.smtp_url().is_some() && settings.public_url.is_none() && settings.listen.is_unspecified() {
        let reason = "--public-url (ROSTER_PUBLIC_URL): required with --smtp-url if the server listens on all addresses, for the links in emails";
        return Err(WrongSetting(reason.to_owned()));
    }
    Ok(())
}

/// Serves the API until the process is stopped.
pub(super) async fn run(
    settings: &Settings,
    default_dir: &str,
    db: Db,
    hasher: Hasher,
    socket: TcpSocket,
) -> anyhow::Result<()> {
    let listen = Listen::from(socket.local_addr()?);
    let public_url = settings.public_url(&listen);
    let registration = registration_license(settings, &db).await?;
    let self_service = SelfServicePolicy { next_urls: settings.next_urls(&public_url), registration };
    let mail_worker = mail_worker(settings, default_dir, &public_url, db.clone(), &hasher)?;
    // Registered before anyone can know that the server is there and stop it.
    let stopped = http::stop_signal()?;
    let listener = http::listen(socket).with_context(|| format!("--listen {} (ROSTER_LISTEN)", settings.listen))?;
    server_url::record(settings, default_dir, &public_url);
    http::allow_descriptors(settings.max_connections as usize);
    println!(
        "Roster listens on {url}/graphql{playground}{everywhere}",
        url = listen.url(),
        playground = if settings.playground { format!(", playground on {}/", listen.url()) } else { String::new() },
        everywhere = if listen.is_unspecified() { ", on all addresses of this machine" } else { "" },
    );
    if settings.mail.smtp_url().is_none() {
        println!("No SMTP server configured: emails are written to {}.", settings.mail_dir(default_dir).display());
    }
    let app = App::new(db.clone(), settings.sign_in_policy(), hasher, public_url, self_service)?;
    let (stop, stopping) = watch::channel(false);
    let mail_task = tokio::spawn(mail_worker.run(stopping.clone()));
    let sealer_task = SealerTask::start(db.clone());
    let stopped = async move {
        stopped.await;
        stop.send_replace(true);
    };
    let server = http::serve(app, listener, settings.server_settings(), stopped);
    tokio::try_join!(server, finish_mail(mail_task, stopping))?;
    sealer_task.finish().await;
    tokio::time::timeout(Duration::from_secs(2), db.close()).await.context("closing the database timed out")??;
    Ok(())
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
