//! Counters of the mails that are asked for.

use std::net::IpAddr;

use super::{ThrottleKey, count};
use crate::db::Db;
use crate::entity::mail::MailKind;
use crate::error::Error;
use crate::scalar::Id;

/// So many mails of a kind go to one address within a quarter of an hour because somebody asked for them; the others are passed over.
const MOST_MAILS_TO_MAILBOX: i32 = 3;
/// So many mails may a signed-in user ask for within that time, whatever the addresses.
const MOST_MAILS_OF_USER: i32 = 10;

/// Counts a mail of a kind to an address, blinded, that a signed-in user asks for; false where the address has had enough
/// of them.
///
/// # Errors
/// `RateLimited` where the user asked for too many; whatever the database says.
pub async fn may_write_for(db: &Db, (what, mailbox): (MailKind, &[u8]), user: Id) -> Result<bool, Error> {
    if count(db, &ThrottleKey::of_mails_of(user), 0).await? > MOST_MAILS_OF_USER {
        let message = "You have requested too many emails; try again in 15 minutes.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(count(db, &ThrottleKey::of_mailbox(what, mailbox), 0).await? <= MOST_MAILS_TO_MAILBOX)
}

/// Counts a mail of a kind to an address, blinded, that somebody at a network address asks for, from which `most` are
/// allowed; false where the address has had enough of them.
///
/// # Errors
/// `RateLimited` where too many were asked for from there; whatever the database says.
pub async fn may_write_to(
    db: &Db,
    (what, mailbox): (MailKind, &[u8]),
    (from, most): (Option<IpAddr>, u32),
) -> Result<bool, Error> {
    if let Some(from) = from
        && i64::from(count(db, &ThrottleKey::of_mails_from(from), 0).await?) > i64::from(most)
    {
        let message = "Too many emails were requested from your network address; try again in 15 minutes.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(count(db, &ThrottleKey::of_mailbox(what, mailbox), 0).await? <= MOST_MAILS_TO_MAILBOX)
}
