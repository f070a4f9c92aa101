//! Changes without end, so that there is something to follow: positions of users, and members of groups.

use std::collections::VecDeque;
use std::time::Duration;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::DemoViewer;
use crate::access::Viewer;
use crate::auth::password::Hasher;
use crate::auth::policy::Lifetime;
use crate::client::Client;
use crate::db::Db;
use crate::entity::membership::{self, GroupRole};
use crate::entity::user::{self, Role, UserFields};
use crate::error::Error;
use crate::i18n::language::Language;
use crate::scalar::Id;
use crate::session::{self, TokenAuthenticator, TokenUse};
use crate::user::input::UpdateUserInput;
use crate::user::update::update;
use crate::{entity, group};

/// The time between two changes.
const INTERVAL: Duration = Duration::from_millis(400);
/// The time after which another session is started, if it could not be.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);
/// The number of users, and of groups, that change.
const CHANGING: u64 = 50;
/// The number of memberships that the demo adds before it removes the first one again.
const MAX_ADDED: usize = 5;
const POSITIONS: [&str; 7] =
    ["Nurse", "Ward Sister", "Physiotherapist", "Registrar", "Radiographer", "Pharmacist", "Night Nurse"];

/// The state of a busy demo.
pub struct Busy {
    db: Db,
    hasher: Hasher,
    lifetime: Lifetime,
    user_id: Id,
    viewer: Viewer,
    users: Vec<Id>,
    groups: Vec<Id>,
    /// The memberships that were added, as group and user.
    added: VecDeque<(Id, Id)>,
}

impl Busy {
    /// Prepares the changes, which are made as `by`, in a session of its own.
    ///
    /// # Errors
    /// `Unauthenticated` if the user no longer exists; `Rejected` if the user is inactive.
    pub async fn new(db: &Db, hasher: &Hasher, lifetime: Lifetime, by: &DemoViewer) -> Result<Self, Error> {
        let viewer = sign_in(db, lifetime, by.user_id).await?;
        let users = user::Entity::find().filter(viewer.listed_users(false)).filter(user::Column::Role.eq(Role::User));
        let users = users.select_only().column(user::Column::Id).order_by_desc(user::Column::Id).limit(CHANGING);
        let groups = entity::group::Entity::find().filter(viewer.visible_groups()).select_only();
        let groups = groups.column(entity::group::Column::Id).order_by_asc(entity::group::Column::Id).limit(CHANGING);
        Ok(Self {
            users: users.into_tuple().all(db.read()).await?,
            groups: groups.into_tuple().all(db.read()).await?,
            db: db.clone(),
            hasher: hasher.clone(),
            lifetime,
            user_id: by.user_id,
            viewer,
            added: VecDeque::new(),
        })
    }

    /// Makes a change every now and then, until it is dropped.
    pub async fn run(mut self) {
        let mut number = 0_usize;
        loop {
            tokio::time::sleep(INTERVAL).await;
            match self.change(number).await {
                Ok(()) => {}
                // The session has expired, or whoever tries the demo has ended it.
                Err(Error::Unauthenticated) => self.renew_session().await,
                // Others may change the same users and groups, or delete them.
                Err(error) => tracing::debug!(error = error.for_log(), "a change of the busy demo failed"),
            }
            number = number.wrapping_add(1);
        }
    }

    /// Starts another session, or waits if that is not possible.
    async fn renew_session(&mut self) {
        match sign_in(&self.db, self.lifetime, self.user_id).await {
            Ok(viewer) => self.viewer = viewer,
            Err(error) => {
                tracing::debug!(error = error.for_log(), "the busy demo could not start another session");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }

    async fn change(&mut self, number: usize) -> Result<(), Error> {
        let item = |items: &[Id], step: usize| items.get((number * step) % items.len().max(1)).copied();
        let (Some(user), group) = (item(&self.users, 7), item(&self.groups, 3)) else { return Ok(()) };
        match group {
            Some(group) if number % 3 == 2 => self.change_members(group, user).await,
            _ => self.change_position(user, number).await,
        }
    }

    async fn change_position(&self, user: Id, number: usize) -> Result<(), Error> {
        let position = POSITIONS.get(number % POSITIONS.len()).copied().unwrap_or_default();
        let input = UpdateUserInput {
            id: user.into(),
            expected_version: None,
            first_name: Undefined,
            last_name: Undefined,
            password: Undefined,
            pin: Undefined,
            fields: UserFields { position: Given(position.to_owned()), ..UserFields::default() },
            attributes: Undefined,
            dry_run: false,
        };
        Box::pin(update(&self.db, &self.hasher, &self.viewer, Language::English, input)).await?;
        Ok(())
    }

    /// Adds a user to a group, or removes the user who was added first.
    async fn change_members(&mut self, group: Id, user: Id) -> Result<(), Error> {
        let oldest = if self.added.len() < MAX_ADDED { None } else { self.added.pop_front() };
        if let Some((group, user)) = oldest {
            group::remove_member(&self.db, &self.viewer, &group.0.to_string(), &user.0.to_string()).await?;
            return Ok(());
        }
        if membership::Entity::find_by_id((user, group)).one(self.db.read()).await?.is_none() {
            let (group_id, user_id) = (group.0.to_string(), user.0.to_string());
            group::set_member(&self.db, &self.viewer, &group_id, &user_id, GroupRole::Member).await?;
            self.added.push_back((group, user));
        }
        Ok(())
    }
}

/// Starts a session of a user.
async fn sign_in(db: &Db, lifetime: Lifetime, user_id: Id) -> Result<Viewer, Error> {
    let user = user::Entity::find_by_id(user_id).one(db.read()).await?.ok_or(Error::Unauthenticated)?;
    let token = session::start(db, lifetime, &Client::default(), &user).await?.token;
    let authenticator = TokenAuthenticator::new(db, lifetime);
    Ok(Viewer::SignedIn(authenticator.authenticate(&token, TokenUse::Request, None).await?))
}
