//! Start of a session: the verified credential is checked once more, under the lock that serializes sign-ins and whatever
//! ends them.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, SqlErr,
};

use super::end_oldest;
use super::errors::{expired, inactive, wrong};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::credential::{lock_if_active, set_password, store_password};
use crate::auth::policy::Lifetime;
use crate::auth::token::{self, TokenKind};
use crate::auth::{one_time_link, pending_registration};
use crate::client::Client;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::device::{MAX_DEVICES_OF_A_USER, REMEMBERED};
use crate::entity::mail::MailKind as Notice;
use crate::entity::{credential, device, invitation, pin, session, user};
use crate::error::{Error, ErrorCode};
use crate::i18n::language::Language;
use crate::scalar::{Id, Url, now};
use crate::{mail, search_index};

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

/// A verified credential. Verification takes long: it must still be the user's credential when the session begins.
pub(super) enum VerifiedCredential {
    /// No credential: the operator of the server starts the session.
    None,
    Password {
        verified: String,
        upgraded: Option<String>,
        device_token: Option<String>,
    },
    Pin {
        verified: String,
        device_token: String,
    },
    /// A link that sets the password.
    Link {
        token: String,
        password_hash: String,
        is_mailed: bool,
    },
    /// A link that creates a user who registered.
    Registration {
        token: String,
        password_hash: String,
    },
}

/// Begins a session for a user without a credential.
///
/// # Errors
/// `Rejected` with `INACTIVE` if the user is not active.
pub async fn start(db: &Db, lifetime: Lifetime, client: &Client, person: user::Model) -> Result<NewSession, Error> {
    begin(db, lifetime, client, person, VerifiedCredential::None).await
}

/// Begins a session for a user with a verified credential.
#[expect(clippy::disallowed_methods, reason = "who signs in is not signed in yet")]
pub(super) async fn begin(
    db: &Db,
    lifetime: Lifetime,
    client: &Client,
    person: user::Model,
    proof: VerifiedCredential,
) -> Result<NewSession, Error> {
    let now = now();
    let token = token::new(TokenKind::Session)?;
    let session = session::Model {
        id: Id::new(),
        user_id: person.id,
        token_hash: token::hash(&token),
        created_at: now,
        last_seen_at: now,
        expires_at: now + lifetime.absolute,
        user_agent: client.user_agent.as_ref().map(|agent| agent.chars().take(200).collect()),
        ip_address: client.ip_address.map(|address| address.to_string()),
    };
    let (id, expires_at) = (session.id, session.expires_at);
    let transaction = db.begin().await?;
    let mut person = lock_user(&transaction, person, &proof).await?;
    let (action, changes) = match &proof {
        VerifiedCredential::Link { .. } => (AuditAction::AccountActivated, vec![Change::of_secret("password")]),
        VerifiedCredential::Registration { .. } => (AuditAction::UserCreated, vec![Change::of_secret("password")]),
        VerifiedCredential::None | VerifiedCredential::Password { .. } | VerifiedCredential::Pin { .. } => {
            (AuditAction::SignedIn, Vec::new())
        }
    };
    let before = match &proof {
        VerifiedCredential::Registration { .. } => user::Model::empty(person.id, person.license_id),
        _ => person.clone(),
    };
    let device_token = redeem(&transaction, client.language, &mut person, proof).await?;
    session.into_active_model().reset_all().insert(&transaction).await?;
    end_oldest(&transaction, lifetime, person.id).await?;
    person.last_login = Some(now);
    user::Entity::update_many()
        .col_expr(user::Column::LastLogin, Expr::value(person.last_login))
        .col_expr(user::Column::HasActivated, Expr::value(person.has_activated))
        .col_expr(user::Column::EmailVerified, Expr::value(person.email_verified))
        .col_expr(user::Column::ModifiedAt, Expr::value(person.modified_at))
        .col_expr(user::Column::Version, Expr::value(person.version))
        .filter(user::Column::Id.eq(person.id))
        .exec(&transaction)
        .await?;
    let event = Entry::new(action, &person).by_person(person.id, client.request_id.clone());
    audit::commit(transaction, [event.with(changes).with(difference(&before, &person))]).await?;
    Ok(NewSession { id, user: person, token, device_token, expires_at, next_url: None })
}

/// Locks and reads the user's row, or inserts the user of a registration. This comes first: the row is the lock that
/// serializes sign-ins and whatever ends them. It may have changed since the secret was verified.
async fn lock_user(
    transaction: &DatabaseTransaction,
    person: user::Model,
    proof: &VerifiedCredential,
) -> Result<user::Model, Error> {
    if let VerifiedCredential::Registration { token, .. } = proof {
        if !pending_registration::consume(transaction, token).await? {
            return Err(expired());
        }
        let inserted = person.clone().into_active_model().reset_all().insert(transaction).await;
        let new = match inserted {
            Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                let message = "Another user now has this address as their email address or username.";
                return Err(Error::rejected("token", ErrorCode::Taken, message));
            }
            inserted => inserted?,
        };
        search_index::update(transaction, [(None, Some(&new))]).await?;
        return Ok(new);
    }
    lock_if_active(transaction, person.id).await?.ok_or_else(inactive)
}

/// Checks that the verified credential is still the user's, and applies its effects. Returns the device token of a
/// sign-in with a password or a link.
async fn redeem(
    transaction: &DatabaseTransaction,
    language: Language,
    person: &mut user::Model,
    proof: VerifiedCredential,
) -> Result<Option<String>, Error> {
    let user_id = person.id;
    match proof {
        VerifiedCredential::None => Ok(None),
        VerifiedCredential::Password { verified, upgraded, device_token } => {
            let current = credential::Entity::find_by_id(user_id).one(transaction).await?;
            if current.is_none_or(|current| current.password_hash != verified) {
                return Err(wrong());
            }
            if let Some(upgraded) = upgraded {
                store_password(transaction, user_id, upgraded).await?;
            }
            forget_wrong_pins(transaction, user_id).await?;
            if let Some(device_token) = device_token
                && touch_device(transaction, user_id, &device_token).await?
            {
                return Ok(Some(device_token));
            }
            register_device(transaction, user_id).await.map(Some)
        }
        VerifiedCredential::Pin { verified, device_token } => {
            let current = pin::Entity::find_by_id(user_id).one(transaction).await?;
            let is_still_right = current.is_some_and(|current| current.pin_hash == verified);
            if !is_still_right || !touch_device(transaction, user_id, &device_token).await? {
                return Err(wrong());
            }
            forget_wrong_pins(transaction, user_id).await?;
            Ok(None)
        }
        VerifiedCredential::Link { token, password_hash, is_mailed } => {
            set_by_link(transaction, language, person, &token, password_hash).await?;
            person.email_verified |= is_mailed;
            register_device(transaction, user_id).await.map(Some)
        }
        VerifiedCredential::Registration { token: _, password_hash } => {
            store_password(transaction, user_id, password_hash).await?;
            register_device(transaction, user_id).await.map(Some)
        }
    }
}

/// Sets a user's password by a link, which is used up. This activates the account.
pub(super) async fn set_by_link(
    transaction: &DatabaseTransaction,
    language: Language,
    person: &mut user::Model,
    token: &str,
    password_hash: String,
) -> Result<(), Error> {
    if !one_time_link::consume(transaction, person.id, token).await? {
        return Err(expired());
    }
    if credential::Entity::find_by_id(person.id).one(transaction).await?.is_some() {
        mail::notify(transaction, person, Notice::PasswordChanged, language).await?;
    }
    set_password(transaction, person.id, Some(password_hash), None).await?;
    forget_wrong_pins(transaction, person.id).await?;
    invitation::Entity::update_many()
        .col_expr(invitation::Column::AcceptedAt, Expr::value(Some(now())))
        .filter(invitation::Column::UserId.eq(person.id))
        .filter(invitation::Column::AcceptedAt.is_null())
        .exec(transaction)
        .await?;
    (person.has_activated, person.modified_at, person.version) = (true, now(), person.version + 1);
    Ok(())
}

async fn forget_wrong_pins(transaction: &DatabaseTransaction, user_id: Id) -> Result<(), Error> {
    pin::Entity::update_many()
        .col_expr(pin::Column::Wrong, Expr::value(0))
        .filter(pin::Column::UserId.eq(user_id))
        .filter(pin::Column::Wrong.gt(0))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Records the use of a device. Returns false if it is not, or no longer, one of the user's.
async fn touch_device(transaction: &DatabaseTransaction, user_id: Id, device_token: &str) -> Result<bool, Error> {
    let noted = device::Entity::update_many()
        .col_expr(device::Column::LastUsedAt, Expr::value(now()))
        .filter(this_device(user_id, device_token))
        .exec(transaction)
        .await?;
    Ok(noted.rows_affected > 0)
}

/// Registers a new device, and forgets the least recently used ones beyond the limit. Returns the device token.
async fn register_device(transaction: &DatabaseTransaction, user_id: Id) -> Result<String, Error> {
    let device_token = token::new(TokenKind::Device)?;
    let new = device::Model { id: Id::new(), user_id, token_hash: token::hash(&device_token), last_used_at: now() };
    new.into_active_model().reset_all().insert(transaction).await?;
    let beyond: Vec<Id> = device::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .filter(device::Column::UserId.eq(user_id))
        .order_by_desc(device::Column::LastUsedAt)
        .order_by_desc(device::Column::Id)
        .offset(MAX_DEVICES_OF_A_USER)
        .limit(MAX_DEVICES_OF_A_USER)
        .into_tuple()
        .all(transaction)
        .await?;
    if !beyond.is_empty() {
        device::Entity::delete_many().filter(device::Column::Id.is_in(beyond)).exec(transaction).await?;
    }
    Ok(device_token)
}

/// Returns the condition for the device of a token, if it is one of the user's and still remembered.
pub(super) fn this_device(user_id: Id, device_token: &str) -> Condition {
    Condition::all()
        .add(device::Column::TokenHash.eq(token::hash(device_token)))
        .add(device::Column::UserId.eq(user_id))
        .add(device::Column::LastUsedAt.gt(now() - REMEMBERED))
}
