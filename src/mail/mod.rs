//! Emails: queued in the transaction that causes them, and sent afterwards by the [`worker`].

mod metrics;
mod prepare;
pub mod smtp;
pub mod smtp_url;
pub mod template;
pub mod transport;
pub mod worker;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait, Iterable};

pub use self::metrics::MailMetrics;
use crate::audit::Change;
use crate::auth::key_ring::KeyRing;
use crate::auth::{one_time_link, token};
use crate::db::batch::{self, IfExists};
use crate::db::{Transaction, rows};
use crate::entity::link::Purpose;
use crate::entity::mail::{self, MailKind};
use crate::entity::{invitation, link, registration, user};
use crate::error::Error;
use crate::i18n::language::Language;
use crate::scalar::{Id, Url, now};

/// The reason why an email was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    /// The reason, for administrators.
    pub reason: String,
    /// Whether a retry is useless.
    pub is_permanent: bool,
}

impl SendError {
    /// Creates an error of this email, which would recur in a retry.
    fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_permanent: true }
    }

    /// Creates an error after which a retry may succeed.
    fn temporary(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_permanent: false }
    }
}

/// Queues the emails that a request causes.
#[derive(Clone, Copy)]
pub struct MailQueue<'a> {
    /// The server keys, from whose current one the tokens of links are derived.
    pub keys: &'a KeyRing,
    /// The language of the request.
    pub language: Language,
}

impl MailQueue<'_> {
    fn token(&self, seed: &[u8]) -> String {
        token::from_seed(self.keys.keys().current(), seed)
    }

    /// Queues an invitation with an activation link, which replaces an older one. Does nothing for a user without an email
    /// address.
    pub async fn invite(
        &self,
        transaction: &Transaction,
        user: &user::Model,
        next_url: Option<Url>,
    ) -> Result<(), Error> {
        self.invite_at(transaction, user, next_url, now()).await
    }

    /// Queues an invitation as [`MailQueue::invite`], to be sent at a time.
    pub async fn invite_at(
        &self,
        transaction: &Transaction,
        user: &user::Model,
        next_url: Option<Url>,
        time: DateTime<Utc>,
    ) -> Result<(), Error> {
        let Some(address) = &user.email else { return Ok(()) };
        let seed = token::seed()?;
        let link = one_time_link::build(user, Purpose::Activation, &self.token(&seed));
        let expires_at = time + Purpose::Activation.lives();
        let link = link::Model { is_mailed: true, next_url, expires_at, ..link };
        let mail = new_mail(MailKind::Invitation, Recipient::user(user, address), Some(seed), self.language);
        let mail = mail::Model { created_at: time, next_try_at: time, ..mail };
        invitation::Model::queued(user.id, mail.id, link.expires_at).put(transaction).await?;
        one_time_link::upsert(transaction, link).await?;
        enqueue(transaction, mail).await
    }

    /// Queues an email to a new address with the link that confirms it, and a notification to the current address.
    pub async fn ask_to_confirm(
        &self,
        transaction: &Transaction,
        user: &user::Model,
        new_email: String,
    ) -> Result<(), Error> {
        let seed = token::seed()?;
        let link = one_time_link::build(user, Purpose::EmailChange, &self.token(&seed));
        let recipient = Recipient::user(user, &new_email);
        enqueue(transaction, new_mail(MailKind::EmailConfirmation, recipient, Some(seed), self.language)).await?;
        one_time_link::upsert(transaction, link::Model { is_mailed: true, new_email: Some(new_email), ..link }).await?;
        notify(transaction, user, MailKind::EmailChangeRequested, self.language).await
    }

    /// Queues an email with the link by which a visitor confirms their registration. It replaces an older registration of the
    /// same address.
    pub async fn register(
        &self,
        transaction: &Transaction,
        new: &user::Model,
        next_url: Option<Url>,
    ) -> Result<(), Error> {
        let user::Model { email: Some(email), email_key: Some(email_key), .. } = new.clone() else {
            return Err(Error::internal("a registration without an email address"));
        };
        let seed = token::seed()?;
        let recipient = Recipient::address(&email);
        enqueue(transaction, new_mail(MailKind::Registration, recipient, Some(seed.clone()), self.language)).await?;
        let registration = registration::Model {
            email_key,
            license_id: new.license_id,
            email,
            first_name: new.first_name.clone(),
            last_name: new.last_name.clone(),
            token_hash: token::hash(&self.token(&seed)),
            next_url,
            expires_at: now() + Purpose::Activation.lives(),
        };
        let replace =
            OnConflict::column(registration::Column::EmailKey).update_columns(registration::Column::iter()).to_owned();
        let registration = rows::active(registration);
        registration::Entity::insert(registration).on_conflict(replace).exec_without_returning(transaction).await?;
        Ok(())
    }
}

/// Queues a notification of a change. Does nothing for a user without an email address.
pub async fn notify(
    transaction: &Transaction,
    user: &user::Model,
    kind: MailKind,
    language: Language,
) -> Result<(), Error> {
    let Some(address) = &user.email else { return Ok(()) };
    enqueue(transaction, new_mail(kind, Recipient::user(user, address), None, language)).await
}

/// Queues notifications to the user's old address: of each secret that an administrator has changed, and of a change of the
/// address.
pub async fn notify_of_credential_changes(
    transaction: &Transaction,
    old: &user::Model,
    new: &user::Model,
    secrets: &[Change],
    language: Language,
) -> Result<(), Error> {
    for (secret, kind) in [("password", MailKind::PasswordChanged), ("pin", MailKind::PinChanged)] {
        if secrets.iter().any(|change| change.field == secret) {
            notify(transaction, old, kind, language).await?;
        }
    }
    if new.email_key != old.email_key {
        notify(transaction, old, MailKind::EmailChanged, language).await?;
    }
    Ok(())
}

/// Queues a notification of its change to each of the old addresses of several users.
pub async fn notify_of_new_addresses(
    transaction: &Transaction,
    old: &[user::Model],
    language: Language,
) -> Result<(), Error> {
    let mail = |user: &user::Model| {
        let address = user.email.as_deref()?;
        Some(new_mail(MailKind::EmailChanged, Recipient::user(user, address), None, language))
    };
    let mails: Vec<mail::Model> = old.iter().filter_map(mail).collect();
    Ok(batch::insert(transaction, &mails, IfExists::Fail).await?)
}

/// Queues an email for a lost password. The owner of the address, if there is one, is looked up only when the email is sent, so
/// that the response does not reveal whether the address belongs to a user.
pub async fn queue_password_reset(
    db: &impl ConnectionTrait,
    address: &str,
    language: Language,
    request_id: Option<String>,
) -> Result<(), Error> {
    let mail = new_mail(MailKind::PasswordReset, Recipient::address(address), Some(token::seed()?), language);
    enqueue(db, mail::Model { request_id, ..mail }).await
}

/// The recipient of an email.
#[derive(Clone, Copy)]
struct Recipient<'a> {
    /// The user who has the address; `None` if that is not known yet.
    user_id: Option<Id>,
    address: &'a str,
}

impl<'a> Recipient<'a> {
    fn user(user: &user::Model, address: &'a str) -> Self {
        Self { user_id: Some(user.id), address }
    }

    fn address(address: &'a str) -> Self {
        Self { user_id: None, address }
    }
}

/// Returns an email to be queued. The token of its link, if it has one, is derived from the seed.
fn new_mail(kind: MailKind, recipient: Recipient<'_>, seed: Option<Vec<u8>>, language: Language) -> mail::Model {
    let now = now();
    mail::Model {
        id: Id::new(),
        kind,
        user_id: recipient.user_id,
        address: recipient.address.to_owned(),
        language,
        seed,
        request_id: None,
        created_at: now,
        next_try_at: now,
        tries: 0,
    }
}

async fn enqueue(db: &impl ConnectionTrait, mail: mail::Model) -> Result<(), Error> {
    // Outside of a transaction, the statement may be run twice.
    let mail = mail::Entity::insert(rows::active(mail)).on_conflict_do_nothing();
    mail.exec_without_returning(db).await?;
    Ok(())
}
