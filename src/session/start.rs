//! Start of a session: the verified credential is checked once more, under the lock that serializes sign-ins and
//! whatever ends them.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::errors::{address_taken, expired, inactive, invalid_credentials};
use super::verified::Verified;
use super::{devices, end_oldest};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::{lock_if_active, set_password, set_pin, store_password};
use crate::auth::policy::Lifetime;
use crate::auth::token::{self, TokenKind};
use crate::auth::{one_time_link, pending_registration};
use crate::client::Client;
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::mail::MailKind;
use crate::entity::versioned::Versioned;
use crate::entity::{credential, invitation, pin, session, user};
use crate::error::Error;
use crate::i18n::language::Language;
use crate::mail;
use crate::scalar::{Id, Url, now};

/// The most characters of a client's user agent that are stored.
const MAX_USER_AGENT_LENGTH: usize = 200;

/// A session that has just begun. Its tokens are shown only once.
pub struct NewSession {
    pub id: Id,
    pub user: user::Model,
    pub token: String,
    pub device_token: Option<String>,
    pub expires_at: DateTime<Utc>,
    /// The URL to continue at.
    pub next_url: Option<Url>,
}

/// Starts a session without a credential, for the operator of the server.
///
/// # Errors
/// `Rejected` with `INACTIVE` if the user is not active.
pub async fn start(db: &Db, lifetime: Lifetime, client: &Client, user: &user::Model) -> Result<NewSession, Error> {
    SessionStart::begin(db, lifetime, client, user.id).await?.without_credential().await
}

/// The start of a session, in an open transaction. Verification of a credential takes long: each method locks the user
/// first, and then checks that the verified credential is still theirs.
pub(super) struct SessionStart<'a> {
    transaction: Transaction,
    lifetime: Lifetime,
    client: &'a Client,
    token: String,
    session: session::Model,
}

/// A hashed password that is set by a link.
pub(super) struct PasswordByLink<'a> {
    /// The token of the link.
    pub(super) token: &'a str,
    pub(super) password_hash: String,
}

/// The effects of a credential that was redeemed.
struct Redeemed {
    action: AuditAction,
    before: user::Model,
    /// The row as it is stored so far.
    stored: user::Model,
    user: user::Model,
    sets_password: bool,
    /// The device token of a sign-in with a password or a link.
    device_token: Option<String>,
}

impl Redeemed {
    /// Returns the effects of a sign-in, which changes nothing of the user but the time of the last one.
    fn sign_in(user: user::Model, device_token: Option<String>) -> Self {
        let (before, stored) = (user.clone(), user.clone());
        Self { action: AuditAction::SignedIn, before, stored, user, sets_password: false, device_token }
    }
}

impl<'a> SessionStart<'a> {
    /// Begins the transaction.
    #[expect(clippy::disallowed_methods, reason = "nobody is signed in yet who could be the actor")]
    pub(super) async fn begin(db: &Db, lifetime: Lifetime, client: &'a Client, user_id: Id) -> Result<Self, Error> {
        let now = now();
        let token = token::new(TokenKind::Session)?;
        let session = session::Model {
            id: Id::new(),
            user_id,
            token_hash: token::hash(&token),
            created_at: now,
            last_seen_at: now,
            expires_at: now + lifetime.absolute,
            user_agent: client.user_agent.as_ref().map(|agent| agent.chars().take(MAX_USER_AGENT_LENGTH).collect()),
            ip_address: client.ip_address.map(|address| address.to_string()),
        };
        Ok(Self { transaction: db.begin().await?, lifetime, client, token, session })
    }

    async fn without_credential(self) -> Result<NewSession, Error> {
        let user = self.lock_user().await?;
        self.commit(Redeemed::sign_in(user, None)).await
    }

    /// Redeems a password. Registers the device, unless `device_token` is that of one of the user's. Returns the password if another
    /// hash is stored than the one that was verified.
    pub(super) async fn with_password(
        self,
        verified: Verified,
        device_token: Option<&str>,
    ) -> Result<ControlFlow<NewSession, Verified>, Error> {
        let user = self.lock_user().await?;
        let current = credential::Entity::find_by_id(user.id).one(&self.transaction).await?;
        if current.is_none_or(|current| current.password_hash != verified.hash) {
            return Ok(ControlFlow::Continue(verified));
        }
        if let Some(upgraded) = verified.upgraded {
            store_password(&self.transaction, user.id, upgraded).await?;
        }
        reset_wrong_pins(&self.transaction, &user).await?;
        let device_token = if let Some(device_token) = device_token
            && devices::touch(&self.transaction, user.id, device_token).await?
        {
            device_token.to_owned()
        } else {
            devices::register(&self.transaction, user.id).await?
        };
        self.commit(Redeemed::sign_in(user, Some(device_token))).await.map(ControlFlow::Break)
    }

    /// Redeems a PIN on the device of the token. Returns the PIN if another hash is stored than the one that was verified.
    pub(super) async fn with_pin(
        self,
        verified: Verified,
        device_token: &str,
    ) -> Result<ControlFlow<NewSession, Verified>, Error> {
        let user = self.lock_user().await?;
        let current = pin::Entity::find_by_id(user.id).one(&self.transaction).await?;
        if current.is_none_or(|current| current.pin_hash != verified.hash) {
            return Ok(ControlFlow::Continue(verified));
        }
        if !devices::touch(&self.transaction, user.id, device_token).await? {
            return Err(invalid_credentials());
        }
        if let Some(upgraded) = verified.upgraded {
            set_pin(&self.transaction, user.id, Some(upgraded)).await?;
        }
        reset_wrong_pins(&self.transaction, &user).await?;
        self.commit(Redeemed::sign_in(user, None)).await.map(ControlFlow::Break)
    }

    /// Redeems a link that sets the password; `is_mailed` is whether it was sent to the user's email address.
    pub(super) async fn with_link(self, password: PasswordByLink<'_>, is_mailed: bool) -> Result<NewSession, Error> {
        let before = self.lock_user().await?;
        let mut user = before.clone();
        set_password_by_link(&self.transaction, self.client.language, &mut user, password).await?;
        user.email_verified |= is_mailed;
        let device_token = Some(devices::register(&self.transaction, user.id).await?);
        let action = AuditAction::AccountActivated;
        let stored = before.clone();
        self.commit(Redeemed { action, before, stored, user, sets_password: true, device_token }).await
    }

    /// Redeems the link of a registration, which creates the user.
    pub(super) async fn with_registration(
        self,
        new: user::Model,
        password: PasswordByLink<'_>,
    ) -> Result<NewSession, Error> {
        let PasswordByLink { token, password_hash } = password;
        if !pending_registration::consume(&self.transaction, token).await? {
            return Err(expired());
        }
        let new = user::Model { last_login: Some(self.session.created_at), ..new };
        let user = insert_user(&self.transaction, new).await?;
        store_password(&self.transaction, user.id, password_hash).await?;
        let device_token = Some(devices::register(&self.transaction, user.id).await?);
        let (action, before) = (AuditAction::UserCreated, user::Model::empty(user.id, user.license_id));
        self.commit(Redeemed { action, before, stored: user.clone(), user, sets_password: true, device_token }).await
    }

    /// Locks and reads the user's row. This comes first: the row is the lock that serializes sign-ins and whatever ends
    /// them. It may have changed since the credential was verified.
    async fn lock_user(&self) -> Result<user::Model, Error> {
        lock_if_active(&self.transaction, self.session.user_id).await?.ok_or_else(inactive)
    }

    /// Stores the session with the effects of the credential, and ends the oldest sessions beyond the limit.
    async fn commit(self, redeemed: Redeemed) -> Result<NewSession, Error> {
        let Self { transaction, lifetime, client, token, session } = self;
        let Redeemed { action, before, stored, mut user, sets_password, device_token } = redeemed;
        let session::Model { id, created_at, expires_at, .. } = session;
        rows::insert(&transaction, session).await?;
        end_oldest(&transaction, lifetime, user.id).await?;
        user.last_login = Some(created_at);
        rows::update(&transaction, &stored, user.clone()).await?;
        let event = Entry::new(action, &user).by_user(user.id, client.request_id.clone());
        let event = event.with(sets_password.then(|| Change::of_secret("password")));
        audit::commit(transaction, [event.with(difference(&before, &user))]).await?;
        Ok(NewSession { id, user, token, device_token, expires_at, next_url: None })
    }
}

async fn insert_user(transaction: &Transaction, new: user::Model) -> Result<user::Model, Error> {
    rows::insert(transaction, new.clone()).await.map_err(address_taken)?;
    Ok(new)
}

/// Sets a user's password by a link, which is used up. This activates the account.
pub(super) async fn set_password_by_link(
    transaction: &Transaction,
    language: Language,
    user: &mut user::Model,
    password: PasswordByLink<'_>,
) -> Result<(), Error> {
    let PasswordByLink { token, password_hash } = password;
    if !one_time_link::consume(transaction, user.id, token).await? {
        return Err(expired());
    }
    if credential::Entity::find_by_id(user.id).one(transaction).await?.is_some() {
        mail::notify(transaction, user, MailKind::PasswordChanged, language).await?;
    }
    set_password(transaction, user.id, Some(password_hash), None).await?;
    reset_wrong_pins(transaction, user).await?;
    invitation::Entity::update_many()
        .col_expr(invitation::Column::AcceptedAt, Expr::value(Some(now())))
        .filter(invitation::Column::UserId.eq(user.id))
        .filter(invitation::Column::AcceptedAt.is_null())
        .exec(transaction)
        .await?;
    user.has_activated = true;
    user.advance();
    Ok(())
}

async fn reset_wrong_pins(transaction: &Transaction, user: &user::Model) -> Result<(), Error> {
    if !user.has_pin {
        return Ok(());
    }
    pin::Entity::update_many()
        .col_expr(pin::Column::Wrong, Expr::value(0))
        .filter(pin::Column::UserId.eq(user.id))
        .filter(pin::Column::Wrong.gt(0))
        .exec(transaction)
        .await?;
    Ok(())
}
