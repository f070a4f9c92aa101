//! Sends queued emails. Any number of instances may run: each claims an email before sending it, and until the time that sending
//! may take is over, no other instance sends it. An email is sent twice only if the server dies between handing it over and
//! recording that, or if the database is unavailable for as long.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, FromQueryResult,
    JoinType, QueryFilter, QuerySelect, RelationTrait, Statement,
};
use tokio::sync::watch;

use super::SendError;
use super::prepare::{Prepared, Preparing};
use super::template::{self, EmailTemplate};
use super::transport::{Outgoing, Transport};
use crate::audit::{self, Change, Entry};
use crate::auth::one_time_link as links;
use crate::auth::server_key::Key;
use crate::auth::token;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::{invitation, license, mail, registration, user};
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::text;

/// The number of emails that are sent at once.
const AT_ONCE: usize = 2;
/// The interval at which the queue is polled.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// The interval at which expired registrations are deleted.
const CLEARS_EVERY: Duration = Duration::from_hours(1);
/// The time after the longest time of sending an email before another sender may claim it.
const SPARE: TimeDelta = TimeDelta::seconds(30);
/// The delay after the first failed attempt; it doubles with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(2);
/// The maximum delay.
const MAX_PAUSE: TimeDelta = TimeDelta::minutes(15);
/// The least time and the least number of attempts after which an email is given up if the server neither accepts nor finally
/// rejects it.
const PATIENCE: TimeDelta = TimeDelta::days(1);
const FEWEST_TRIES: i32 = 10;

/// Claims the email that has been waiting longest. The condition is repeated, because two senders may find the same email.
const CLAIM: &str = "\
UPDATE mails SET next_try_at = $2, tries = tries + 1
WHERE id = (SELECT id FROM mails WHERE next_try_at <= $1 ORDER BY next_try_at, id LIMIT 1) AND next_try_at <= $1
RETURNING *";
/// The same for databases with row locks: skips emails that other senders are claiming.
const CLAIM_SKIP_LOCKED: &str = "\
UPDATE mails SET next_try_at = $2, tries = tries + 1
WHERE id = (SELECT id FROM mails WHERE next_try_at <= $1 ORDER BY next_try_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *";

/// Sends queued emails; cheap to clone.
#[derive(Clone)]
pub struct MailWorker {
    db: Db,
    key: Arc<Key>,
    public_url: Arc<str>,
    carrier: Transport,
    /// The longest time that sending one email may take.
    takes: TimeDelta,
    /// Whether links are written to the log: in a demo that sends no emails.
    shows_links: bool,
}

impl MailWorker {
    /// Creates a worker. The links in its emails begin with `public_url`; `takes` is the longest time that `carrier` needs for
    /// one email.
    #[must_use]
    pub fn new(db: Db, key: &Key, public_url: &str, carrier: Transport, takes: TimeDelta) -> Self {
        Self { db, key: Arc::new(key.clone()), public_url: public_url.into(), carrier, takes, shows_links: false }
    }

    /// Also writes links to the log.
    #[must_use]
    pub fn showing_links(self) -> Self {
        Self { shows_links: true, ..self }
    }

    /// Sends queued emails until `stopped`; an email that is being sent then is finished.
    pub async fn run(self, stopped: watch::Receiver<bool>) {
        let senders = (0..AT_ONCE).map(|_| self.keep_sending(stopped.clone()));
        tokio::join!(join_all(senders), self.clear_on(stopped.clone()));
    }

    /// Keeps sending, even if sending an email panics.
    async fn keep_sending(&self, stopped: watch::Receiver<bool>) {
        loop {
            let (sender, stopped) = (self.clone(), stopped.clone());
            match tokio::spawn(async move { sender.send_on(stopped).await }).await {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "a mail sender failed; starting another one"),
            }
        }
    }

    async fn send_on(&self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            match self.send_next().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(Error::Unavailable(cause)) => tracing::warn!(%cause, "failed to send emails"),
                Err(error) => tracing::error!(?error, "failed to send emails"),
            }
            let _ = tokio::time::timeout(LOOKS_EVERY, stopped.wait_for(|stopped| *stopped)).await;
        }
    }

    async fn clear_on(&self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let over = registration::Column::ExpiresAt.lte(now());
            if let Err(error) = registration::Entity::delete_many().filter(over).exec(self.db.write()).await {
                tracing::warn!(?error, "failed to delete expired registrations");
            }
            let _ = tokio::time::timeout(CLEARS_EVERY, stopped.wait_for(|stopped| *stopped)).await;
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
        let preparing = Preparing { db: &self.db, key: &self.key };
        match preparing.prepare(mail.clone()).await {
            Ok(Some(prepared)) => match self.send(&prepared).await {
                Ok(()) => self.note_sent(&prepared.mail).await?,
                Err(error) => self.note_failure(&prepared.mail, error).await?,
            },
            Ok(None) => {
                mail::Entity::delete_by_id(mail.id).exec(self.db.write()).await?;
            }
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(error) => {
                tracing::error!(?error, mail = %mail.id.0, "failed to prepare an email");
                self.note_failure(&mail, SendError::passing("the email could not be prepared")).await?;
            }
        }
        Ok(true)
    }

    async fn claim(&self) -> Result<Option<mail::Model>, Error> {
        let now = now();
        // Checked first, because claiming takes the write lock.
        let waits = mail::Entity::find().select_only().column(mail::Column::Id);
        let waits = waits.filter(mail::Column::NextTryAt.lte(now)).limit(1);
        if waits.into_tuple::<Id>().one(self.db.read()).await?.is_none() {
            return Ok(None);
        }
        let backend = self.db.write().get_database_backend();
        let claim = if backend == DatabaseBackend::Postgres { CLAIM_SKIP_LOCKED } else { CLAIM };
        let until = now + self.takes + SPARE;
        let claim = Statement::from_sql_and_values(backend, claim, [now.into(), until.into()]);
        Ok(mail::Model::find_by_statement(claim).one(self.db.write()).await?)
    }

    async fn send(&self, prepared: &Prepared) -> Result<(), SendError> {
        let Prepared { mail, name, organisation, language, link } = prepared;
        let url = link.as_ref().map(|link| links::url(&self.public_url, link.purpose, Some(*language), &link.token));
        let link =
            link.as_ref().zip(url.as_deref()).map(|(link, url)| template::Link { url, lives: link.purpose.lives() });
        let letter = EmailTemplate { kind: mail.kind, language: *language, name: name.as_deref(), organisation, link };
        let written = letter.write().map_err(|error| {
            tracing::error!(?error, "failed to render an email");
            SendError::passing("the email could not be rendered")
        })?;
        let outgoing = Outgoing {
            id: mail.id,
            to: &mail.address,
            subject: &written.subject,
            text: &written.text,
            html: &written.html,
            language: *language,
            written_at: mail.created_at,
        };
        // A server may quote the email, with the link, in its response.
        let carried = self.carrier.send(&outgoing).await;
        carried.map_err(|error| SendError { reason: token::masked(&error.reason), ..error })?;
        if self.shows_links {
            let kind = text::camel(&format!("{:?}", mail.kind));
            tracing::info!(to = mail.address, link = url, "email: {kind}");
        }
        Ok(())
    }

    /// Begins a transaction that records the result of an email. The user is locked first, in the same order as when a user is
    /// erased.
    #[expect(clippy::disallowed_methods, reason = "the mail worker has no actor")]
    async fn begin_for(&self, mail: &mail::Model) -> Result<DatabaseTransaction, Error> {
        let transaction = self.db.begin().await?;
        if let Some(user_id) = mail.user_id {
            let person = user::Entity::find_by_id(user_id).select_only().column(user::Column::Id);
            person.lock_exclusive().into_tuple::<Id>().one(&transaction).await?;
        }
        Ok(transaction)
    }

    /// Records that an email was sent, and retries until another sender may claim the email.
    async fn note_sent(&self, mail: &mail::Model) -> Result<(), Error> {
        loop {
            match self.try_to_note_sent(mail).await {
                Err(error) if now() < mail.next_try_at => {
                    tracing::warn!(mail = %mail.id.0, ?error, "failed to record that an email was sent; retrying");
                    tokio::time::sleep(LOOKS_EVERY).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_to_note_sent(&self, mail: &mail::Model) -> Result<(), Error> {
        let transaction = self.begin_for(mail).await?;
        mail::Entity::delete_by_id(mail.id).exec(&transaction).await?;
        let sent = [
            (invitation::Column::SentAt, Expr::value(Some(now()))),
            (invitation::Column::LastError, Expr::value(None::<String>)),
        ];
        note(&transaction, mail, sent).await?;
        audit::commit(transaction, None).await
    }

    async fn note_failure(&self, mail: &mail::Model, error: SendError) -> Result<(), Error> {
        let SendError { reason, is_permanent } = error;
        let is_over = is_permanent || mail.created_at + PATIENCE <= now() && mail.tries >= FEWEST_TRIES;
        tracing::warn!(mail = %mail.id.0, tries = mail.tries, gave_up = is_over, reason, "failed to send an email");
        let transaction = self.begin_for(mail).await?;
        let failed_at = is_over.then(now);
        let failure = [
            (invitation::Column::FailedAt, Expr::value(failed_at)),
            (invitation::Column::LastError, Expr::value(Some(reason.clone()))),
        ];
        note(&transaction, mail, failure).await?;
        let event = if is_over {
            given_up(&transaction, mail, reason).await?
        } else {
            mail::Entity::update_many()
                .col_expr(mail::Column::NextTryAt, Expr::value(next_try(mail.tries)))
                .filter(mail::Column::Id.eq(mail.id))
                .exec(&transaction)
                .await?;
            None
        };
        audit::commit(transaction, event).await
    }
}

/// Updates the invitation that an email belongs to, if it is the user's newest.
async fn note<const N: usize>(
    transaction: &DatabaseTransaction,
    mail: &mail::Model,
    values: [(invitation::Column, Expr); N],
) -> Result<(), Error> {
    let Some(user_id) = mail.user_id else { return Ok(()) };
    let change = values
        .into_iter()
        .fold(invitation::Entity::update_many(), |change, (column, value)| change.col_expr(column, value));
    let newest = change.filter(invitation::Column::UserId.eq(user_id)).filter(invitation::Column::MailId.eq(mail.id));
    newest.exec(transaction).await?;
    Ok(())
}

/// Gives up an email and returns its audit event; `None` if another sender was first.
async fn given_up(
    transaction: &DatabaseTransaction,
    mail: &mail::Model,
    reason: String,
) -> Result<Option<Entry>, Error> {
    if mail::Entity::delete_by_id(mail.id).exec(transaction).await?.rows_affected == 0 {
        return Ok(None);
    }
    let event = if let Some(user_id) = mail.user_id {
        let person = user::Entity::find_by_id(user_id).one(transaction).await?;
        // Servers name addresses in their reasons. The event belongs to the user, so these are deleted when the user is erased.
        let reason = Change::of("reason", None, Some(reason.into()));
        person.map(|person| Entry::new(AuditAction::MailFailed, &person).with([reason]))
    } else {
        // The email is for a registration.
        let license = license::Entity::find()
            .join_rev(JoinType::InnerJoin, registration::Relation::License.def())
            .filter(registration::Column::EmailKey.eq(text::canonical_email(&mail.address)))
            .one(transaction)
            .await?;
        license.map(|license| Entry::new(AuditAction::MailFailed, &license))
    };
    let kind = Change::of("mail", None, Some(mail.kind.to_value().into()));
    Ok(event.map(|event| event.with([kind])))
}

fn next_try(tries: i32) -> DateTime<Utc> {
    let doublings = u32::try_from(tries).unwrap_or(1).saturating_sub(1).min(16);
    now() + (FIRST_PAUSE * 2_i32.saturating_pow(doublings)).min(MAX_PAUSE)
}
