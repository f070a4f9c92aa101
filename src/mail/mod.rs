//! Emails: queued in the transaction that causes them, and sent afterwards by the [`worker`].

mod prepare;
pub mod smtp;
pub mod smtp_url;
pub mod template;
pub mod transport;
pub mod worker;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, Iterable};

use crate::audit::Change;
use crate::auth::one_time_link as links;
use crate::auth::server_key::Key;
use crate::auth::token;
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
    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_permanent: false }
    }
}

/// Queues the emails that a request causes.
#[derive(Clone, Copy)]
pub struct MailQueue<'a> {
    /// The server key, from which the tokens of links are derived.
    pub key: &'a Key,
    /// The language of the request.
    pub language: Language,
}

impl MailQueue<'_> {
    /// Queues an invitation with an activation link, which replaces an older one. Does nothing for a user without an email
    /// address.
    pub async fn invite(
        &self,
        transaction: &DatabaseTransaction,
        person: &user::Model,
        next_url: Option<Url>,
    ) -> Result<(), Error> {
        let Some(address) = &person.email else { return Ok(()) };
        let seed = token::seed()?;
        let link = links::of(person, Purpose::Activation, &token::of_seed(self.key, &seed));
        let link = link::Model { is_mailed: true, next_url, ..link };
        let mail = of(MailKind::Invitation, (Some(person.id), address), Some(seed), self.language);
        invitation::Model::queued(person.id, mail.id, link.expires_at).put(transaction).await?;
        links::upsert(transaction, link).await?;
        post(transaction, mail).await
    }

    /// Queues an email to a new address with the link that confirms it, and a notification to the current address.
    pub async fn ask_to_confirm(
        &self,
        transaction: &DatabaseTransaction,
        person: &user::Model,
        new_email: String,
    ) -> Result<(), Error> {
        let seed = token::seed()?;
        let link = links::of(person, Purpose::EmailChange, &token::of_seed(self.key, &seed));
        let to = (Some(person.id), new_email.as_str());
        post(transaction, of(MailKind::EmailConfirmation, to, Some(seed), self.language)).await?;
        links::upsert(transaction, link::Model { is_mailed: true, new_email: Some(new_email), ..link }).await?;
        notify(transaction, person, MailKind::EmailChangeRequested, self.language).await
    }

    /// Queues an email with the link by which a visitor confirms their registration. It replaces an older registration of the
    /// same address.
    pub async fn register(
        &self,
        transaction: &DatabaseTransaction,
        new: &user::Model,
        next_url: Option<Url>,
    ) -> Result<(), Error> {
        let user::Model { email: Some(email), email_key: Some(email_key), .. } = new.clone() else {
            return Err(Error::internal("a registration without an email address"));
        };
        let seed = token::seed()?;
        post(transaction, of(MailKind::Registration, (None, &email), Some(seed.clone()), self.language)).await?;
        let registration = registration::Model {
            email_key,
            license_id: new.license_id,
            email,
            first_name: new.first_name.clone(),
            last_name: new.last_name.clone(),
            token_hash: token::hash(&token::of_seed(self.key, &seed)),
            next_url,
            expires_at: now() + Purpose::Activation.lives(),
        };
        let replace =
            OnConflict::column(registration::Column::EmailKey).update_columns(registration::Column::iter()).to_owned();
        let registration = registration.into_active_model().reset_all();
        registration::Entity::insert(registration).on_conflict(replace).exec_without_returning(transaction).await?;
        Ok(())
    }
}

/// Queues a notification of a change. Does nothing for a user without an email address.
pub async fn notify(
    transaction: &DatabaseTransaction,
    person: &user::Model,
    what: MailKind,
    language: Language,
) -> Result<(), Error> {
    let Some(address) = &person.email else { return Ok(()) };
    post(transaction, of(what, (Some(person.id), address), None, language)).await
}

/// Queues notifications to the user's old address: of each secret that an administrator has changed, and of a change of the
/// address.
pub async fn notify_of(
    transaction: &DatabaseTransaction,
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

/// Queues an email for a lost password. The owner of the address, if there is one, is looked up only when the email is sent, so
/// that the response does not reveal whether the address belongs to a user.
pub async fn look_up(
    db: &impl ConnectionTrait,
    address: &str,
    (language, request_id): (Language, Option<String>),
) -> Result<(), Error> {
    let mail = of(MailKind::PasswordReset, (None, address), Some(token::seed()?), language);
    post(db, mail::Model { request_id, ..mail }).await
}

/// Returns an email to be queued, to the address and the user, if the user is known.
fn of(kind: MailKind, to: (Option<Id>, &str), seed: Option<Vec<u8>>, language: Language) -> mail::Model {
    let now = now();
    mail::Model {
        id: Id::new(),
        kind,
        user_id: to.0,
        address: to.1.to_owned(),
        language,
        seed,
        request_id: None,
        created_at: now,
        next_try_at: now,
        tries: 0,
    }
}

async fn post(db: &impl ConnectionTrait, mail: mail::Model) -> Result<(), Error> {
    // Outside of a transaction, the statement may be run twice.
    let mail = mail::Entity::insert(mail.into_active_model().reset_all()).on_conflict_do_nothing();
    mail.exec_without_returning(db).await?;
    Ok(())
}
