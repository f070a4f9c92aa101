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
    delete_next(&transaction).await?;
    let row = other_server_key::Model { fingerprint: next.fingerprint_text(), state: KeyState::Next, since: now() };
    rows::insert(&transaction, row).await?;
    audit::commit(transaction, None).await
}

/// Makes the next key the current one, and the current one the old one.
///
/// # Errors
/// `BadInput` if another command has replaced the current key meanwhile.
pub async fn activate(db: &Db, current: &Key, next: &Key) -> Result<(), Error> {
    let transaction = begin(db).await?;
    let replaced = server_key::Entity::update_many()
        .col_expr(server_key::Column::Fingerprint, Expr::value(next.fingerprint().to_vec()))
        .filter(server_key::Column::Fingerprint.eq(current.fingerprint().to_vec()))
        .exec(&transaction)
        .await?;
    if replaced.rows_affected != 1 {
        return Err(Error::BadInput("another command has replaced the server key meanwhile".to_owned()));
    }
    delete_next(&transaction).await?;
    let old = other_server_key::Model { fingerprint: current.fingerprint_text(), state: KeyState::Old, since: now() };
    rows::insert(&transaction, old).await?;
    erased_reference::Entity::update_many()
        .col_expr(erased_reference::Column::KeyId, Expr::value(hex::encode(current.id())))
        .filter(erased_reference::Column::KeyId.is_null())
        .exec(&transaction)
        .await?;
    let fingerprint = |key: &Key| Some(Value::from(key.fingerprint_text()));
    let change = Change::of("fingerprint", fingerprint(current), fingerprint(next));
    commit(transaction, AuditAction::ServerKeyRotated, &[change]).await
}

/// Retires the old key, unless something needs it. With `force`, it is retired all the same, and what needs it is deleted.
pub async fn retire(db: &Db, current: &Key, old: &OldKey, force: bool) -> Result<Retirement, Error> {
    let transaction = begin(db).await?;
    let uses = key_use::count(&transaction, current, old).await?;
    if !force && uses.is_needed() {
        return Ok(Retirement::Refused(uses));
    }
    key_use::discard(&transaction, current).await?;
    other_server_key::Entity::update_many()
        .col_expr(other_server_key::Column::State, Expr::value(KeyState::Retired))
        .col_expr(other_server_key::Column::Since, Expr::value(now()))
        .filter(other_server_key::Column::Fingerprint.eq(old.fingerprint.as_str()))
        .exec(&transaction)
        .await?;
    let mut changes = vec![Change::of("fingerprint", Some(Value::from(old.fingerprint.clone())), None)];
    changes.extend(uses.lost().map(|(kind, count)| Change::of(kind, Some(Value::from(count)), None)));
    commit(transaction, AuditAction::ServerKeyRetired, &changes).await?;
    Ok(Retirement::Done(uses))
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

async fn delete_next(transaction: &Transaction) -> Result<(), Error> {
    let next = other_server_key::Column::State.eq(KeyState::Next);
    other_server_key::Entity::delete_many().filter(next).exec(transaction).await?;
    Ok(())
}

/// Commits a change of the keys with an event in the audit trail of every license.
async fn commit(transaction: Transaction, action: AuditAction, changes: &[Change]) -> Result<(), Error> {
    let licenses = license::Entity::find().order_by_asc(license::Column::Id).all(&transaction).await?;
    let events = licenses.iter().map(|license| Entry::new(action, license).with(changes.to_vec()));
    audit::commit(transaction, events.collect::<Vec<_>>()).await
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
