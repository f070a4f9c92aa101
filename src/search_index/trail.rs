//! What the search index reads from the database: the users, and who of them has changed.

use std::collections::BTreeSet;

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::documents::{Document, Documents};
use crate::audit;
use crate::db::Reader;
use crate::db::conditions::one_of;
use crate::entity::audit_event::{self, AuditAction, SubjectType};
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

/// The number of users that are read at once.
const USERS_AT_ONCE: u64 = 5_000;
/// The number of events that are read at once.
const EVENTS_AT_ONCE: u64 = 1_000;

/// The actions that can change what a user is found by, and who can see the user.
const ACTIONS: [AuditAction; 9] = [
    AuditAction::UserCreated,
    AuditAction::UserUpdated,
    AuditAction::UserActivated,
    AuditAction::UserDeactivated,
    AuditAction::UserDeleted,
    AuditAction::AccountActivated,
    AuditAction::PasswordReset,
    AuditAction::PasswordChanged,
    AuditAction::EmailChanged,
];

/// A position of the audit trail: the number and the hash of its last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    seq: i64,
    hash: Vec<u8>,
}

impl Position {
    /// Returns the position after the last event.
    pub(super) async fn current(db: &Reader) -> Result<Self, Error> {
        let audit::Head { seq, hash } = audit::Head::current(db).await?;
        Ok(Self { seq, hash })
    }
}

/// Reads which users have changed after a position, up to another one or a part of the way. Returns the position that was reached,
/// and the users. `None` if the trail does not have the first position.
pub(super) async fn changed_users(
    db: &Reader,
    after: &Position,
    until: &Position,
) -> Result<Option<(Position, BTreeSet<Id>)>, Error> {
    use audit_event::Column;
    let changes = Condition::all().add(Column::SubjectType.eq(SubjectType::User)).add(Column::Action.is_in(ACTIONS));
    let events = audit_event::Entity::find()
        .select_only()
        .columns([Column::Seq, Column::Hash, Column::SubjectId])
        .filter(Column::Seq.gte(after.seq))
        .filter(Column::Seq.lte(until.seq))
        .filter(Condition::any().add(Column::Seq.eq(after.seq)).add(changes))
        .order_by_asc(Column::Seq)
        .limit(EVENTS_AT_ONCE)
        .into_tuple::<(i64, Vec<u8>, Id)>()
        .all(db)
        .await?;
    let is_full = events.len() as u64 == EVENTS_AT_ONCE;
    let last = events.last().map(|(seq, hash, _)| Position { seq: *seq, hash: hash.clone() });
    let mut events = events.into_iter().peekable();
    let known = events.next_if(|(seq, ..)| *seq == after.seq);
    if after.seq > 0 && known.is_none_or(|(_, hash, _)| hash != after.hash) {
        return Ok(None);
    }
    let reached = last.filter(|_| is_full).unwrap_or_else(|| until.clone());
    Ok(Some((reached, events.map(|(.., user)| user).collect())))
}

/// Reads those of some users who exist.
pub(super) async fn read(db: &Reader, ids: &BTreeSet<Id>) -> Result<Documents, Error> {
    let of_ids = one_of(db.get_database_backend(), user::Column::Id, ids.iter().copied());
    let mut documents = Documents::default();
    read_into(&mut documents, db, users().filter(of_ids)).await?;
    Ok(documents)
}

/// Reads every user.
pub(super) async fn read_all(db: &Reader) -> Result<Documents, Error> {
    let (mut documents, mut last) = (Documents::default(), None::<Id>);
    loop {
        let after_last = last.map(|last| user::Column::Id.gt(last));
        let page = users().filter(Condition::all().add_option(after_last));
        let page = page.order_by_asc(user::Column::Id).limit(USERS_AT_ONCE);
        last = read_into(&mut documents, db, page).await?;
        if last.is_none() {
            return Ok(documents);
        }
    }
}

/// The columns of a user that the index has.
fn users() -> Select<user::Entity> {
    use user::Column;
    user::Entity::find().select_only().columns([Column::Id, Column::LicenseId, Column::IsActive, Column::SearchKey])
}

/// Adds the users that a statement selects. Returns the last one; `None` if there is none.
async fn read_into(documents: &mut Documents, db: &Reader, select: Select<user::Entity>) -> Result<Option<Id>, DbErr> {
    let rows = select.into_tuple::<(Id, Id, bool, String)>().all(db).await?;
    let last = rows.last().map(|(id, ..)| *id);
    for (id, license_id, is_active, key) in rows {
        documents.push(Document { id, license_id, is_active, key: &key });
    }
    Ok(last)
}
