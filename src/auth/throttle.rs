//! Throttling: counters of wrong secrets and other guesses. They are stored in the database, and each is counted by one atomic
//! statement, so that parallel guesses and several instances count together.
//!
//! Possible attackers are told apart from known users, so that unknown clients lock no user out:
//! - Unknown clients are counted by login as typed, by the user whom the login identifies, and by network address. Only the
//!   first of these results in LOCKED: it depends on the text alone, and behaves alike for logins that exist and that do not.
//! - A device that has signed in before has its own counter, and so do a signed-in user and the holder of a link.

mod key;
mod mails;

use std::cmp::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::sea_query::{Expr, ExprTrait, Func, Query, SimpleExpr};
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::db::Db;
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::share::{ShareLimits, Shares};

pub use self::key::ThrottleKey;
pub use self::mails::{Mailbox, count_anonymous_mail, count_user_mail};

/// The time within which wrong secrets count together, and the duration of a lock.
const PERIOD: TimeDelta = TimeDelta::minutes(15);
/// The number of wrong secrets that locks an account.
const MAX_ACCOUNT_ATTEMPTS: i32 = 10;
/// The most passwords that are checked for the holder of one link within that time.
const MAX_LINK_ATTEMPTS: i32 = 20;
/// The most logins of other licenses that one user may encounter within that time.
const MAX_FOREIGN_LOGINS: i32 = 20;

/// Counts attempts ($5). An attempt is counted before its secret is checked, so that no more of many parallel attempts get
/// through than are allowed. A counter whose time is over starts again. The time of an account's counter is extended by every
/// attempt until it locks ($4), so that no 15 minutes contain more attempts than are allowed; the time of an address's counter
/// is not, because many users may share an address.
const INCREMENT: &str = "\
INSERT INTO attempts AS counted (subject, wrong, since) VALUES ($1, $5, $2)
ON CONFLICT (subject) DO UPDATE SET
    wrong = CASE WHEN counted.since <= $3 THEN excluded.wrong ELSE counted.wrong + excluded.wrong END,
    since = CASE WHEN counted.since <= $3 OR counted.wrong < $4 THEN $2 ELSE counted.since END
RETURNING wrong";
/// As [`INCREMENT`], for the login and the user of one attempt ($1 and $5), in this order, which prevents deadlocks.
const INCREMENT_BOTH: &str = "\
INSERT INTO attempts AS counted (subject, wrong, since) VALUES ($5, 1, $2), ($1, 1, $2)
ON CONFLICT (subject) DO UPDATE SET
    wrong = CASE WHEN counted.since <= $3 THEN 1 ELSE counted.wrong + 1 END,
    since = CASE WHEN counted.since <= $3 OR counted.wrong < $4 THEN $2 ELSE counted.since END
RETURNING subject, wrong";
const READ_COUNT: &str = "SELECT wrong FROM attempts WHERE subject = $1 AND since > $2";
const DECREMENT: &str = "UPDATE attempts SET wrong = wrong - 1 WHERE subject = $1 AND wrong > 0";
const RESET: &str = "DELETE FROM attempts WHERE subject = $1";
const RESET_BOTH: &str = "DELETE FROM attempts WHERE subject IN ($1, $2)";
const DELETE_EXPIRED: &str = "DELETE FROM attempts WHERE since <= $1";

/// The inputs with logins that one viewer may have under way. Up to this many may learn more than is allowed, because they
/// began before the others were counted.
const INPUTS_OF_A_VIEWER: ShareLimits =
    ShareLimits { at_once: 4, waiting: 1_000, max_wait: Duration::from_secs(10), rest: 0 };

/// The inputs with logins that are under way.
pub struct LoginInputs(pub Shares<Id>);

impl Default for LoginInputs {
    fn default() -> Self {
        Self(Shares::new(INPUTS_OF_A_VIEWER))
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
        match wrong.cmp(&MAX_ACCOUNT_ATTEMPTS) {
            Ordering::Less => Self::Allowed,
            Ordering::Equal => Self::Last,
            Ordering::Greater => Self::Locked,
        }
    }
}

/// The status of an attempt of an unknown client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrangerStatus {
    /// The status of the login as typed.
    pub login: ThrottleStatus,
    /// The status of the user whom the login identifies.
    pub user: ThrottleStatus,
}

/// Returns whether an account is locked already; counts nothing.
pub async fn is_locked(db: &Db, counter: &ThrottleKey) -> Result<bool, Error> {
    Ok(read_count(db, counter).await? >= MAX_ACCOUNT_ATTEMPTS)
}

/// Counts an attempt to sign in to an account.
pub async fn count_account_attempt(db: &Db, counter: &ThrottleKey) -> Result<ThrottleStatus, Error> {
    Ok(ThrottleStatus::of_account(increment(db, counter, MAX_ACCOUNT_ATTEMPTS).await?))
}

/// Counts an attempt of an unknown client to sign in to a user's account with a login.
pub async fn count_stranger_attempt(db: &Db, login: &ThrottleKey, user: &ThrottleKey) -> Result<StrangerStatus, Error> {
    let (now, expired) = (now(), now() - PERIOD);
    let values =
        [user.0.clone().into(), now.into(), expired.into(), MAX_ACCOUNT_ATTEMPTS.into(), login.0.clone().into()];
    let rows = db.write().query_all_raw(statement(db.write(), INCREMENT_BOTH, values)).await?;
    let (mut of_login, mut of_user) = (None, None);
    for row in rows {
        let subject: Vec<u8> = row.try_get("", "subject")?;
        let wrong: i32 = row.try_get("", "wrong")?;
        *(if subject == login.0 { &mut of_login } else { &mut of_user }) = Some(wrong);
    }
    let (of_login, of_user) = of_login.zip(of_user).ok_or_else(|| Error::internal("an attempt was not counted"))?;
    // Depends on the login alone: the amount of work must not reveal whether the user was counted before.
    delete_expired(db, of_login == 1).await?;
    Ok(StrangerStatus { login: ThrottleStatus::of_account(of_login), user: ThrottleStatus::of_account(of_user) })
}

/// Checks that an address has not reached its limit of attempts; counts nothing.
///
/// # Errors
/// `RateLimited` if the limit is reached.
pub async fn check_address(db: &Db, counter: &ThrottleKey, limit: u32) -> Result<(), Error> {
    if i64::from(read_count(db, counter).await?) >= i64::from(limit) { Err(too_many_failures()) } else { Ok(()) }
}

/// Counts an attempt from an address, of which `limit` are allowed.
///
/// # Errors
/// `RateLimited` if there were more.
pub async fn count_address_attempt(db: &Db, counter: &ThrottleKey, limit: u32) -> Result<ThrottleStatus, Error> {
    match i64::from(increment(db, counter, 0).await?).cmp(&i64::from(limit)) {
        Ordering::Less => Ok(ThrottleStatus::Allowed),
        Ordering::Equal => Ok(ThrottleStatus::Last),
        Ordering::Greater => Err(too_many_failures()),
    }
}

/// Counts a password that is to be checked for the holder of a link.
///
/// # Errors
/// `RateLimited` if there were too many.
pub async fn count_link_attempt(db: &Db, token_hash: &[u8]) -> Result<(), Error> {
    if increment(db, &ThrottleKey::of_link(token_hash), MAX_LINK_ATTEMPTS).await? > MAX_LINK_ATTEMPTS {
        let message = "Too many passwords were tried with this link; try again in 15 minutes.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(())
}

/// Checks that a user has not encountered as many logins of other licenses as are allowed; counts nothing.
///
/// # Errors
/// `RateLimited` if the limit is reached.
pub async fn check_foreign_logins(db: &Db, user_id: Id) -> Result<(), Error> {
    check_foreign_login_count(read_count(db, &ThrottleKey::of_foreign_logins(user_id)).await?)
}

/// Returns the number of logins of other licenses that a user has encountered, to be read with another statement; null for none.
#[must_use]
pub fn foreign_login_count(user_id: Id) -> SimpleExpr {
    let mut count = Query::select();
    count.column("wrong").from("attempts");
    count.and_where(Expr::col("subject").eq(ThrottleKey::of_foreign_logins(user_id).0));
    count.and_where(Expr::col("since").gt(now() - PERIOD));
    SimpleExpr::from(count)
}

/// Returns the condition that the [`foreign_login_count`] of a user is below the limit.
#[must_use]
pub fn has_foreign_logins_left(user_id: Id) -> SimpleExpr {
    Func::coalesce([foreign_login_count(user_id), Expr::value(0)]).lt(MAX_FOREIGN_LOGINS)
}

/// Checks the [`foreign_login_count`] of a user, as [`check_foreign_logins`] does.
///
/// # Errors
/// `RateLimited` if the limit is reached.
pub fn check_foreign_login_count(found: i32) -> Result<(), Error> {
    if found >= MAX_FOREIGN_LOGINS { Err(too_many_taken_logins()) } else { Ok(()) }
}

/// Counts logins of other licenses that a user encountered.
///
/// # Errors
/// `RateLimited` if there were too many.
pub async fn count_foreign_logins(db: &Db, user_id: Id, count: i32) -> Result<(), Error> {
    let found = increment_by(db, &ThrottleKey::of_foreign_logins(user_id), MAX_FOREIGN_LOGINS, count).await?;
    if found > MAX_FOREIGN_LOGINS { Err(too_many_taken_logins()) } else { Ok(()) }
}

fn too_many_failures() -> Error {
    let message = "Too many wrong passwords or PINs came from your network address; try again in 15 minutes.";
    Error::RateLimited(message.to_owned())
}

fn too_many_taken_logins() -> Error {
    let message = "Too many of the usernames and email addresses that you entered were taken; try again in 15 minutes.";
    Error::RateLimited(message.to_owned())
}

/// Returns the current count.
async fn read_count(db: &Db, counter: &ThrottleKey) -> Result<i32, Error> {
    let values = [counter.0.clone().into(), (now() - PERIOD).into()];
    let row = db.read().query_one_raw(statement(db.read(), READ_COUNT, values)).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("", "wrong"))?)
}

async fn increment(db: &Db, counter: &ThrottleKey, locked_from: i32) -> Result<i32, Error> {
    increment_by(db, counter, locked_from, 1).await
}

async fn increment_by(db: &Db, counter: &ThrottleKey, locked_from: i32, count: i32) -> Result<i32, Error> {
    let (now, expired) = (now(), now() - PERIOD);
    let values = [counter.0.clone().into(), now.into(), expired.into(), locked_from.into(), count.into()];
    let row = db.write().query_one_raw(statement(db.write(), INCREMENT, values)).await?;
    let wrong: i32 = row.ok_or_else(|| Error::internal("an attempt was not counted"))?.try_get("", "wrong")?;
    delete_expired(db, wrong == count).await?;
    Ok(wrong)
}

/// Deletes expired counters whenever a new one starts.
async fn delete_expired(db: &Db, is_new: bool) -> Result<(), Error> {
    if is_new {
        db.write().execute_raw(statement(db.write(), DELETE_EXPIRED, [(now() - PERIOD).into()])).await?;
    }
    Ok(())
}

/// Takes back the count of an attempt whose secret was right.
pub async fn decrement(db: &Db, counter: &ThrottleKey) -> Result<(), Error> {
    db.write().execute_raw(statement(db.write(), DECREMENT, [counter.0.clone().into()])).await?;
    Ok(())
}

/// Resets a counter; returns false if nothing was counted.
pub async fn reset(db: &impl ConnectionTrait, counter: &ThrottleKey) -> Result<bool, Error> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), RESET, [counter.0.clone().into()]);
    Ok(db.execute_raw(statement).await?.rows_affected() > 0)
}

/// Resets the counters of a login and of a user.
pub async fn reset_both(db: &Db, login: &ThrottleKey, user: &ThrottleKey) -> Result<(), Error> {
    let values = [login.0.clone().into(), user.0.clone().into()];
    db.write().execute_raw(statement(db.write(), RESET_BOTH, values)).await?;
    Ok(())
}

fn statement<const N: usize>(db: &impl ConnectionTrait, sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
