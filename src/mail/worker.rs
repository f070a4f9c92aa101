//! Sends queued emails. Any number of instances may run: each claims an email before sending it, and until the time that sending
//! may take is over, no other instance sends it. An email is sent twice only if the server dies between handing it over and
//! recording that, or if the database is unavailable for as long.

mod outcome;
mod queue;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Statement,
};
use tokio::sync::watch;

use super::SendError;
use super::metrics::{MailMetrics, MailOutcome};
use super::prepare::{Link, MailPreparer, PreparedMail};
use super::template::{self, EmailTemplate};
use super::transport::{Outgoing, Transport};
use crate::auth::key_ring::KeyRing;
use crate::auth::{one_time_link, token};
use crate::db::Db;
use crate::entity::license::UNKNOWN_HOLDER;
use crate::entity::{mail, registration};
use crate::error::Error;
use crate::repeated::Repeated;
use crate::scalar::{Id, now};
use crate::text;

/// The number of senders; each sends one email at a time.
const SENDERS: usize = 2;
/// The interval at which the queue is polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which expired registrations are deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_hours(1);
/// Failures of the queue because the database cannot be reached.
static UNAVAILABLE: Repeated = Repeated::new();
/// The time after the longest time of sending an email before another sender may claim it.
const CLAIM_MARGIN: TimeDelta = TimeDelta::seconds(30);

/// Claims the email that has been waiting longest. The condition is repeated, because two senders may find the same email.
const CLAIM: &str = "\
UPDATE mails SET next_try_at = $2, tries = tries + 1
WHERE id = (SELECT id FROM mails WHERE next_try_at <= $1 ORDER BY next_try_at, id LIMIT 1) AND next_try_at <= $1
RETURNING id, kind, user_id, address, language, seed, request_id, created_at, next_try_at, tries";
/// The same for databases with row locks: skips emails that other senders are claiming.
const CLAIM_SKIP_LOCKED: &str = "\
UPDATE mails SET next_try_at = $2, tries = tries + 1
WHERE id = (SELECT id FROM mails WHERE next_try_at <= $1 ORDER BY next_try_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, kind, user_id, address, language, seed, request_id, created_at, next_try_at, tries";

/// Sends queued emails; cheap to clone.
#[derive(Clone)]
pub struct MailWorker {
    db: Db,
    keys: KeyRing,
    public_url: Arc<str>,
    transport: Transport,
    /// The longest time that sending one email may take.
    max_send_duration: TimeDelta,
    /// Whether links are written to the log: in a demo that sends no emails.
    logs_links: bool,
    metrics: MailMetrics,
    /// Whether the length of the queue is measured.
    measures_queue: bool,
}

impl MailWorker {
    /// Creates a worker. The links in its emails begin with `public_url`; `max_send_duration` is the longest time that `transport`
    /// needs for one email.
    #[must_use]
    pub fn new(db: Db, keys: KeyRing, public_url: &str, transport: Transport, max_send_duration: TimeDelta) -> Self {
        let (public_url, metrics) = (public_url.into(), MailMetrics::default());
        Self { db, keys, public_url, transport, max_send_duration, logs_links: false, metrics, measures_queue: false }
    }

    /// Also counts in these metrics, and measures the queue.
    #[must_use]
    pub fn measuring(self, metrics: MailMetrics) -> Self {
        Self { metrics, measures_queue: true, ..self }
    }

    /// Also writes links to the log.
    #[must_use]
    pub fn logging_links(self) -> Self {
        Self { logs_links: true, ..self }
    }

    /// Sends queued emails until `stopped`; an email that is being sent then is finished.
    pub async fn run(self, stopped: watch::Receiver<bool>) {
        let senders = (0..SENDERS).map(|_| self.supervise_sender(stopped.clone()));
        let (deleted, measured) =
            (self.delete_expired_registrations(stopped.clone()), self.measure_queue(stopped.clone()));
        tokio::join!(join_all(senders), deleted, measured);
    }

    /// Runs a sender until `stopped`, and starts another one if it panics.
    async fn supervise_sender(&self, stopped: watch::Receiver<bool>) {
        loop {
            let (sender, stopped) = (self.clone(), stopped.clone());
            match tokio::spawn(async move { sender.send_until_stopped(stopped).await }).await {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "a mail sender failed; starting another one"),
            }
        }
    }

    async fn send_until_stopped(&self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            match self.send_next().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(Error::Unavailable(cause)) => {
                    if let Some(times) = UNAVAILABLE.count() {
                        tracing::warn!(%cause, times, "failed to send emails");
                    }
                }
                Err(error) => tracing::error!(error = error.for_log(), "failed to send emails"),
            }
            let _ = tokio::time::timeout(POLL_INTERVAL, stopped.wait_for(|stopped| *stopped)).await;
        }
    }

    async fn delete_expired_registrations(&self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let has_expired = registration::Column::ExpiresAt.lte(now());
            if let Err(error) = registration::Entity::delete_many().filter(has_expired).exec(self.db.write()).await {
                tracing::warn!(%error, "failed to delete expired registrations");
            }
            let _ = tokio::time::timeout(CLEANUP_INTERVAL, stopped.wait_for(|stopped| *stopped)).await;
        }
    }

    /// Sends all emails that are due.
    pub async fn send_all(&self) -> Result<(), Error> {
        while self.send_next().await? {}
        Ok(())
    }

    /// Sends one email, or records why it could not be sent. Returns false if none is due.
    async fn send_next(&self) -> Result<bool, Error> {
        let Some(mail) = self.claim().await? else { return Ok(false) };
        match self.prepare(&mail).await {
            Ok(Some(outgoing)) => match self.send(&outgoing).await {
                Ok(()) => {
                    self.metrics.count(MailOutcome::Sent);
                    self.record_sent(&outgoing.mail).await?;
                }
                Err(error) => self.fail(&outgoing.mail, error).await?,
            },
            Ok(None) => {
                self.metrics.count(MailOutcome::Discarded);
                mail::Entity::delete_by_id(mail.id).exec(self.db.write()).await?;
            }
            Err(error @ Error::Unavailable(_)) => {
                self.release(&mail).await;
                return Err(error);
            }
            Err(error) => {
                tracing::error!(error = error.for_log(), mail = %mail.id.0, "failed to prepare an email");
                self.fail(&mail, SendError::temporary("the email could not be prepared")).await?;
            }
        }
        Ok(true)
    }

    /// Prepares an email from what is committed; `None` if it is no longer needed.
    async fn prepare(&self, mail: &mail::Model) -> Result<Option<PreparedMail>, Error> {
        let db = self.db.for_work();
        let prepared = MailPreparer { db: &db, keys: &self.keys.keys() }.prepare(mail.clone()).await;
        // An email that is not needed because of a change that is lost is still needed.
        db.settle().await?;
        prepared
    }

    /// Records that an email could not be sent.
    async fn fail(&self, mail: &mail::Model, error: SendError) -> Result<(), Error> {
        let recorded = self.record_failure(mail, error).await;
        if recorded.is_err() {
            self.release(mail).await;
        }
        recorded
    }

    /// Ends the claim of an email that was not sent, as far as the database can be reached: its claim lasts as long as sending may.
    async fn release(&self, mail: &mail::Model) {
        let released = mail::Entity::update_many()
            .col_expr(mail::Column::NextTryAt, Expr::value(now()))
            .filter(mail::Column::Id.eq(mail.id))
            .filter(mail::Column::NextTryAt.eq(mail.next_try_at));
        if let Err(error) = released.exec(self.db.write()).await {
            tracing::debug!(%error, mail = %mail.id.0, "failed to end the claim of an email");
        }
    }

    async fn claim(&self) -> Result<Option<mail::Model>, Error> {
        let now = now();
        // Checked first, because claiming takes the write lock.
        let due = mail::Entity::find().select_only().column(mail::Column::Id);
        let due = due.filter(mail::Column::NextTryAt.lte(now)).limit(1);
        if due.into_tuple::<Id>().one(self.db.read()).await?.is_none() {
            return Ok(None);
        }
        let backend = self.db.write().get_database_backend();
        let claim = if backend == DatabaseBackend::Postgres { CLAIM_SKIP_LOCKED } else { CLAIM };
        let claimed_until = now + self.max_send_duration + CLAIM_MARGIN;
        let claim = Statement::from_sql_and_values(backend, claim, [now.into(), claimed_until.into()]);
        Ok(mail::Model::find_by_statement(claim).one(self.db.write()).await?)
    }

    /// Returns the name of an organisation; the host of the server if it has no name yet.
    fn named<'a>(&'a self, organisation: &'a str) -> Cow<'a, str> {
        if organisation != UNKNOWN_HOLDER {
            return organisation.into();
        }
        let host = url::Url::parse(&self.public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.map_or_else(|| (&*self.public_url).into(), Cow::from)
    }

    async fn send(&self, prepared: &PreparedMail) -> Result<(), SendError> {
        let PreparedMail { mail, name, organisation, language, link } = prepared;
        let organisation = self.named(organisation);
        let url_of = |link: &Link| one_time_link::url(&self.public_url, link.purpose, Some(*language), &link.token);
        let url = link.as_ref().map(url_of);
        let link = link.as_ref().zip(url.as_deref());
        let link = link.map(|(link, url)| template::Link { url, lifetime: link.purpose.lives() });
        let template = EmailTemplate {
            kind: mail.kind,
            language: *language,
            name: name.as_deref(),
            organisation: &organisation,
            link,
        };
        let rendered = template.render().map_err(|error| {
            tracing::error!(error = error.for_log(), "failed to render an email");
            SendError::temporary("the email could not be rendered")
        })?;
        let outgoing = Outgoing {
            id: mail.id,
            to: &mail.address,
            subject: &rendered.subject,
            text: &rendered.text,
            html: &rendered.html,
            language: *language,
            written_at: mail.created_at,
        };
        // A server may quote the email, with the link, in its response.
        let sent = self.transport.send(&outgoing).await;
        sent.map_err(|error| SendError { reason: token::masked(&error.reason), ..error })?;
        if self.logs_links {
            let kind = text::camel(&format!("{:?}", mail.kind));
            tracing::info!(to = mail.address, link = url, "email: {kind}");
        }
        Ok(())
    }
}
