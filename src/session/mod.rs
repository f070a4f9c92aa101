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
mod verified;

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, IntoCondition};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect, RelationTrait, Select};

pub use self::sign_in_log::SignInMetrics;
pub use self::start::start;
use crate::access::{Action, AuthMethod, SignedIn, Viewer, ViewerRow, active_in_valid_license};
use crate::actor;
use crate::audit::{self, Change, Entry};
use crate::auth::avatar_link::LinkViewer;
use crate::auth::credential;
use crate::auth::policy::Lifetime;
use crate::auth::token::{self, TokenKind};
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::session::MAX_SESSIONS_OF_A_USER;
use crate::entity::user::Role;
use crate::entity::{api_key, device, session, user};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// The shortest time between two writes of the last use of a session or API key.
const MIN_SEEN_INTERVAL: TimeDelta = TimeDelta::minutes(1);
/// The most IDs in a list of an input.
const MAX_IDS: usize = 100;

/// A valid session or API key, with the columns that identify the viewer and the viewer's rights.
#[derive(FromQueryResult)]
struct SessionOwner {
    id: Id,
    seen_at: Option<DateTime<Utc>>,
    key_role: Option<Role>,
    document_set: Option<String>,
    #[sea_orm(nested)]
    user: ViewerRow,
}

/// The purpose for which a token is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// A request, which is a use of the token.
    Request,
    /// A connection that stays open. It is a use of an API key, but not of a session: a page that is merely open does not keep
    /// its session from expiring.
    OpenConnection,
}

/// Returns the user of a session token or API key, read afresh: the session or key has not ended, the user is active, and
/// the license is valid. Records the use of the token.
///
/// # Errors
/// `Unauthenticated` if the token is not, or no longer, valid.
pub async fn authenticate(
    db: &Db,
    lifetime: Lifetime,
    token: &str,
    token_use: TokenUse,
    request_id: Option<String>,
) -> Result<SignedIn, Error> {
    let owner = find_owner(db, lifetime, token).await?;
    if token_use == TokenUse::Request || owner.key_role.is_some() {
        record_use(db, &owner);
    }
    Ok(owner.signed_in(request_id))
}

/// Returns the user of the session or API key for which the URL of a picture was made, read afresh. It is not a use of either: a
/// page that is merely open does not keep its session from expiring.
///
/// # Errors
/// `Unauthenticated` if the session or key is no longer valid.
pub async fn authenticate_link(
    db: &Db,
    lifetime: Lifetime,
    viewer: LinkViewer,
    request_id: Option<String>,
) -> Result<SignedIn, Error> {
    let owner = match viewer {
        LinkViewer::Session(id) => find_session(db, lifetime, session::Column::Id.eq(id)).await?,
        LinkViewer::ApiKey(id) => find_api_key(db, api_key::Column::Id.eq(id)).await?,
    };
    owner.map(|owner| owner.signed_in(request_id)).ok_or(Error::Unauthenticated)
}

async fn find_owner(db: &Db, lifetime: Lifetime, token: &str) -> Result<SessionOwner, Error> {
    let found = match TokenKind::of(token) {
        Some(TokenKind::Session) => {
            find_session(db, lifetime, session::Column::TokenHash.eq(token::hash(token))).await?
        }
        Some(TokenKind::ApiKey) => find_api_key(db, api_key::Column::TokenHash.eq(token::hash(token))).await?,
        Some(TokenKind::Device | TokenKind::Link) | None => None,
    };
    found.ok_or(Error::Unauthenticated)
}

/// Records the use of a token, unless one was recorded just now.
fn record_use(db: &Db, owner: &SessionOwner) {
    if owner.seen_at.is_some_and(|seen_at| seen_at + MIN_SEEN_INTERVAL >= now()) {
        return;
    }
    let (db, id, is_key) = (db.clone(), owner.id, owner.key_role.is_some());
    // Not awaited: a read must neither wait for the writer nor fail with it.
    tokio::spawn(async move {
        let recorded = if is_key { touch_api_key(&db, id).await } else { touch_session(&db, id).await };
        if let Err(error) = recorded {
            tracing::warn!(?error, "failed to record the last use of a token");
        }
    });
}

impl SessionOwner {
    fn signed_in(self, request_id: Option<String>) -> SignedIn {
        let auth_method = self.key_role.map_or(AuthMethod::Session(self.id), |role| AuthMethod::ApiKey(self.id, role));
        SignedIn { document_set: self.document_set, ..SignedIn::new(&self.user, auth_method, request_id) }
    }
}

/// The columns of a session and its user. The statements are kept because every request begins with one.
static SESSIONS: LazyLock<Select<session::Entity>> = LazyLock::new(|| {
    let select = session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .column_as(session::Column::LastSeenAt, "seen_at")
        .column_as(Expr::val(None::<String>), "key_role")
        .column_as(Expr::val(None::<String>), "document_set")
        .column(session::Column::UserId)
        .join(JoinType::InnerJoin, session::Relation::User.def());
    with_owner(select)
});

/// The columns of an API key and its user.
static API_KEYS: LazyLock<Select<api_key::Entity>> = LazyLock::new(|| {
    let select = api_key::Entity::find()
        .select_only()
        .column(api_key::Column::Id)
        .column_as(api_key::Column::LastUsedAt, "seen_at")
        .column_as(api_key::Column::Role, "key_role")
        .column(api_key::Column::DocumentSet)
        .column(api_key::Column::UserId)
        .join(JoinType::InnerJoin, api_key::Relation::User.def());
    with_owner(select)
});

fn with_owner<E: EntityTrait>(select: Select<E>) -> Select<E> {
    select.columns(ViewerRow::COLUMNS).join(JoinType::InnerJoin, user::Relation::License.def())
}

async fn find_session(
    db: &Db,
    lifetime: Lifetime,
    condition: impl IntoCondition,
) -> Result<Option<SessionOwner>, Error> {
    find(db, SESSIONS.clone().filter(condition).filter(session::alive(lifetime.idle))).await
}

async fn find_api_key(db: &Db, condition: impl IntoCondition) -> Result<Option<SessionOwner>, Error> {
    find(db, API_KEYS.clone().filter(condition).filter(api_key::alive())).await
}

async fn find<E: EntityTrait>(db: &Db, select: Select<E>) -> Result<Option<SessionOwner>, Error> {
    let found = select.filter(active_in_valid_license()).into_model::<SessionOwner>().one(db.read()).await?;
    Ok(found)
}

async fn touch_session(db: &Db, id: Id) -> Result<(), Error> {
    let now = now();
    session::Entity::update_many()
        .col_expr(session::Column::LastSeenAt, Expr::value(now))
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::LastSeenAt.lt(now - MIN_SEEN_INTERVAL))
        .exec(db.write())
        .await?;
    Ok(())
}

async fn touch_api_key(db: &Db, id: Id) -> Result<(), Error> {
    let now = now();
    let never_used = api_key::Column::LastUsedAt.is_null();
    api_key::Entity::update_many()
        .col_expr(api_key::Column::LastUsedAt, Expr::value(now))
        .filter(api_key::Column::Id.eq(id))
        .filter(never_used.or(api_key::Column::LastUsedAt.lt(now - MIN_SEEN_INTERVAL)))
        .exec(db.write())
        .await?;
    Ok(())
}

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
