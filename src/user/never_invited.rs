//! Invitations of all users of a license who were never invited, for the operator of the server.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Condition;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait, Select,
};

use crate::access::{active_in_valid_license, of_license};
use crate::audit::{self, Entry};
use crate::db::Db;
use crate::db::conditions::one_of;
use crate::entity::audit_event::AuditAction;
use crate::entity::{invitation, user};
use crate::error::Error;
use crate::mail::MailQueue;
use crate::scalar::{Id, now};

/// The number of users who are invited in one transaction.
const PAGE: u64 = 100;

/// The times at which emails are sent, one after the other, so that they do not delay others in the queue.
pub struct SendingTimes {
    next: DateTime<Utc>,
    interval: TimeDelta,
}

impl SendingTimes {
    /// Returns times that begin now; `per_minute` is at least 1.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { next: now(), interval: TimeDelta::microseconds(60_000_000 / i64::from(per_minute.max(1))) }
    }

    fn take(&mut self) -> DateTime<Utc> {
        let time = self.next;
        self.next += self.interval;
        time
    }
}

/// Returns the first users after an ID who can be invited: active users with an email address.
pub async fn candidates(db: &Db, license_id: Id, after: Option<Id>) -> Result<Vec<user::Model>, Error> {
    let with_email = never_invited(license_id).filter(user::Column::Email.is_not_null());
    let rest = with_email.filter(Condition::all().add_option(after.map(|id| user::Column::Id.gt(id))));
    Ok(rest.order_by_asc(user::Column::Id).limit(PAGE).all(db.read()).await?)
}

/// Returns the number of active users who were never invited because they have no email address.
pub async fn count_without_email(db: &Db, license_id: Id) -> Result<u64, Error> {
    Ok(never_invited(license_id).filter(user::Column::Email.is_null()).count(db.read()).await?)
}

fn never_invited(license_id: Id) -> Select<user::Entity> {
    user::Entity::find()
        .join(JoinType::InnerJoin, user::Relation::License.def())
        .filter(of_license(user::Column::LicenseId, license_id))
        .filter(active_in_valid_license())
        .filter(invitation::not_invited())
}

/// Invites candidates, except those who meanwhile were invited or deactivated. Returns how many were invited.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn invite(
    db: &Db,
    queue: MailQueue<'_>,
    candidates: &[user::Model],
    times: &mut SendingTimes,
) -> Result<u64, Error> {
    let transaction = db.begin().await?;
    let ids = candidates.iter().map(|user| user.id);
    let of_ids = one_of(transaction.get_database_backend(), user::Column::Id, ids);
    let found = user::Entity::find().filter(of_ids).order_by_asc(user::Column::Id);
    let locked = found.clone().select_only().column(user::Column::Id).lock_exclusive();
    locked.into_tuple::<Id>().all(&transaction).await?;
    // Only a statement that begins after the locks sees who was invited before them.
    let users = found
        .filter(user::Column::IsActive.eq(true))
        .filter(user::Column::Email.is_not_null())
        .filter(invitation::not_invited())
        .all(&transaction)
        .await?;
    for user in &users {
        queue.invite_at(&transaction, user, None, times.take()).await?;
    }
    let events = users.iter().map(|user| Entry::new(AuditAction::LinkCreated, user));
    audit::commit(transaction, events).await?;
    Ok(users.len() as u64)
}
