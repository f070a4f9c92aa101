//! The output of the license commands.

use crate::entity::license::{LicenseKind, Model};
use crate::license::Extended;
use crate::scalar::Date;

const HEADERS: [&str; 7] = ["NUMBER", "HOLDER", "KIND", "FIRST DAY", "LAST DAY", "EXPIRED", "USERS"];

/// Describes a license that was created.
#[must_use]
pub fn created(license: &Model) -> String {
    let Model { number, holder, starts_on, expires_on, .. } = license;
    format!(
        "Created license {number} of {holder}; it starts on {} and {}.\n\
         To create its first administrator: roster admin create --license {number} --license-admin --email ... --first-name ... --last-name ...",
        starts_on.0,
        describe_end(*expires_on),
    )
}

/// Describes the change of the last day of a license.
#[must_use]
pub fn extended(Extended { license, before }: &Extended) -> String {
    let (number, now) = (&license.number, describe_end(license.expires_on));
    if license.expires_on == *before {
        return format!("License {number} already {now}; nothing was changed.");
    }
    let warning = if license.has_expired() { " That day has passed: its users no longer have access." } else { "" };
    match before {
        Some(before) => format!("License {number} now {now}; previously it ended on {}.{warning}", before.0),
        None => format!("License {number} now {now}; previously it had no end date.{warning}"),
    }
}

/// Describes the change of the number or the holder of a license.
#[must_use]
pub fn renamed(old: &Model, new: &Model) -> String {
    if old == new {
        return format!("License {} already has this number and holder; nothing was changed.", old.number);
    }
    format!("License {} of {} is now license {} of {}.", old.number, old.holder, new.number, new.holder)
}

/// Formats licenses with their number of users as a table.
#[must_use]
pub fn table(licenses: Vec<(Model, i64)>) -> String {
    let rows = licenses.into_iter().map(|(license, users)| {
        let expired = if license.has_expired() { "yes" } else { "no" };
        let kind = match license.kind {
            LicenseKind::Commercial => "commercial",
            LicenseKind::Private => "private",
        };
        let last = license.expires_on.map_or_else(|| "none".to_owned(), |last| last.0.to_string());
        let first = license.starts_on.0.to_string();
        [license.number, license.holder, kind.to_owned(), first, last, expired.to_owned(), users.to_string()]
    });
    super::table::format(HEADERS, rows)
}

fn describe_end(last: Option<Date>) -> String {
    last.map_or_else(|| "has no end date".to_owned(), |last| format!("ends on {}", last.0))
}
