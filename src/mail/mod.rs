//! Mail to people: what is written in the transaction that causes it, and sent after it by the [`worker`].

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

/// Why a mail was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    /// The reason, for administrators.
    pub reason: String,
    /// Whether another attempt is of no use.
    pub is_permanent: bool,
}

impl SendError {
    /// An error of this mail, which another attempt would meet again.
    fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_permanent: true }
    }

    /// An error after which another attempt may succeed.
    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_permanent: false }
    }
}

/// By what mails are written that a request causes.
#[derive(Clone, Copy)]
pub struct MailQueue<'a> {
    /// With which the tokens of links are made.
    pub key: &'a Key,
    /// What the one who asks reads.
    pub language: Language,
}

impl MailQueue<'_> {
    /// Sends a person the link by which the account is taken into use, in the place of an older one; nothing to who has no
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

    /// Sends the link by which a new address takes the place of a person's present one, which is told.
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

    /// Sends somebody who wants to register himself the link by which he shows that mail reaches him; an older one of the
    /// same address is of no more use.
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

/// Tells a person what has changed; nothing to who has no address.
pub async fn notify(
    transaction: &DatabaseTransaction,
    person: &user::Model,
    what: MailKind,
    language: Language,
) -> Result<(), Error> {
    let Some(address) = &person.email else { return Ok(()) };
    post(transaction, of(what, (Some(person.id), address), None, language)).await
}

/// Tells a person, as he was, which of his secrets an administrator has changed, and that his address has.
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

/// Notes that somebody has lost the password of an address. Who that is, and whether there is anybody, is found when the
/// mail is to be sent, so that nobody who asks can tell.
pub async fn look_up(
    db: &impl ConnectionTrait,
    address: &str,
    (language, request_id): (Language, Option<String>),
) -> Result<(), Error> {
    let mail = of(MailKind::PasswordReset, (None, address), Some(token::seed()?), language);
    post(db, mail::Model { request_id, ..mail }).await
}

/// A mail that waits to be sent: whom it is about, if that is known, and where it goes.
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
    // Whoever writes outside of a transaction may do so twice.
    let mail = mail::Entity::insert(mail.into_active_model().reset_all()).on_conflict_do_nothing();
    mail.exec_without_returning(db).await?;
    Ok(())
}
