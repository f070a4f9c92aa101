//! Signing in and staying signed in.

pub mod mutation;
pub mod query;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use rand::TryRng;
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, JoinType,
    QueryFilter, QueryOrder, QuerySelect, RelationTrait,
};
use sha2::{Digest, Sha256};

use crate::access::{Rank, SignedIn};
use crate::context::{Client, Lifetime};
use crate::db::Db;
use crate::entity::session::MOST_SESSIONS_OF_A_USER;
use crate::entity::user::{AdminRights, Role};
use crate::entity::{credential, license, session, user};
use crate::error::{Error, ErrorCode, MutationError};
use crate::password::{Hasher, Verdict};
use crate::scalar::{Date, Id, now};
use crate::text;

/// What every token begins with, so that secret scanners recognise one.
const TOKEN_PREFIX: &str = "ros_";
/// The most characters that a username or an address has; what is longer is nobody's, and not looked for.
const LONGEST_LOGIN: usize = 250;
/// How often `lastSeenAt` is written at most.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A session that has just begun. The token is shown this once.
pub struct Opened {
    pub id: Id,
    pub user: user::Model,
    pub token: String,
    pub expires_at: DateTime<Utc>,
}

/// The columns that tell who is asking and what he may do.
#[derive(FromQueryResult)]
struct Found {
    session_id: Id,
    last_seen_at: DateTime<Utc>,
    user_id: Id,
    license_id: Id,
    role: Role,
    is_staff: bool,
    full_site_access: bool,
    #[sea_orm(nested)]
    rights: AdminRights,
}

/// Who holds a token, read afresh: the session has not ended, the person is active, the license has not expired.
///
/// # Errors
/// `Unauthenticated` where the token is not, or no longer, of any use.
pub async fn authenticate(db: &Db, lifetime: Lifetime, token: &str) -> Result<SignedIn, Error> {
    let found = find(db, lifetime, token).await?.ok_or(Error::Unauthenticated)?;
    if found.last_seen_at + SEEN_EVERY < now() {
        let (db, id) = (db.clone(), found.session_id);
        // Not awaited: a read does not wait for the writer's turn, nor fail with it.
        tokio::spawn(async move {
            if let Err(error) = note_use(&db, id).await {
                tracing::warn!(?error, "the last use of a session was not noted");
            }
        });
    }
    Ok(SignedIn {
        user_id: found.user_id,
        session_id: found.session_id,
        license_id: found.license_id,
        rank: Rank::of(found.role, found.is_staff, found.rights),
        rights: found.rights,
        full_site_access: found.full_site_access,
    })
}

async fn find(db: &Db, lifetime: Lifetime, token: &str) -> Result<Option<Found>, Error> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let now = now();
    let found = session::Entity::find()
        .select_only()
        .column_as(session::Column::Id, "session_id")
        .column(session::Column::LastSeenAt)
        .column(session::Column::UserId)
        .columns([user::Column::LicenseId, user::Column::Role, user::Column::IsStaff, user::Column::FullSiteAccess])
        .columns(user::RIGHTS)
        .join(JoinType::InnerJoin, session::Relation::User.def())
        .join(JoinType::InnerJoin, user::Relation::License.def())
        .filter(session::Column::TokenHash.eq(token_hash(token)))
        .filter(session::Column::ExpiresAt.gt(now))
        .filter(session::Column::LastSeenAt.gt(now - lifetime.idle))
        .filter(user::Column::IsActive.eq(true))
        .filter(license_is_valid())
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

/// Signs a person in by username or e-mail address and password.
///
/// # Errors
/// `Rejected` with one and the same fault for an unknown login, a wrong password and no password set; with INACTIVE
/// where the password is right but the person inactive or the license expired. `RateLimited` where too many sign in at
/// once.
pub async fn login(
    db: &Db,
    hasher: &Hasher,
    lifetime: Lifetime,
    client: &Client,
    login: &str,
    password: String,
) -> Result<Opened, Error> {
    let found = if login.chars().count() > LONGEST_LOGIN { None } else { find_by_login(db, login).await? };
    let hash = match &found {
        Some((person, _)) => credential::Entity::find_by_id(person.id).one(db.read()).await?,
        None => None,
    };
    let hash = hash.map(|credential| credential.password_hash);
    let right = matches!(hasher.verify(password, hash.clone()).await?, Verdict::Right | Verdict::Outdated);
    let (person, license) = match found {
        Some(found) if right => found,
        _ => return Err(wrong()),
    };
    if !person.is_active || license.is_some_and(|license| license.expires_on.is_some_and(|last| last < Date::today())) {
        return Err(inactive());
    }
    begin(db, lifetime, client, person, hash.as_deref()).await
}

async fn find_by_login(db: &Db, login: &str) -> Result<Option<(user::Model, Option<license::Model>)>, Error> {
    let login = login.trim();
    let named = Condition::any()
        .add(user::Column::EmailKey.eq(text::canonical_email(login)))
        .add(user::Column::UsernameKey.eq(text::canonical(login)));
    // Somebody's username may be the text of another's address; the address goes first.
    let people = user::Entity::find().filter(named).all(db.read()).await?;
    let Some(person) =
        people.into_iter().min_by_key(|person| person.email_key.as_deref() != Some(&text::canonical_email(login)))
    else {
        return Ok(None);
    };
    let license = license::Entity::find_by_id(person.license_id).one(db.read()).await?;
    Ok(Some((person, license)))
}

fn wrong() -> Error {
    refused(ErrorCode::InvalidCredentials, "The login or the password is wrong.")
}

fn inactive() -> Error {
    refused(ErrorCode::Inactive, "This account is deactivated; ask an administrator.")
}

fn refused(code: ErrorCode, message: &str) -> Error {
    Error::Rejected(vec![MutationError { code, path: vec!["input".to_owned()], message: message.to_owned() }])
}

/// Begins a session for a person and notes the sign-in. Of too many sessions the oldest end.
///
/// # Errors
/// `Rejected` with INACTIVE where the person was deactivated meanwhile; whatever the database says.
pub async fn open(db: &Db, lifetime: Lifetime, client: &Client, person: user::Model) -> Result<Opened, Error> {
    begin(db, lifetime, client, person, None).await
}

/// Begins a session. It takes long to verify a password: what was `verified` must be the person's still, and the person
/// active still, or the session would outlive what ends all others.
async fn begin(
    db: &Db,
    lifetime: Lifetime,
    client: &Client,
    mut person: user::Model,
    verified: Option<&str>,
) -> Result<Opened, Error> {
    let now = now();
    let token = new_token()?;
    let session = session::Model {
        id: Id::new(),
        user_id: person.id,
        token_hash: token_hash(&token),
        created_at: now,
        last_seen_at: now,
        expires_at: now + lifetime.absolute,
        user_agent: client.user_agent.as_ref().map(|agent| agent.chars().take(200).collect()),
        ip_address: client.ip_address.map(|address| address.to_string()),
    };
    let (id, expires_at) = (session.id, session.expires_at);
    let transaction = db.begin().await?;
    // The person's row goes first: it is the lock under which sign-ins and what ends them take turns.
    let noted = user::Entity::update_many()
        .col_expr(user::Column::LastLogin, Expr::value(now))
        .filter(user::Column::Id.eq(person.id))
        .filter(user::Column::IsActive.eq(true))
        .exec(&transaction)
        .await?;
    if noted.rows_affected == 0 {
        return Err(inactive());
    }
    if let Some(verified) = verified {
        let current = credential::Entity::find_by_id(person.id).one(&transaction).await?;
        if current.is_none_or(|current| current.password_hash != verified) {
            return Err(wrong());
        }
    }
    session.into_active_model().reset_all().insert(&transaction).await?;
    end_oldest(&transaction, person.id).await?;
    transaction.commit().await?;
    person.last_login = Some(now);
    Ok(Opened { id, user: person, token, expires_at })
}

/// Ends the oldest sessions of too many, and forgets those that have run out.
async fn end_oldest(db: &impl ConnectionTrait, user_id: Id) -> Result<(), Error> {
    let of_person = session::Column::UserId.eq(user_id);
    let run_out = session::Column::ExpiresAt.lte(now());
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

/// Ends one session.
///
/// # Errors
/// Whatever the database says.
pub async fn end(db: &Db, id: Id) -> Result<(), Error> {
    session::Entity::delete_by_id(id).exec(db.write()).await?;
    Ok(())
}

fn license_is_valid() -> Condition {
    Condition::any().add(license::Column::ExpiresOn.is_null()).add(license::Column::ExpiresOn.gte(Date::today()))
}

fn new_token() -> Result<String, Error> {
    let mut secret = [0_u8; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut secret).map_err(Error::internal)?;
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
}

fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
