//! Logins of other licenses: limits how many a user can find out.
//!
//! Usernames and email addresses are one namespace across licenses, so that a login identifies one user. `TAKEN` therefore
//! reveals that a user whom the viewer may not see has a login. Each such response is recorded, and after a few there are no
//! more.

use std::collections::HashSet;

use async_graphql::MaybeUndefined;
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};

use crate::access::{Action, Viewer};
use crate::audit::{self, Entry};
use crate::auth::throttle::{self, LoginInputs};
use crate::db::Db;
use crate::db::conditions::one_of;
use crate::entity::audit_event::AuditAction;
use crate::entity::user::{self, UserFields};
use crate::error::{Error, ErrorCode};
use crate::login;
use crate::scalar::Id;
use crate::text;
use crate::validation::rule::MAX_EMAIL_LENGTH;

/// The logins in an input.
pub(super) struct Logins {
    given: Vec<String>,
    /// Whether the input is a dry run.
    is_dry_run: bool,
    /// Whether the work checks the limit itself before it reveals anything.
    is_checked_by_work: bool,
}

impl Logins {
    /// Reads the logins of an input. Skips those that are absent, null or too long.
    pub(super) fn of(fields: &UserFields, is_dry_run: bool) -> Self {
        let given = [&fields.username, &fields.email].into_iter().filter_map(|login| match login {
            MaybeUndefined::Value(login) => Some(login.trim()),
            MaybeUndefined::Null | MaybeUndefined::Undefined => None,
        });
        let possible = given.filter(|login| login.chars().count() <= MAX_EMAIL_LENGTH);
        Self { given: possible.map(str::to_owned).collect(), is_dry_run, is_checked_by_work: false }
    }

    /// Reads the logins of an input as [`Logins::of`] does, for work that checks the limit itself unless it is a dry run.
    pub(super) fn checked_by_work(fields: &UserFields, is_dry_run: bool) -> Self {
        Self { is_checked_by_work: !is_dry_run, ..Self::of(fields, is_dry_run) }
    }

    /// Runs `work`, which may fail because a login is taken. An error that reveals a login of another license is counted and
    /// recorded, without the login.
    ///
    /// # Errors
    /// Those of `work`; `RateLimited` for a viewer who has had too many such errors, or has too many such inputs under way.
    pub(super) async fn guard<T>(
        self,
        inputs: &LoginInputs,
        db: &Db,
        viewer: &Viewer,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let user_id = viewer.signed_in()?.user_id;
        if self.given.is_empty() {
            return work.await;
        }
        let _place = inputs.0.take(user_id).await.ok_or_else(too_many)?;
        if !self.is_checked_by_work {
            throttle::check_foreign_logins(db, user_id).await?;
        }
        let outcome = work.await;
        if !matches!(&outcome, Err(error) if is_of_login(error)) || !self.are_foreign(db, viewer).await? {
            if self.is_dry_run || outcome.is_err() {
                // Of many concurrent inputs, most began before the others were counted. That a login is free is information, too.
                throttle::check_foreign_logins(db, user_id).await?;
            }
            return outcome;
        }
        record(db, viewer, 1).await.and(outcome)
    }

    /// Returns whether one of the logins belongs to a user whom the viewer may not see.
    async fn are_foreign(&self, db: &Db, viewer: &Viewer) -> Result<bool, Error> {
        let forms = |login: &String| text::former_logins(login).into_iter().chain([text::canonical_login(login)]);
        let keys: Vec<String> = self.given.iter().flat_map(forms).collect();
        let named = [user::Column::UsernameKey, user::Column::EmailKey].map(|column| column.is_in(keys.clone()));
        let named = named.into_iter().fold(Condition::any(), Condition::add);
        let owners = user::Entity::find().filter(named).all(db.read()).await?;
        Ok(owners.iter().any(|owner| viewer.may_on(Action::ReadDirectory, owner).is_err()))
    }
}

/// Runs `work` with an input of several users, which reveals whose logins are taken. Those of other licenses are counted and
/// recorded before, without the logins.
///
/// # Errors
/// Those of `work`; `RateLimited` for a viewer who has come upon too many of them, or has too many such inputs under way.
pub async fn guard_all<T>(
    inputs: &LoginInputs,
    db: &Db,
    viewer: &Viewer,
    keys: Vec<String>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    if keys.is_empty() {
        return work.await;
    }
    let user_id = viewer.signed_in()?.user_id;
    let _place = inputs.0.take(user_id).await.ok_or_else(too_many)?;
    throttle::check_foreign_logins(db, user_id).await?;
    let found = count_foreign(db, viewer, keys).await?;
    if found > 0 {
        record(db, viewer, i32::try_from(found).unwrap_or(i32::MAX)).await?;
    }
    work.await
}

/// Returns the number of users whom the viewer cannot see and who have one of the logins.
async fn count_foreign(db: &Db, viewer: &Viewer, keys: Vec<String>) -> Result<u64, Error> {
    let holders: HashSet<Id> = login::find_holders(db.read(), keys).await?.into_values().collect();
    if holders.is_empty() {
        return Ok(0);
    }
    let count = holders.len() as u64;
    let of_holders = one_of(db.read().get_database_backend(), user::Column::Id, holders);
    let visible = user::Entity::find().filter(of_holders).filter(viewer.visible_users());
    Ok(count.saturating_sub(visible.count(db.read()).await?))
}

/// Counts and records that a viewer has come upon logins of other licenses.
///
/// # Errors
/// `RateLimited` if there were too many.
#[expect(clippy::disallowed_methods, reason = "what a user tried is recorded, whatever has become of the user")]
async fn record(db: &Db, viewer: &Viewer, count: i32) -> Result<(), Error> {
    let signed_in = viewer.signed_in()?;
    let user_id = signed_in.user_id;
    let counted = throttle::count_foreign_logins(db, user_id, count).await;
    if let Some(user) = user::Entity::find_by_id(user_id).one(db.read()).await? {
        let event = Entry::new(AuditAction::ForeignLoginFound, &user);
        let event = event.by_user(user_id, signed_in.request_id.clone());
        audit::commit(db.begin().await?, [event]).await?;
    }
    counted
}

fn too_many() -> Error {
    Error::RateLimited("Too many of your requests are changing users; try again.".to_owned())
}

/// Returns whether an error says that a username or an email address is taken.
fn is_of_login(error: &Error) -> bool {
    let Error::Rejected(errors) = error else { return false };
    let is_login = |path: &[String]| matches!(path, [_, field] if field == "username" || field == "email");
    errors.iter().any(|error| error.code == ErrorCode::Taken && is_login(&error.path))
}
