//! The queries of the search index: all users, and those who have changed.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Statement,
};

use super::indexed_users::{IndexedUser, IndexedUsers};
use crate::audit;
use crate::db::Reader;
use crate::db::conditions::{contains, one_of};
use crate::entity::audit_event::{self, AuditAction, SubjectType};
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

/// The number of users that are read at once.
const USERS_AT_ONCE: u64 = 5_000;
/// The number of events that are read at once.
const EVENTS_AT_ONCE: u64 = 1_000;

/// The maximum number of events that are applied to users of a file. To load the users anew takes less time than more events.
const MAX_EVENTS_AFTER_FILE: i64 = 100_000;

/// The beginning of a part of an international domain in its DNS form.
const DNS_PREFIX: &str = "xn--";

/// A position of the audit trail: the number and the hash of its last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrailPosition {
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
}

impl TrailPosition {
    /// Returns the position after the last event.
    pub(super) async fn current(db: &Reader) -> Result<Self, Error> {
        let audit::Head { seq, hash } = audit::Head::current(db).await?;
        Ok(Self { seq, hash })
    }
}

/// An event of the trail that may have changed a user.
pub(super) struct ChangeEvent {
    pub(super) id: Id,
    pub(super) user_id: Id,
}

/// Reads the changes of users after a position, up to another one or a part of the way. Returns the position that was reached, and
/// the events. `None` if the trail does not have the first position.
pub(super) async fn changed_users(
    db: &Reader,
    after: &TrailPosition,
    until: &TrailPosition,
) -> Result<Option<(TrailPosition, Vec<ChangeEvent>)>, Error> {
    use audit_event::Column;
    let changes = Condition::all()
        .add(Column::SubjectType.eq(SubjectType::User))
        .add(Column::Action.is_in(AuditAction::USER_CHANGES));
    let events = audit_event::Entity::find()
        .select_only()
        .columns([Column::Seq, Column::Hash, Column::Id, Column::SubjectId])
        .filter(Column::Seq.gte(after.seq))
        .filter(Column::Seq.lte(until.seq))
        .filter(Condition::any().add(Column::Seq.eq(after.seq)).add(changes))
        .order_by_asc(Column::Seq)
        .limit(EVENTS_AT_ONCE)
        .into_tuple::<(i64, Vec<u8>, Id, Id)>()
        .all(db)
        .await?;
    let is_full = events.len() as u64 == EVENTS_AT_ONCE;
    let last = events.last().map(|(seq, hash, ..)| TrailPosition { seq: *seq, hash: hash.clone() });
    let mut events = events.into_iter().peekable();
    let known = events.next_if(|(seq, ..)| *seq == after.seq);
    if after.seq > 0 && known.is_none_or(|(_, hash, ..)| hash != after.hash) {
        return Ok(None);
    }
    let reached = last.filter(|_| is_full).unwrap_or_else(|| until.clone());
    Ok(Some((reached, events.map(|(.., id, user_id)| ChangeEvent { id, user_id }).collect())))
}

/// Returns why users who were saved at a position cannot be brought up to date by the events after it, if they cannot.
pub(super) async fn refusal(
    db: &Reader,
    saved: &TrailPosition,
    head: &TrailPosition,
) -> Result<Option<&'static str>, Error> {
    use audit_event::Column;
    if saved.seq <= 0 {
        return Ok(Some("it belongs to no audit event"));
    }
    if head.seq.saturating_sub(saved.seq) > MAX_EVENTS_AFTER_FILE {
        return Ok(Some("too much has changed since it was written"));
    }
    let of_interest = Condition::any().add(Column::Seq.eq(saved.seq)).add(Column::Action.eq(AuditAction::UserDeleted));
    let events = audit_event::Entity::find()
        .select_only()
        .columns([Column::Seq, Column::Hash])
        .filter(Column::Seq.gte(saved.seq))
        .filter(Column::Seq.lte(head.seq))
        .filter(of_interest)
        .order_by_asc(Column::Seq)
        .limit(2)
        .into_tuple::<(i64, Vec<u8>)>()
        .all(db)
        .await?;
    let mut events = events.into_iter();
    if events.next().is_none_or(|(seq, hash)| seq != saved.seq || hash != saved.hash) {
        return Ok(Some("its last audit event is not in the database"));
    }
    Ok(events.next().map(|_| "a user was erased since it was written"))
}

/// Returns the name of the last migration that was applied to the database.
pub(super) async fn last_migration(db: &Reader) -> Result<String, Error> {
    let sql = "SELECT max(version) FROM seaql_migrations";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let name = row.map(|row| row.try_get_by_index::<Option<String>>(0)).transpose()?.flatten();
    Ok(name.unwrap_or_default())
}

/// Reads those of some users who exist.
pub(super) async fn read(db: &Reader, ids: &BTreeSet<Id>) -> Result<IndexedUsers, Error> {
    use user::Column;
    let of_ids = one_of(db.get_database_backend(), Column::Id, ids.iter().copied());
    let rows = select_users()
        .columns([Column::UsernameKey, Column::EmailKey, Column::CertifiedEmailKey])
        .filter(of_ids)
        .into_tuple::<(Id, Id, bool, String, Option<String>, Option<String>, Option<String>)>()
        .all(db)
        .await?;
    let mut users = IndexedUsers::default();
    for (id, license_id, is_active, key, username, email, certified_email) in rows {
        users.push(IndexedUser { id, license_id, is_active, key: &key });
        let logins = [username, email, certified_email];
        users.has_international_domain |= logins.iter().flatten().any(|login| login.contains(DNS_PREFIX));
    }
    Ok(users)
}

/// Reads every user.
pub(super) async fn read_all(db: &Reader) -> Result<IndexedUsers, Error> {
    let has_international_domain = has_international_domain(db).await?;
    let mut users = IndexedUsers::new(has_international_domain);
    let mut last: Option<Id> = None;
    loop {
        let after_last = last.map(|last| user::Column::Id.gt(last));
        let page = select_users().filter(Condition::all().add_option(after_last));
        let page = page.order_by_asc(user::Column::Id).limit(USERS_AT_ONCE);
        let rows = page.into_tuple::<(Id, Id, bool, String)>().all(db).await?;
        let Some((last_id, ..)) = rows.last() else { return Ok(users) };
        last = Some(*last_id);
        for (id, license_id, is_active, key) in rows {
            users.push(IndexedUser { id, license_id, is_active, key: &key });
        }
    }
}

/// The columns of a user that the index has.
fn select_users() -> Select<user::Entity> {
    use user::Column;
    user::Entity::find().select_only().columns([Column::Id, Column::LicenseId, Column::IsActive, Column::SearchKey])
}

/// Returns whether any user has a username or address with an international domain.
async fn has_international_domain(db: &Reader) -> Result<bool, Error> {
    use user::Column;
    let is_postgres = db.get_database_backend() == DatabaseBackend::Postgres;
    let any = [Column::UsernameKey, Column::EmailKey, Column::CertifiedEmailKey]
        .into_iter()
        .map(|column| contains(Expr::col(column.as_column_ref()), DNS_PREFIX, is_postgres))
        .fold(Condition::any(), Condition::add);
    let user = user::Entity::find().select_only().column(Column::Id).filter(any);
    Ok(user.into_tuple::<Id>().one(db).await?.is_some())
}
