//! How a session begins: what was verified is looked at once more, under the lock by which sign-ins and what ends them take
//! turns.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::end_oldest;
use super::refusal::{expired, inactive, wrong};
use crate::audit::{self, Change, Entry, difference};
use crate::context::{Client, Lifetime};
use crate::credential::{lock_active, set_password, store_password};
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::device::{MOST_DEVICES_OF_A_USER, REMEMBERED};
use crate::entity::{credential, device, pin, session, user};
use crate::error::Error;
use crate::link;
use crate::scalar::{Id, now};
use crate::token::{self, Kind};

/// A session that has just begun. The tokens are shown this once.
pub struct Opened {
    pub id: Id,
    pub user: user::Model,
    pub token: String,
    pub device_token: Option<String>,
    pub expires_at: DateTime<Utc>,
}

/// What was found right. It takes long to verify a secret: it must be the person's still when the session begins.
pub(super) enum Proof {
    /// Nothing; whoever runs the server lets somebody in.
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
    /// A link by which the password is set.
    Link {
        token: String,
        password_hash: String,
    },
}

/// Begins a session for a person, who need not prove anything.
///
/// # Errors
/// `Rejected` with INACTIVE where the person is not active; whatever the database says.
pub async fn open(db: &Db, lifetime: Lifetime, client: &Client, person: user::Model) -> Result<Opened, Error> {
    begin(db, lifetime, client, person, Proof::None).await
}

/// Begins a session for a person who may have one.
pub(super) async fn begin(
    db: &Db,
    lifetime: Lifetime,
    client: &Client,
    person: user::Model,
    proof: Proof,
) -> Result<Opened, Error> {
    let now = now();
    let token = token::new(Kind::Session)?;
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
    // The person's row goes first: it is the lock under which sign-ins and what ends them take turns. What it says may have
    // changed since the secret was looked at.
    let mut person = lock_active(&transaction, person.id).await.map_err(|error| match error {
        Error::Unauthenticated => inactive(),
        other => other,
    })?;
    let (action, changes) = match &proof {
        Proof::Link { .. } => (AuditAction::AccountActivated, vec![Change::of_secret("password")]),
        Proof::None | Proof::Password { .. } | Proof::Pin { .. } => (AuditAction::SignedIn, Vec::new()),
    };
    let before = person.clone();
    let device_token = honour(&transaction, &mut person, proof).await?;
    session.into_active_model().reset_all().insert(&transaction).await?;
    end_oldest(&transaction, lifetime, person.id).await?;
    person.last_login = Some(now);
    user::Entity::update_many()
        .col_expr(user::Column::LastLogin, Expr::value(person.last_login))
        .col_expr(user::Column::HasActivated, Expr::value(person.has_activated))
        .col_expr(user::Column::ModifiedAt, Expr::value(person.modified_at))
        .col_expr(user::Column::Version, Expr::value(person.version))
        .filter(user::Column::Id.eq(person.id))
        .exec(&transaction)
        .await?;
    let event = Entry::new(action, &person).by_person(person.id, client.request_id.clone());
    audit::commit(transaction, [event.with(changes).with(difference(&before, &person))]).await?;
    Ok(Opened { id, user: person, token, device_token, expires_at })
}

/// Makes sure that what was verified is the person's still, and does what follows from it; returns the token of a new
/// device.
async fn honour(
    transaction: &DatabaseTransaction,
    person: &mut user::Model,
    proof: Proof,
) -> Result<Option<String>, Error> {
    let user_id = person.id;
    match proof {
        Proof::None => Ok(None),
        Proof::Password { verified, upgraded, device_token } => {
            let current = credential::Entity::find_by_id(user_id).one(transaction).await?;
            if current.is_none_or(|current| current.password_hash != verified) {
                return Err(wrong());
            }
            if let Some(upgraded) = upgraded {
                store_password(transaction, user_id, upgraded).await?;
            }
            forget_wrong_pins(transaction, user_id).await?;
            if let Some(device_token) = device_token
                && touch(transaction, user_id, &device_token).await?
            {
                return Ok(Some(device_token));
            }
            remember(transaction, user_id).await.map(Some)
        }
        Proof::Pin { verified, device_token } => {
            let current = pin::Entity::find_by_id(user_id).one(transaction).await?;
            let is_still_right = current.is_some_and(|current| current.pin_hash == verified);
            if !is_still_right || !touch(transaction, user_id, &device_token).await? {
                return Err(wrong());
            }
            forget_wrong_pins(transaction, user_id).await?;
            Ok(None)
        }
        Proof::Link { token, password_hash } => {
            if !link::consume(transaction, user_id, &token).await? {
                return Err(expired());
            }
            set_password(transaction, user_id, Some(password_hash), None).await?;
            forget_wrong_pins(transaction, user_id).await?;
            (person.has_activated, person.modified_at, person.version) = (true, now(), person.version + 1);
            remember(transaction, user_id).await.map(Some)
        }
    }
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

/// Notes the use of a device; false where it is not, or no longer, one of the person's.
async fn touch(transaction: &DatabaseTransaction, user_id: Id, device_token: &str) -> Result<bool, Error> {
    let noted = device::Entity::update_many()
        .col_expr(device::Column::LastUsedAt, Expr::value(now()))
        .filter(this_device(user_id, device_token))
        .exec(transaction)
        .await?;
    Ok(noted.rows_affected > 0)
}

/// Remembers a new device, and of too many forgets those that were not used for longest.
async fn remember(transaction: &DatabaseTransaction, user_id: Id) -> Result<String, Error> {
    let device_token = token::new(Kind::Device)?;
    let new = device::Model { id: Id::new(), user_id, token_hash: token::hash(&device_token), last_used_at: now() };
    new.into_active_model().reset_all().insert(transaction).await?;
    let beyond: Vec<Id> = device::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .filter(device::Column::UserId.eq(user_id))
        .order_by_desc(device::Column::LastUsedAt)
        .order_by_desc(device::Column::Id)
        .offset(MOST_DEVICES_OF_A_USER)
        .limit(MOST_DEVICES_OF_A_USER)
        .into_tuple()
        .all(transaction)
        .await?;
    if !beyond.is_empty() {
        device::Entity::delete_many().filter(device::Column::Id.is_in(beyond)).exec(transaction).await?;
    }
    Ok(device_token)
}

/// The device of a token, if it is one of the person's and still remembered.
pub(super) fn this_device(user_id: Id, device_token: &str) -> Condition {
    Condition::all()
        .add(device::Column::TokenHash.eq(token::hash(device_token)))
        .add(device::Column::UserId.eq(user_id))
        .add(device::Column::LastUsedAt.gt(now() - REMEMBERED))
}
