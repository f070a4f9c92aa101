//! Throttling of emails: counters of the emails that are requested.

use std::net::IpAddr;

use super::{ThrottleKey, increment};
use crate::db::Db;
use crate::entity::mail::MailKind;
use crate::error::Error;
use crate::scalar::Id;

/// The most emails of a kind that are sent to one address on request within 15 minutes; further ones are skipped.
const MAX_MAILS_TO_MAILBOX: i32 = 3;
/// The most emails that a signed-in user may request within that time, regardless of the addresses.
const MAX_MAILS_OF_USER: i32 = 10;

/// The emails of a kind that are requested for an email address.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox<'a> {
    pub kind: MailKind,
    /// The pseudonymized email address.
    pub pseudonym: &'a [u8],
}

/// Counts an email that a signed-in user requests; returns false if the address has received the most allowed.
///
/// # Errors
/// `RateLimited` if the user requested too many.
pub async fn count_user_mail(db: &Db, mailbox: Mailbox<'_>, user_id: Id) -> Result<bool, Error> {
    if increment(db, &ThrottleKey::of_mails_by(user_id), 0).await? > MAX_MAILS_OF_USER {
        let message = "You have requested too many emails; try again in 15 minutes.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(increment(db, &ThrottleKey::of_mailbox(mailbox), 0).await? <= MAX_MAILS_TO_MAILBOX)
}

/// Counts an email that is requested from a network address, of which `limit` are allowed; returns false if the email address
/// has received the most allowed.
///
/// # Errors
/// `RateLimited` if too many were requested from the network address.
pub async fn count_anonymous_mail(
    db: &Db,
    mailbox: Mailbox<'_>,
    address: Option<IpAddr>,
    limit: u32,
) -> Result<bool, Error> {
    if let Some(address) = address
        && i64::from(increment(db, &ThrottleKey::of_mails_from(address), 0).await?) > i64::from(limit)
    {
        let message = "Too many emails were requested from your network address; try again in 15 minutes.";
        return Err(Error::RateLimited(message.to_owned()));
    }
    Ok(increment(db, &ThrottleKey::of_mailbox(mailbox), 0).await? <= MAX_MAILS_TO_MAILBOX)
}
