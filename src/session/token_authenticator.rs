//! The users of session tokens and API keys, read afresh for each request.
//!
//! Requests that arrive at the same time share a statement: it begins after each of them has arrived, so none gets rights that were
//! withdrawn before.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::Timer;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::task::{FutureObj, Spawn, SpawnError};
use sea_orm::sea_query::{Expr, ExprTrait, IntoCondition};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect, RelationTrait, Select};
use tokio::runtime::Handle;
use tracing::Instrument;

use crate::access::{AuthMethod, SignedIn, ViewerRow, active_in_valid_license};
use crate::auth::avatar_link::LinkViewer;
use crate::auth::policy::Lifetime;
use crate::auth::token::{self, TokenKind};
use crate::db::Db;
use crate::db::conditions::one_of_few;
use crate::entity::user::Role;
use crate::entity::{api_key, session, user};
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::trace;

/// The shortest time between two writes of the last use of a session or API key.
const MIN_SEEN_INTERVAL: TimeDelta = TimeDelta::minutes(1);
/// Maximum number of tokens in one statement.
const MAX_TOKENS: usize = 64;

/// The purpose for which a token is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// A request, which is a use of the token.
    Request,
    /// A connection that stays open. It is a use of an API key, but not of a session: a page that is merely open does not keep
    /// its session from expiring.
    OpenConnection,
}

/// Tells who the user of a token is; cheap to clone.
#[derive(Clone)]
pub struct TokenAuthenticator(Arc<DataLoader<Owners>>);

impl TokenAuthenticator {
    #[must_use]
    pub fn new(db: &Db, lifetime: Lifetime) -> Self {
        let (db, runtime) = db.unlimited();
        let spawner = TaskSpawner(runtime.clone());
        Self(Arc::new(DataLoader::new(Owners { db, lifetime }, spawner, NextTurn).max_batch_size(MAX_TOKENS)))
    }

    /// Returns the user of a session token or API key, read afresh: the session or key has not ended, the user is active, and
    /// the license is valid. Records the use of the token.
    ///
    /// # Errors
    /// `Unauthenticated` if the token is not, or no longer, valid.
    pub async fn authenticate(
        &self,
        token: &str,
        token_use: TokenUse,
        request_id: Option<String>,
    ) -> Result<SignedIn, Error> {
        let found = match TokenKind::of(token) {
            Some(TokenKind::Session) => self.0.load_one(SessionToken(token::hash(token))).await?,
            Some(TokenKind::ApiKey) => self.0.load_one(ApiKeyToken(token::hash(token))).await?,
            Some(TokenKind::Device | TokenKind::Link) | None => None,
        };
        let owner = found.ok_or(Error::Unauthenticated)?;
        if token_use == TokenUse::Request || owner.key_role.is_some() {
            record_use(&self.0.loader().db, &owner);
        }
        Ok(owner.signed_in(request_id))
    }

    /// Returns the user of the session or API key for which the URL of a picture was made, read afresh. It is not a use of either: a
    /// page that is merely open does not keep its session from expiring.
    ///
    /// # Errors
    /// `Unauthenticated` if the session or key is no longer valid.
    pub async fn authenticate_link(&self, viewer: LinkViewer, request_id: Option<String>) -> Result<SignedIn, Error> {
        let owners = self.0.loader();
        let found = match viewer {
            LinkViewer::Session(id) => owners.sessions(session::Column::Id.eq(id)).await?,
            LinkViewer::ApiKey(id) => owners.api_keys(api_key::Column::Id.eq(id)).await?,
        };
        let owner = found.into_iter().next().ok_or(Error::Unauthenticated)?;
        Ok(owner.signed_in(request_id))
    }
}

/// The hash of a session token.
#[derive(Clone, PartialEq, Eq, Hash)]
struct SessionToken(Vec<u8>);

/// The hash of an API key.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ApiKeyToken(Vec<u8>);

/// A valid session or API key, with the columns that identify the viewer and the viewer's rights.
#[derive(Clone, FromQueryResult)]
struct Owner {
    id: Id,
    token_hash: Vec<u8>,
    seen_at: Option<DateTime<Utc>>,
    key_role: Option<Role>,
    document_set: Option<String>,
    #[sea_orm(nested)]
    user: ViewerRow,
}

impl Owner {
    fn signed_in(self, request_id: Option<String>) -> SignedIn {
        let auth_method = self.key_role.map_or(AuthMethod::Session(self.id), |role| AuthMethod::ApiKey(self.id, role));
        SignedIn { document_set: self.document_set, ..SignedIn::new(&self.user, auth_method, request_id) }
    }
}

/// Reads the owners of tokens.
struct Owners {
    db: Db,
    lifetime: Lifetime,
}

impl Loader<SessionToken> for Owners {
    type Value = Owner;
    type Error = Error;

    async fn load(&self, tokens: &[SessionToken]) -> Result<HashMap<SessionToken, Owner>, Error> {
        let hashes = tokens.iter().map(|token| token.0.clone()).collect();
        let owners = self.sessions(one_of_few(session::Column::TokenHash, hashes)).await?;
        Ok(owners.into_iter().map(|owner| (SessionToken(owner.token_hash.clone()), owner)).collect())
    }
}

impl Loader<ApiKeyToken> for Owners {
    type Value = Owner;
    type Error = Error;

    async fn load(&self, tokens: &[ApiKeyToken]) -> Result<HashMap<ApiKeyToken, Owner>, Error> {
        let hashes = tokens.iter().map(|token| token.0.clone()).collect();
        let owners = self.api_keys(one_of_few(api_key::Column::TokenHash, hashes)).await?;
        Ok(owners.into_iter().map(|owner| (ApiKeyToken(owner.token_hash.clone()), owner)).collect())
    }
}

/// The columns of a session and its user. The statements are kept because every request begins with one.
static SESSIONS: LazyLock<Select<session::Entity>> = LazyLock::new(|| {
    let select = session::Entity::find()
        .select_only()
        .columns([session::Column::Id, session::Column::TokenHash])
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
        .columns([api_key::Column::Id, api_key::Column::TokenHash])
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

impl Owners {
    async fn sessions(&self, condition: impl IntoCondition) -> Result<Vec<Owner>, Error> {
        self.find(SESSIONS.clone().filter(condition).filter(session::alive(self.lifetime.idle))).await
    }

    async fn api_keys(&self, condition: impl IntoCondition) -> Result<Vec<Owner>, Error> {
        self.find(API_KEYS.clone().filter(condition).filter(api_key::alive())).await
    }

    async fn find<E: EntityTrait>(&self, select: Select<E>) -> Result<Vec<Owner>, Error> {
        let select = select.filter(active_in_valid_license()).into_model::<Owner>();
        Ok(select.all(self.db.read()).await?)
    }
}

/// Records the use of a token, unless one was recorded just now.
fn record_use(db: &Db, owner: &Owner) {
    if owner.seen_at.is_some_and(|seen_at| seen_at + MIN_SEEN_INTERVAL >= now()) {
        return;
    }
    let (db, id, is_key) = (db.clone(), owner.id, owner.key_role.is_some());
    // Not awaited: a read must neither wait for the writer nor fail with it.
    tokio::spawn(async move {
        let recorded = if is_key { touch_api_key(&db, id).await } else { touch_session(&db, id).await };
        if let Err(error) = recorded {
            tracing::warn!(error = error.for_log(), "failed to record the last use of a token");
        }
    });
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

/// Spawns the load of a statement. Its caller may disconnect while others wait for it as well.
struct TaskSpawner(Handle);

impl Spawn for TaskSpawner {
    fn spawn_obj(&self, load: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.spawn(trace::inherit(load.in_current_span()));
        Ok(())
    }
}

/// Waits until the requests that have arrived as well have had their turn.
struct NextTurn;

impl Timer for NextTurn {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        tokio::task::yield_now().boxed()
    }
}
