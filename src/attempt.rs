//! Counters of wrong secrets, one for each account and each network address. They live in the database, each in one atomic
//! statement, so that parallel guesses and several instances count together.

use std::net::IpAddr;

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Statement, Value};
use sha2::{Digest, Sha256};

use crate::db::Db;
use crate::entity::mail::Kind;
use crate::error::Error;
use crate::scalar::{Id, now};

/// Wrong secrets count together for so long, and so long a lock lasts.
const WITHIN: TimeDelta = TimeDelta::minutes(15);
/// So many mails of a kind go to one address within that time because somebody asked for them; the others are passed over.
const MOST_MAILS_TO_MAILBOX: i32 = 3;
/// So many wrong secrets lock an account.
const MOST_OF_ACCOUNT: i32 = 10;

/// An attempt is counted before its secret is looked at: of many at once, no more get through than are allowed. A counter
/// whose time is over begins anew. That of an account runs on with every attempt until it locks ($4), so that no quarter
/// of an hour has more of them than are allowed; that of an address, behind which may be a whole house, does not.
const COUNT: &str = "\
INSERT INTO attempts AS counted (subject, wrong, since) VALUES ($1, 1, $2)
ON CONFLICT (subject) DO UPDATE SET
    wrong = CASE WHEN counted.since <= $3 THEN 1 ELSE counted.wrong + 1 END,
    since = CASE WHEN counted.since <= $3 OR counted.wrong < $4 THEN $2 ELSE counted.since END
RETURNING wrong";
const LOOK: &str = "SELECT wrong FROM attempts WHERE subject = $1 AND since > $2";
const TAKE_BACK: &str = "UPDATE attempts SET wrong = wrong - 1 WHERE subject = $1 AND wrong > 0";
const FORGET: &str = "DELETE FROM attempts WHERE subject = $1";
const FORGET_OLD: &str = "DELETE FROM attempts WHERE since <= $1";

/// Whose wrong secrets are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter(Vec<u8>);

impl Counter {
    /// Of a person.
    #[must_use]
    pub fn of_person(id: Id) -> Self {
        Self::new("person", id.0.as_bytes())
    }

    /// Of a person who is signed in and proves that he knows his password.
    #[must_use]
    pub fn of_owner(id: Id) -> Self {
        Self::new("owner", id.0.as_bytes())
    }

    /// Of a login that is nobody's: it locks like any other, or the lock would tell who there is. It comes blinded, for
    /// what is typed there may be a password.
    #[must_use]
    pub fn of_login(blinded: &[u8]) -> Self {
        Self::new("login", blinded)
    }

    /// Of a network address. Of IPv6 the first 64 bits count, for the rest is the caller's to choose.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::new("address", &address.octets()),
            IpAddr::V6(address) => Self::new("address", address.octets().first_chunk::<8>().unwrap_or(&[0; 8])),
        }
    }

    /// Of the mails of a kind that go to an address because somebody asked for them. It comes blinded, whether there is such
    /// an address or not. Each kind has its own: who asks for one keeps nobody from another.
    #[must_use]
    pub fn of_mailbox(what: Kind, blinded: &[u8]) -> Self {
        Self::new(&format!("mailbox {what:?}"), blinded)
    }

    /// Of the mails that are asked for from a network address, told apart as by [`Counter::of_address`].
    #[must_use]
    pub fn of_mails_from(address: IpAddr) -> Self {
        let Self(address) = Self::of_address(address);
        Self::new("mails", &address)
    }

    fn new(kind: &str, whose: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(whose).finalize();
        Self(hash.iter().take(16).copied().collect())
    }
}

/// How an attempt stands before its secret is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Allowed,
    /// Allowed, and the next one is not.
    Last,
    Locked,
}

/// Counts an attempt to sign in to an account.
///
/// # Errors
/// Whatever the database says.
pub async fn count_of_account(db: &Db, counter: &Counter) -> Result<Standing, Error> {
    let wrong = count(db, counter, MOST_OF_ACCOUNT).await?;
    Ok(match wrong.cmp(&MOST_OF_ACCOUNT) {
        std::cmp::Ordering::Less => Standing::Allowed,
        std::cmp::Ordering::Equal => Standing::Last,
        std::cmp::Ordering::Greater => Standing::Locked,
    })
}

/// Refuses an address that has had as many attempts as are allowed; counts nothing.
///
/// # Errors
/// `RateLimited`; whatever the database says.
pub async fn check_address(db: &Db, counter: &Counter, most: u32) -> Result<(), Error> {
    let values = [counter.0.clone().into(), (now() - WITHIN).into()];
    let row = db.read().query_one_raw(statement(db.read(), LOOK, values)).await?;
    let wrong: i32 = row.map_or(Ok(0), |row| row.try_get("", "wrong"))?;
    if i64::from(wrong) >= i64::from(most) { Err(too_many()) } else { Ok(()) }
}

/// Counts an attempt from an address, where `most` are allowed.
///
/// # Errors
/// `RateLimited` where there were too many; whatever the database says.
pub async fn count_of_address(db: &Db, counter: &Counter, most: u32) -> Result<(), Error> {
    let wrong = count(db, counter, 0).await?;
    if i64::from(wrong) > i64::from(most) { Err(too_many()) } else { Ok(()) }
}

/// Counts a mail of a kind to an address, blinded, that somebody at a network address asks for, from which `most` are
/// allowed; false where the address has had enough of them.
///
/// # Errors
/// `RateLimited` where too many were asked for from there; whatever the database says.
pub async fn may_write_to(
    db: &Db,
    (what, mailbox): (Kind, &[u8]),
    (from, most): (Option<IpAddr>, u32),
) -> Result<bool, Error> {
    if let Some(from) = from
        && i64::from(count(db, &Counter::of_mails_from(from), 0).await?) > i64::from(most)
    {
        let message = "Too many mails were asked for from your network address; try again in a quarter of an hour.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(count(db, &Counter::of_mailbox(what, mailbox), 0).await? <= MOST_MAILS_TO_MAILBOX)
}

fn too_many() -> Error {
    let message = "Too many wrong secrets came from your network address; try again in a quarter of an hour.";
    Error::RateLimited(message.to_owned())
}

async fn count(db: &Db, counter: &Counter, locked_from: i32) -> Result<i32, Error> {
    let (now, expired) = (now(), now() - WITHIN);
    let values = [counter.0.clone().into(), now.into(), expired.into(), locked_from.into()];
    let row = db.write().query_one_raw(statement(db.write(), COUNT, values)).await?;
    let wrong: i32 = row.ok_or_else(|| Error::internal("an attempt was not counted"))?.try_get("", "wrong")?;
    // Whoever begins a counter clears away those that are over.
    if wrong == 1 {
        db.write().execute_raw(statement(db.write(), FORGET_OLD, [expired.into()])).await?;
    }
    Ok(wrong)
}

/// Takes an attempt back whose secret was right.
///
/// # Errors
/// Whatever the database says.
pub async fn take_back(db: &Db, counter: &Counter) -> Result<(), Error> {
    db.write().execute_raw(statement(db.write(), TAKE_BACK, [counter.0.clone().into()])).await?;
    Ok(())
}

/// Begins a counter anew; false where nothing was counted.
///
/// # Errors
/// Whatever the database says.
pub async fn forget(db: &impl ConnectionTrait, counter: &Counter) -> Result<bool, Error> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), FORGET, [counter.0.clone().into()]);
    Ok(db.execute_raw(statement).await?.rows_affected() > 0)
}

fn statement<const N: usize>(db: &impl ConnectionTrait, sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
