//! `roster invite`: invites all users of a license who were never invited.

use super::config::{Invite, Settings};
use super::open::{DATA_DIR, check_key, close, open_with_key};
use super::output::print_line;
use crate::license;
use crate::mail::MailQueue;
use crate::text::counted;
use crate::user::never_invited::{self, SendingTimes};

pub async fn invite(settings: &Settings, options: &Invite) -> anyhow::Result<()> {
    check_key(settings, DATA_DIR)?;
    let (db, hasher) = open_with_key(settings, DATA_DIR).await?;
    let license = license::resolve(&db, options.license.as_deref()).await?;
    let queue = MailQueue { keys: hasher.key_ring(), language: options.language };
    let (mut times, mut after, mut invited) = (SendingTimes::new(options.per_minute), None, 0_u64);
    loop {
        let page = never_invited::candidates(&db, license.id, after).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        if options.dry_run {
            for user in &page {
                print_line!("{}  {} <{}>", user.id.0, user.name(), user.email.as_deref().unwrap_or_default())?;
            }
            invited += page.len() as u64;
        } else {
            invited += never_invited::invite(&db, queue, &page, &mut times).await?;
        }
    }
    let without_email = never_invited::count_without_email(&db, license.id).await?;
    close(db).await?;
    let per_minute = options.per_minute;
    if options.dry_run {
        print_line!("Would invite {}, {per_minute} a minute.", users(invited))?;
    } else {
        print_line!("Invited {}. A server sends the emails, {per_minute} a minute.", users(invited))?;
    }
    if without_email > 0 {
        print_line!("Skipped {} without an email address.", users(without_email))?;
    }
    Ok(())
}

fn users(number: u64) -> String {
    counted(number, "user", "users")
}
