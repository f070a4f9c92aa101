//! Signing in and staying signed in.

pub mod activation;
pub mod address;
pub mod by_mail;
mod guesses;
pub mod mutation;
pub mod opening;
pub mod query;
pub mod refusal;
pub mod reset;
pub mod secret;
pub mod sign_in;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait, Select,
};

pub use self::opening::open;
use crate::access::{Action, Means, Person, SignedIn, Viewer, active_in_valid_license};
use crate::audit::{self, Change, Entry};
use crate::context::Lifetime;
use crate::credential;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::session::MOST_SESSIONS_OF_A_USER;
use crate::entity::user::Role;
use crate::entity::{api_key, session, user};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::scalar::{Id, now};
use crate::token::{self, Kind};

/// How often the last use of a session or key is written at most.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// The most ids in a list that is given.
const MOST_ITEMS: usize = 100;

/// The columns that tell who is asking and what he may do.
#[derive(FromQueryResult)]
struct Found {
    id: Id,
    seen_at: Option<DateTime<Utc>>,
    key_role: Option<Role>,
    #[sea_orm(nested)]
    person: Person,
}

/// Who holds a token, read afresh: the session or key has not ended, the person is active, the license has not expired.
///
/// # Errors
/// `Unauthenticated` where the token is not, or no longer, of any use.
pub async fn authenticate(
    db: &Db,
    lifetime: Lifetime,
    token: &str,
    request_id: Option<String>,
) -> Result<SignedIn, Error> {
    let found = match Kind::of(token) {
        Some(Kind::Session) => find_session(db, lifetime, token).await?,
        Some(Kind::ApiKey) => find_api_key(db, token).await?,
        Some(Kind::Device | Kind::Link) | None => None,
    };
    let found = found.ok_or(Error::Unauthenticated)?;
    if found.seen_at.is_none_or(|seen_at| seen_at + SEEN_EVERY < now()) {
        let (db, id, is_key) = (db.clone(), found.id, found.key_role.is_some());
        // Not awaited: a read does not wait for the writer's turn, nor fail with it.
        tokio::spawn(async move {
            let noted = if is_key { note_use_of_key(&db, id).await } else { note_use(&db, id).await };
            if let Err(error) = noted {
                tracing::warn!(?error, "the last use of a token was not noted");
            }
        });
    }
    let means = found.key_role.map_or(Means::Session(found.id), |role| Means::ApiKey(found.id, role));
    Ok(SignedIn::new(&found.person, means, request_id))
}

async fn find_session(db: &Db, lifetime: Lifetime, token: &str) -> Result<Option<Found>, Error> {
    let select = session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .column_as(session::Column::LastSeenAt, "seen_at")
        .column_as(Expr::val(None::<String>), "key_role")
        .column(session::Column::UserId)
        .join(JoinType::InnerJoin, session::Relation::User.def())
        .filter(session::Column::TokenHash.eq(token::hash(token)))
        .filter(session::alive(lifetime.idle));
    find(db, select).await
}

async fn find_api_key(db: &Db, token: &str) -> Result<Option<Found>, Error> {
    let lasting = api_key::Column::ExpiresAt.is_null();
    let select = api_key::Entity::find()
        .select_only()
        .column(api_key::Column::Id)
        .column_as(api_key::Column::LastUsedAt, "seen_at")
        .column_as(api_key::Column::Role, "key_role")
        .column(api_key::Column::UserId)
        .join(JoinType::InnerJoin, api_key::Relation::User.def())
        .filter(api_key::Column::TokenHash.eq(token::hash(token)))
        .filter(lasting.or(api_key::Column::ExpiresAt.gt(now())));
    find(db, select).await
}

async fn find<E: EntityTrait>(db: &Db, select: Select<E>) -> Result<Option<Found>, Error> {
    let found = select
        .columns([user::Column::LicenseId, user::Column::Role, user::Column::IsStaff, user::Column::FullSiteAccess])
        .columns(user::RIGHTS)
        .join(JoinType::InnerJoin, user::Relation::License.def())
        .filter(active_in_valid_license())
        .into_model::<Found>()
        .one(db.read())
        .await?;
    Ok(found)
}

async fn note_use(db: &Db, id: Id) -> Result<(), Error> {
    let now = now();
    session::Entity::update_many()
        .col_expr(session::Column::LastSeenAt, Expr::value(now))
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::LastSeenAt.lt(now - SEEN_EVERY))
        .exec(db.write())
        .await?;
    Ok(())
}

async fn note_use_of_key(db: &Db, id: Id) -> Result<(), Error> {
    let now = now();
    let unseen = api_key::Column::LastUsedAt.is_null();
    api_key::Entity::update_many()
        .col_expr(api_key::Column::LastUsedAt, Expr::value(now))
        .filter(api_key::Column::Id.eq(id))
        .filter(unseen.or(api_key::Column::LastUsedAt.lt(now - SEEN_EVERY)))
        .exec(db.write())
        .await?;
    Ok(())
}

/// Ends the oldest sessions of too many, and forgets those that have run out.
async fn end_oldest(db: &impl ConnectionTrait, lifetime: Lifetime, user_id: Id) -> Result<(), Error> {
    let of_person = session::Column::UserId.eq(user_id);
    let run_out = session::alive(lifetime.idle).not();
    session::Entity::delete_many().filter(of_person).filter(run_out).exec(db).await?;
    let beyond: Vec<Id> = session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .filter(session::Column::UserId.eq(user_id))
        .order_by_desc(session::Column::CreatedAt)
        .order_by_desc(session::Column::Id)
        .offset(MOST_SESSIONS_OF_A_USER)
        .limit(MOST_SESSIONS_OF_A_USER)
        .into_tuple()
        .all(db)
        .await?;
    if !beyond.is_empty() {
        session::Entity::delete_many().filter(session::Column::Id.is_in(beyond)).exec(db).await?;
    }
    Ok(())
}

/// Signs the viewer out: ends the session that asks.
///
/// # Errors
/// Whatever the database says.
pub async fn end(db: &Db, viewer: &Viewer) -> Result<(), Error> {
    let signed_in = viewer.signed_in()?;
    let (Some(session_id), user_id) = (signed_in.session_id(), signed_in.user_id) else { return Ok(()) };
    let transaction = db.begin().await?;
    let ended = session::Entity::delete_by_id(session_id).exec(&transaction).await?.rows_affected;
    let person = user::Entity::find_by_id(user_id).one(&transaction).await?;
    let event = person.filter(|_| ended > 0).map(|person| Entry::new(AuditAction::SignedOut, &person).by(viewer));
    audit::commit(transaction, event).await
}

/// Which sessions of whom are to end.
pub struct Ending {
    /// Whose; the viewer's where nobody is named.
    pub user_id: Option<String>,
    /// Which; all where none is named.
    pub sessions: Option<Vec<Id>>,
    /// Whether the session that asks ends too.
    pub include_current: bool,
}

/// Ends sessions of the viewer or, for administrators, of somebody else; returns how many.
///
/// # Errors
/// `Rejected` for an unknown person; `Forbidden`.
pub async fn end_sessions(db: &Db, viewer: &Viewer, ending: Ending) -> Result<i32, Error> {
    let signed_in = viewer.signed_in()?;
    let mut form = Form::changing();
    let user_id = match &ending.user_id {
        Some(text) => form.id("userId", text),
        None => Some(signed_in.user_id),
    };
    if ending.sessions.as_ref().is_some_and(|ids| ids.len() > MOST_ITEMS) {
        form.fault("sessionIds", ErrorCode::TooLong, format!("At most {MOST_ITEMS}."));
    }
    form.finish()?;
    let user_id = user_id.unwrap_or(signed_in.user_id);
    let transaction = db.begin().await?;
    let person = credential::lock_seen(&transaction, viewer, "userId", user_id).await?;
    viewer.may_to(Action::EndSessions, &person)?;
    let spared = signed_in.session_id().filter(|_| !ending.include_current);
    let ended = credential::end_sessions(&transaction, user_id, ending.sessions.as_deref(), spared).await?;
    let event = Entry::new(AuditAction::SessionsEnded, &person).by(viewer).with([Change::of(
        "sessions",
        None,
        Some(ended.into()),
    )]);
    audit::commit(transaction, (ended > 0).then_some(event)).await?;
    Ok(ended)
}
