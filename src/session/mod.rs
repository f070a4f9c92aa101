//! Sessions: sign-in and sign-out, credentials and devices. The mutations that change how a user signs in or out are here, except
//! that administrators set the credentials of others with `updateUser`, in `user/secrets.rs`.

pub mod activation;
mod attempts;
pub mod credentials;
mod devices;
pub mod email_change;
pub mod email_mutation;
pub mod errors;
pub mod input;
pub mod mutation;
pub mod password_reset;
pub mod query;
pub mod sign_in;
mod sign_in_log;
pub mod start;
mod token_authenticator;
mod verified;

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationTrait};

pub use self::sign_in_log::SignInMetrics;
pub use self::start::start;
pub use self::token_authenticator::{TokenAuthenticator, TokenUse};
use crate::access::{Action, Viewer};
use crate::actor;
use crate::audit::{self, Change, Entry};
use crate::auth::credential;
use crate::auth::policy::Lifetime;
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::session::MAX_SESSIONS_OF_A_USER;
use crate::entity::{device, session};
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::validation::Validator;

/// The most IDs in a list of an input.
const MAX_IDS: usize = 100;

/// Ends the user's oldest sessions beyond [`MAX_SESSIONS_OF_A_USER`], and deletes those that have expired.
async fn end_oldest(transaction: &Transaction, lifetime: Lifetime, user_id: Id) -> Result<(), Error> {
    let of_user = Condition::all().add(session::Column::UserId.eq(user_id));
    let alive = session::alive(lifetime.idle);
    let (id, time) = (session::Column::Id, session::Column::CreatedAt);
    let oldest = rows::oldest(id, of_user.clone().add(alive.clone()), time, MAX_SESSIONS_OF_A_USER);
    let ended = of_user.add(Condition::any().add(alive.not()).add(oldest));
    session::Entity::delete_many().filter(ended).exec(transaction).await?;
    Ok(())
}

/// Signs the viewer out: ends the session of the request. Does nothing for an API key.
pub async fn end(db: &Db, viewer: &Viewer) -> Result<(), Error> {
    let Some(session_id) = viewer.signed_in()?.session_id() else { return Ok(()) };
    let (transaction, viewer, user) = actor::begin_on_oneself(db, viewer).await?;
    session::Entity::delete_by_id(session_id).exec(&transaction).await?;
    audit::commit(transaction, [Entry::new(AuditAction::SignedOut, &user).by(&viewer)]).await
}

/// The sessions to end.
pub struct EndSessionsRequest {
    /// The ID of the user whose sessions end. Defaults to the viewer.
    pub user_id: Option<String>,
    /// The IDs of the sessions. Defaults to all sessions of the user.
    pub sessions: Option<Vec<Id>>,
    /// Whether to end the viewer's current session too. Defaults to `false`.
    pub include_current: bool,
}

/// The numbers of ended sessions and forgotten devices.
pub struct Ended {
    pub sessions: i32,
    pub devices: i32,
}

/// Ends sessions of the viewer or, for administrators, of another user, and forgets the user's devices, which could sign
/// in again with a PIN. If none of the given sessions exists, no device is forgotten.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` for an unknown user, and with `TOO_LONG` for more than 100 sessions; `Forbidden`.
pub async fn end_sessions(db: &Db, viewer: &Viewer, request: EndSessionsRequest) -> Result<Ended, Error> {
    let signed_in = viewer.signed_in()?;
    let mut validator = Validator::changing();
    let user_id = match &request.user_id {
        Some(text) => validator.id("userId", text),
        None => signed_in.user_id,
    };
    if request.sessions.as_ref().is_some_and(|ids| ids.len() > MAX_IDS) {
        validator.add_error("sessionIds", ErrorCode::TooLong, format!("Must contain at most {MAX_IDS} items."));
    }
    validator.finish()?;
    let (transaction, viewer, user) = actor::begin_on_known(db, viewer, "userId", user_id).await?;
    viewer.may_on(Action::EndSessions, &user)?;
    let except = signed_in.session_id().filter(|_| !request.include_current);
    let ended = credential::end_sessions(&transaction, user_id, request.sessions.as_deref(), except).await?;
    let none_found = request.sessions.is_some() && ended == 0;
    let devices = if none_found { 0 } else { credential::forget_devices(&transaction, &[user_id]).await? };
    let changes = [("sessions", ended), ("devices", devices)].map(|(what, n)| Change::of(what, None, Some(n.into())));
    let event = Entry::new(AuditAction::SessionsEnded, &user).by(&viewer).with(changes);
    audit::commit(transaction, (ended > 0 || devices > 0).then_some(event)).await?;
    Ok(Ended { sessions: ended, devices })
}

/// Forgets a device of the viewer or, for administrators, of another user.
///
/// # Errors
/// `Rejected` with `NOT_FOUND` if there is no such device of a user whose sessions the viewer can see; `Forbidden`.
pub async fn forget_device(db: &Db, viewer: &Viewer, id: &str) -> Result<(), Error> {
    let id = Id::of_input("id", id)?;
    let not_found = || Error::not_found("id", "device");
    let devices = device::Entity::find_by_id(id).join(JoinType::InnerJoin, device::Relation::User.def());
    let device = devices.filter(viewer.visible_sessions()).one(db.read()).await?.ok_or_else(not_found)?;
    let (transaction, viewer, user) = actor::begin_on(db, viewer, device.user_id).await?;
    let user = user.ok_or_else(not_found)?;
    viewer.may_on(Action::EndSessions, &user)?;
    if device::Entity::delete_by_id(id).exec(&transaction).await?.rows_affected == 0 {
        return Err(not_found());
    }
    audit::commit(transaction, [Entry::new(AuditAction::DeviceForgotten, &user).by(&viewer)]).await
}
