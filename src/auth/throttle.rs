//! Throttling: counters of wrong secrets and other guesses. They are stored in the database, and each is counted by one atomic
//! statement, so that parallel guesses and several instances count together.
//!
//! Possible attackers are told apart from known users, so that unknown clients lock no user out:
//! - Unknown clients are counted by login as typed, by the user whom the login identifies, and by network address. Only the
//!   first of these results in LOCKED: it depends on the text alone, and behaves alike for logins that exist and that do not.
//! - A device that has signed in before has its own counter, and so do a signed-in user and the holder of a link.

mod mails;

use std::net::IpAddr;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Statement, Value};
use sha2::{Digest, Sha256};

use crate::client::client_network;
use crate::db::Db;
use crate::entity::mail::MailKind;
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::share::{ShareLimits, Shares};

pub use self::mails::{may_write_for, may_write_to};

/// The time within which wrong secrets count together, and the duration of a lock.
const WITHIN: TimeDelta = TimeDelta::minutes(15);
/// The number of wrong secrets that locks an account.
const MAX_OF_ACCOUNT: i32 = 10;
/// The most passwords that are checked for the holder of one link within that time.
const MAX_OF_LINK: i32 = 20;
/// The most logins of other licenses that one user may encounter within that time.
const MAX_FOREIGN_LOGINS: i32 = 20;

/// Counts an attempt. It is counted before its secret is checked, so that no more of many parallel attempts get through than
/// are allowed. A counter whose time is over starts again. The time of an account's counter is extended by every attempt until
/// it locks ($4), so that no 15 minutes contain more attempts than are allowed; the time of an address's counter is not,
/// because many users may share an address.
const COUNT: &str = "\
INSERT INTO attempts AS counted (subject, wrong, since) VALUES ($1, 1, $2)
ON CONFLICT (subject) DO UPDATE SET
    wrong = CASE WHEN counted.since <= $3 THEN 1 ELSE counted.wrong + 1 END,
    since = CASE WHEN counted.since <= $3 OR counted.wrong < $4 THEN $2 ELSE counted.since END
RETURNING wrong";
/// The same for the login and the user of one attempt, in this order, which prevents deadlocks.
const COUNT_BOTH: &str = "\
INSERT INTO attempts AS counted (subject, wrong, since) VALUES ($5, 1, $2), ($1, 1, $2)
ON CONFLICT (subject) DO UPDATE SET
    wrong = CASE WHEN counted.since <= $3 THEN 1 ELSE counted.wrong + 1 END,
    since = CASE WHEN counted.since <= $3 OR counted.wrong < $4 THEN $2 ELSE counted.since END
RETURNING subject, wrong";
const LOOK: &str = "SELECT wrong FROM attempts WHERE subject = $1 AND since > $2";
const TAKE_BACK: &str = "UPDATE attempts SET wrong = wrong - 1 WHERE subject = $1 AND wrong > 0";
const FORGET: &str = "DELETE FROM attempts WHERE subject = $1";
const FORGET_BOTH: &str = "DELETE FROM attempts WHERE subject IN ($1, $2)";
const FORGET_OLD: &str = "DELETE FROM attempts WHERE since <= $1";

/// The inputs with logins that one viewer may have under way. Up to this many may learn more than is allowed, because they
/// began before the others were counted.
const INPUTS_OF_ONE: ShareLimits = ShareLimits { at_once: 4, waiting: 1_000, patience: Duration::from_secs(10) };

/// The inputs with logins that are under way.
pub struct LoginInputs(pub Shares<Id>);

impl Default for LoginInputs {
    fn default() -> Self {
        Self(Shares::new(INPUTS_OF_ONE))
    }
}

/// The key of a counter of wrong secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleKey(Vec<u8>);

impl ThrottleKey {
    /// Returns the key of a user.
    #[must_use]
    pub fn of_person(id: Id) -> Self {
        Self::new("person", id.0.as_bytes())
    }

    /// Returns the key of a signed-in user who must enter their password again.
    #[must_use]
    pub fn of_owner(id: Id) -> Self {
        Self::new("owner", id.0.as_bytes())
    }

    /// Returns the key of a login as typed, whether or not it exists. The login is pseudonymized, because a password may be
    /// typed in its place.
    #[must_use]
    pub fn of_login(blinded: &[u8]) -> Self {
        Self::new("login", blinded)
    }

    /// Returns the key used in place of [`ThrottleKey::of_person`] for a login that does not exist, so that the same work is
    /// done.
    #[must_use]
    pub fn of_nobody(blinded: &[u8]) -> Self {
        Self::new("nobody", blinded)
    }

    /// Returns the key of a device that has signed in with the password before.
    #[must_use]
    pub fn of_device(id: Id) -> Self {
        Self::new("device", id.0.as_bytes())
    }

    /// Returns the key of the holder of a link that lets a user in, by the hash of its token.
    #[must_use]
    pub fn of_link(token_hash: &[u8]) -> Self {
        Self::new("link", token_hash)
    }

    /// Returns the key of the logins of other licenses that a user encounters.
    #[must_use]
    pub fn of_foreign_logins(user: Id) -> Self {
        Self::new("foreign logins", user.0.as_bytes())
    }

    /// Returns the key of the [network](client_network) to which an address belongs.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        Self::new("address", client_network(address).to_string().as_bytes())
    }

    /// Returns the key of the emails of a kind that are requested for an email address. The address is pseudonymized, whether
    /// or not it exists. Each kind has its own key, so that requests for one do not block another.
    #[must_use]
    pub fn of_mailbox(what: MailKind, blinded: &[u8]) -> Self {
        Self::new(&format!("mailbox {what:?}"), blinded)
    }

    /// Returns the key of the emails that are requested from a network address, grouped as by [`ThrottleKey::of_address`].
    #[must_use]
    pub fn of_mails_from(address: IpAddr) -> Self {
        let Self(address) = Self::of_address(address);
        Self::new("mails", &address)
    }

    /// Returns the key of the emails that a signed-in user requests.
    #[must_use]
    pub fn of_mails_of(user: Id) -> Self {
        Self::new("mails of user", user.0.as_bytes())
    }

    fn new(kind: &str, whose: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(whose).finalize();
        Self(hash.iter().take(16).copied().collect())
    }
}

/// The status of an attempt before its secret is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleStatus {
    Allowed,
    /// Allowed, but the next one is not.
    Last,
    Locked,
}

impl ThrottleStatus {
    fn of_account(wrong: i32) -> Self {
        match wrong.cmp(&MAX_OF_ACCOUNT) {
            std::cmp::Ordering::Less => Self::Allowed,
            std::cmp::Ordering::Equal => Self::Last,
            std::cmp::Ordering::Greater => Self::Locked,
        }
    }
}

/// Returns whether an account is locked already; counts nothing.
pub async fn is_locked(db: &Db, counter: &ThrottleKey) -> Result<bool, Error> {
    Ok(failures(db, counter).await? >= MAX_OF_ACCOUNT)
}

/// Counts an attempt to sign in to an account.
pub async fn count_of_account(db: &Db, counter: &ThrottleKey) -> Result<ThrottleStatus, Error> {
    Ok(ThrottleStatus::of_account(count(db, counter, MAX_OF_ACCOUNT).await?))
}

/// Counts an attempt of an unknown client to sign in to a user's account with a login. Returns the status of the login and that
/// of the user.
pub async fn count_of_stranger(
    db: &Db,
    login: &ThrottleKey,
    person: &ThrottleKey,
) -> Result<(ThrottleStatus, ThrottleStatus), Error> {
    let (now, expired) = (now(), now() - WITHIN);
    let values = [person.0.clone().into(), now.into(), expired.into(), MAX_OF_ACCOUNT.into(), login.0.clone().into()];
    let rows = db.write().query_all_raw(statement(db.write(), COUNT_BOTH, values)).await?;
    let (mut of_login, mut of_person) = (None, None);
    for row in rows {
        let subject: Vec<u8> = row.try_get("", "subject")?;
        let wrong: i32 = row.try_get("", "wrong")?;
        *(if subject == login.0 { &mut of_login } else { &mut of_person }) = Some(wrong);
    }
    let (of_login, of_person) = of_login.zip(of_person).ok_or_else(|| Error::internal("an attempt was not counted"))?;
    // Depends on the login alone: the amount of work must not reveal whether the user was counted before.
    clear_old(db, of_login).await?;
    Ok((ThrottleStatus::of_account(of_login), ThrottleStatus::of_account(of_person)))
}

/// Refuses an address that has reached its limit of attempts; counts nothing.
///
/// # Errors
/// `RateLimited` if the limit is reached.
pub async fn check_address(db: &Db, counter: &ThrottleKey, most: u32) -> Result<(), Error> {
    if i64::from(failures(db, counter).await?) >= i64::from(most) { Err(too_many()) } else { Ok(()) }
}

/// Counts an attempt from an address, of which `most` are allowed.
///
/// # Errors
/// `RateLimited` if there were more.
pub async fn count_of_address(db: &Db, counter: &ThrottleKey, most: u32) -> Result<ThrottleStatus, Error> {
    match i64::from(count(db, counter, 0).await?).cmp(&i64::from(most)) {
        std::cmp::Ordering::Less => Ok(ThrottleStatus::Allowed),
        std::cmp::Ordering::Equal => Ok(ThrottleStatus::Last),
        std::cmp::Ordering::Greater => Err(too_many()),
    }
}

/// Counts a password that is to be checked for the holder of a link.
///
/// # Errors
/// `RateLimited` if there were too many.
pub async fn count_of_link(db: &Db, token_hash: &[u8]) -> Result<(), Error> {
    if count(db, &ThrottleKey::of_link(token_hash), MAX_OF_LINK).await? > MAX_OF_LINK {
        let message = "Too many passwords were tried with this link; try again in 15 minutes.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(())
}

/// Refuses a user who has encountered as many logins of other licenses as are allowed; counts nothing.
///
/// # Errors
/// `RateLimited` if the limit is reached.
pub async fn check_foreign_logins(db: &Db, user: Id) -> Result<(), Error> {
    let found = failures(db, &ThrottleKey::of_foreign_logins(user)).await?;
    if found >= MAX_FOREIGN_LOGINS { Err(too_many_taken()) } else { Ok(()) }
}

/// Counts a login of another license that a user encountered.
///
/// # Errors
/// `RateLimited` if there were too many.
pub async fn count_foreign_login(db: &Db, user: Id) -> Result<(), Error> {
    let found = count(db, &ThrottleKey::of_foreign_logins(user), MAX_FOREIGN_LOGINS).await?;
    if found > MAX_FOREIGN_LOGINS { Err(too_many_taken()) } else { Ok(()) }
}

fn too_many() -> Error {
    let message = "Too many wrong passwords or PINs came from your network address; try again in 15 minutes.";
    Error::RateLimited(message.to_owned())
}

fn too_many_taken() -> Error {
    let message = "Too many of the usernames and email addresses that you entered were taken; try again in 15 minutes.";
    Error::RateLimited(message.to_owned())
}

/// Returns the current count.
async fn failures(db: &Db, counter: &ThrottleKey) -> Result<i32, Error> {
    let values = [counter.0.clone().into(), (now() - WITHIN).into()];
    let row = db.read().query_one_raw(statement(db.read(), LOOK, values)).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("", "wrong"))?)
}

async fn count(db: &Db, counter: &ThrottleKey, locked_from: i32) -> Result<i32, Error> {
    let (now, expired) = (now(), now() - WITHIN);
    let values = [counter.0.clone().into(), now.into(), expired.into(), locked_from.into()];
    let row = db.write().query_one_raw(statement(db.write(), COUNT, values)).await?;
    let wrong: i32 = row.ok_or_else(|| Error::internal("an attempt was not counted"))?.try_get("", "wrong")?;
    clear_old(db, wrong).await?;
    Ok(wrong)
}

/// Deletes expired counters whenever a new one starts.
async fn clear_old(db: &Db, wrong: i32) -> Result<(), Error> {
    if wrong == 1 {
        db.write().execute_raw(statement(db.write(), FORGET_OLD, [(now() - WITHIN).into()])).await?;
    }
    Ok(())
}

/// Takes back the count of an attempt whose secret was right.
pub async fn uncount(db: &Db, counter: &ThrottleKey) -> Result<(), Error> {
    db.write().execute_raw(statement(db.write(), TAKE_BACK, [counter.0.clone().into()])).await?;
    Ok(())
}

/// Resets a counter; returns false if nothing was counted.
pub async fn reset(db: &impl ConnectionTrait, counter: &ThrottleKey) -> Result<bool, Error> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), FORGET, [counter.0.clone().into()]);
    Ok(db.execute_raw(statement).await?.rows_affected() > 0)
}

/// Resets the counters of a login and of a user.
pub async fn reset_both(db: &Db, login: &ThrottleKey, person: &ThrottleKey) -> Result<(), Error> {
    let values = [login.0.clone().into(), person.0.clone().into()];
    db.write().execute_raw(statement(db.write(), FORGET_BOTH, values)).await?;
    Ok(())
}

fn statement<const N: usize>(db: &impl ConnectionTrait, sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
