//! Throttling of emails: counters of the emails that are requested.

use std::net::IpAddr;

use super::{ThrottleKey, count};
use crate::db::Db;
use crate::entity::mail::MailKind;
use crate::error::Error;
use crate::scalar::Id;

/// The most emails of a kind that are sent to one address on request within 15 minutes; further ones are skipped.
const MAX_MAILS_TO_MAILBOX: i32 = 3;
/// The most emails that a signed-in user may request within that time, regardless of the addresses.
const MAX_MAILS_OF_USER: i32 = 10;

/// Counts an email of a kind to a pseudonymized address that a signed-in user requests; returns false if the address has
/// received the most allowed.
///
/// # Errors
/// `RateLimited` if the user requested too many.
pub async fn may_write_for(db: &Db, (what, mailbox): (MailKind, &[u8]), user: Id) -> Result<bool, Error> {
    if count(db, &ThrottleKey::of_mails_of(user), 0).await? > MAX_MAILS_OF_USER {
        let message = "You have requested too many emails; try again in 15 minutes.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(count(db, &ThrottleKey::of_mailbox(what, mailbox), 0).await? <= MAX_MAILS_TO_MAILBOX)
}

/// Counts an email of a kind to a pseudonymized address that is requested from a network address, of which `most` are allowed;
/// returns false if the email address has received the most allowed.
///
/// # Errors
/// `RateLimited` if too many were requested from the network address.
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
    Ok(count(db, &ThrottleKey::of_mailbox(what, mailbox), 0).await? <= MAX_MAILS_TO_MAILBOX)
}
