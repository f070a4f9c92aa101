//! The server keys that a database knows, by their fingerprints. It says which key makes new hashes, so that all servers change to
//! the next one together.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement};
use serde_json::Value;

use super::key_ring::ServerKeys;
use super::key_use::{self, KeyUse, OldKey};
use super::server_key::{HeldKeys, Key};
use crate::audit::{self, Change, Entry};
use crate::db::{Db, Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::other_server_key::KeyState;
use crate::entity::{erased_reference, license, other_server_key, server_key, server_key_report};
use crate::error::Error;
use crate::scalar::{Id, now};

/// Reads all keys at one moment.
const READ: &str = "\
SELECT server_key.fingerprint, other_server_keys.fingerprint, other_server_keys.state, other_server_keys.since
FROM server_key LEFT JOIN other_server_keys ON true";

/// The server keys that a database knows. Fingerprints are in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseKeys {
    /// The key that makes new hashes; `None` if the database is not bound to a key yet.
    pub current: Option<String>,
    /// The key that is about to become the current one.
    pub next: Option<String>,
    /// The key that was the current one.
    pub old: Option<OldKey>,
    /// The keys that must not be used any more.
    pub retired: Vec<String>,
}

/// The result of [`retire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// The old key is retired; what needed it is lost.
    Done(KeyUse),
    /// The old key is still needed.
    Refused(KeyUse),
}

impl DatabaseKeys {
    /// Reads the keys.
    pub async fn read(db: &impl ConnectionTrait) -> Result<Self, Error> {
        let mut keys = Self::default();
        for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), READ)).await? {
            keys.current = Some(hex::encode(row.try_get_by_index::<Vec<u8>>(0)?));
            let Some(fingerprint) = row.try_get_by_index::<Option<String>>(1)? else { continue };
            match row.try_get_by_index::<KeyState>(2)? {
                KeyState::Next => keys.next = Some(fingerprint),
                KeyState::Old => keys.old = Some(OldKey { fingerprint, since: row.try_get_by_index(3)? }),
                KeyState::Retired => keys.retired.push(fingerprint),
            }
        }
        Ok(keys)
    }

    /// Returns whether a key is being replaced.
    #[must_use]
    pub const fn is_rotating(&self) -> bool {
        self.next.is_some() || self.old.is_some()
    }

    /// Returns the fingerprints of the keys without which the secrets of the database cannot be verified.
    #[must_use]
    pub fn needed(&self) -> Vec<&str> {
        let old = self.old.as_ref().map(|old| old.fingerprint.as_str());
        self.current.as_deref().into_iter().chain(old).collect()
    }

    /// Returns those of the held keys that this database uses; `None` if one that it needs is not held. A database that is not bound
    /// to a key uses the first.
    #[must_use]
    pub fn select(&self, held: &HeldKeys) -> Option<ServerKeys> {
        let current = match &self.current {
            Some(fingerprint) => held.find(fingerprint)?,
            None => held.first(),
        };
        let old = match &self.old {
            Some(old) => Some(held.find(&old.fingerprint)?),
            None => None,
        };
        let next = self.next.as_deref().and_then(|fingerprint| held.find(fingerprint));
        Some(ServerKeys::new(current.clone(), old.into_iter().chain(next).cloned().collect()))
    }

    /// Returns whether a key has been used for this database.
    #[must_use]
    pub fn has_used(&self, key: &Key) -> bool {
        let fingerprint = key.fingerprint_text();
        self.needed().contains(&fingerprint.as_str()) || self.retired.contains(&fingerprint)
    }
}

/// Binds a database to a key, unless it is bound to one already.
pub async fn bind(db: &Db, key: &Key) -> Result<(), Error> {
    let row = server_key::Model { only_one: 1, fingerprint: key.fingerprint().to_vec() };
    let claim = server_key::Entity::insert(rows::active(row)).on_conflict_do_nothing();
    claim.exec_without_returning(db.write()).await?;
    Ok(())
}

/// Announces the key that will replace the current one, in place of one that was announced before.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
pub async fn announce(db: &Db, next: &Key) -> Result<(), Error> {
    let transaction = db.begin().await?;
    let announced = other_server_key::Column::State.eq(KeyState::Next);
    other_server_key::Entity::delete_many().filter(announced).exec(&transaction).await?;
    let row = other_server_key::Model { fingerprint: next.fingerprint_text(), state: KeyState::Next, since: now() };
    rows::insert(&transaction, row).await?;
    audit::commit(transaction, None).await
}

/// Makes the announced key the current one, and the current one the old one.
///
/// # Errors
/// `BadInput` if another command has replaced the current or the announced key meanwhile.
pub async fn activate(db: &Db, current: &Key, next: &Key) -> Result<(), Error> {
    let transaction = begin(db).await?;
    let replaced = server_key::Entity::update_many()
        .col_expr(server_key::Column::Fingerprint, Expr::value(next.fingerprint().to_vec()))
        .filter(server_key::Column::Fingerprint.eq(current.fingerprint().to_vec()))
        .exec(&transaction)
        .await?;
    let announced = other_server_key::Entity::delete_many()
        .filter(other_server_key::Column::State.eq(KeyState::Next))
        .filter(other_server_key::Column::Fingerprint.eq(next.fingerprint_text()))
        .exec(&transaction)
        .await?;
    if replaced.rows_affected != 1 || announced.rows_affected != 1 {
        return Err(overtaken());
    }
    let old = other_server_key::Model { fingerprint: current.fingerprint_text(), state: KeyState::Old, since: now() };
    rows::insert(&transaction, old).await?;
    erased_reference::Entity::update_many()
        .col_expr(erased_reference::Column::KeyId, Expr::value(hex::encode(current.id())))
        .filter(erased_reference::Column::KeyId.is_null())
        .exec(&transaction)
        .await?;
    let fingerprint = |key: &Key| Some(Value::from(key.fingerprint_text()));
    let change = Change::of("fingerprint", fingerprint(current), fingerprint(next));
    let licenses = licenses(&transaction).await?;
    let events =
        licenses.iter().map(|license| Entry::new(AuditAction::ServerKeyRotated, license).with([change.clone()]));
    audit::commit(transaction, events.collect::<Vec<_>>()).await
}

/// Retires the old key, unless something needs it. With `force`, it is retired all the same, and what needs it is deleted.
///
/// # Errors
/// `BadInput` if another command has retired it meanwhile.
pub async fn retire(db: &Db, current: &Key, old: &OldKey, force: bool) -> Result<Retirement, Error> {
    let transaction = begin(db).await?;
    // The current key is replaced only while there is no old one, so it is still the current one.
    let retired = other_server_key::Entity::update_many()
        .col_expr(other_server_key::Column::State, Expr::value(KeyState::Retired))
        .col_expr(other_server_key::Column::Since, Expr::value(now()))
        .filter(other_server_key::Column::Fingerprint.eq(old.fingerprint.as_str()))
        .filter(other_server_key::Column::State.eq(KeyState::Old))
        .exec(&transaction)
        .await?;
    if retired.rows_affected != 1 {
        return Err(overtaken());
    }
    let uses = key_use::count(&transaction, current, old, None).await?;
    if !force && uses.is_needed() {
        return Ok(Retirement::Refused(uses));
    }
    let events = events_of_retirement(&transaction, current, old).await?;
    key_use::discard(&transaction, current, old).await?;
    audit::commit(transaction, events).await?;
    Ok(Retirement::Done(uses))
}

/// Returns an event for each license, with the numbers of what the license loses.
async fn events_of_retirement(transaction: &Transaction, current: &Key, old: &OldKey) -> Result<Vec<Entry>, Error> {
    let fingerprint = Change::of("fingerprint", Some(Value::from(old.fingerprint.clone())), None);
    let mut events = Vec::new();
    for license in licenses(transaction).await? {
        let uses = key_use::count(transaction, current, old, Some(license.id)).await?;
        let lost = uses.lost().map(|(kind, count)| Change::of(kind, Some(Value::from(count)), None));
        events.push(Entry::new(AuditAction::ServerKeyRetired, &license).with([fingerprint.clone()]).with(lost));
    }
    Ok(events)
}

fn overtaken() -> Error {
    Error::BadInput("another command has changed the server keys meanwhile".to_owned())
}

/// Begins a transaction of a command that may read and write whole tables.
#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
async fn begin(db: &Db) -> Result<Transaction, Error> {
    let transaction = db.begin().await?;
    if db.is_postgres() {
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    }
    Ok(transaction)
}

async fn licenses(transaction: &Transaction) -> Result<Vec<license::Model>, Error> {
    Ok(license::Entity::find().order_by_asc(license::Column::Id).all(transaction).await?)
}

/// Stores what a server says about its keys, unless that is stored already.
pub async fn report(db: &Db, report: server_key_report::Model) -> Result<(), Error> {
    let stored = server_key_report::Entity::find_by_id(report.server_id).one(db.read()).await?;
    if stored.as_ref() == Some(&report) {
        return Ok(());
    }
    let replace = OnConflict::column(server_key_report::Column::ServerId)
        .update_columns([
            server_key_report::Column::Name,
            server_key_report::Column::Held,
            server_key_report::Column::Used,
        ])
        .to_owned();
    let report = server_key_report::Entity::insert(rows::active(report)).on_conflict(replace);
    report.exec_without_returning(db.write()).await?;
    Ok(())
}

/// Deletes what a server has said about its keys, when it stops.
pub async fn delete_report(db: &Db, server_id: Id) -> Result<(), Error> {
    server_key_report::Entity::delete_by_id(server_id).exec(db.write()).await?;
    Ok(())
}

/// Deletes what the servers have said about their keys. Those that run say it again.
pub async fn delete_reports(db: &Db) -> Result<(), Error> {
    server_key_report::Entity::delete_many().exec(db.write()).await?;
    Ok(())
}

/// Returns what the servers say about their keys.
pub async fn reports(db: &Db) -> Result<Vec<server_key_report::Model>, Error> {
    let reports = server_key_report::Entity::find().order_by_asc(server_key_report::Column::Name);
    Ok(reports.all(db.read()).await?)
}
