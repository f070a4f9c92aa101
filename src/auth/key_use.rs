//! The passwords, links and other data that still need the server key that was replaced.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use uuid::{NoContext, Timestamp, Uuid};

use super::password::{KEY_MARK, mark_of};
use super::server_key::Key;
use crate::access::of_license;
use crate::db::Transaction;
use crate::entity::link::Purpose;
use crate::entity::mail::MailKind;
use crate::entity::{credential, erased_reference, invitation, link, mail, pin, registration, user};
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::text::counted;

/// The time for which clients may keep cursors, positions and URLs, as long as a session.
const KEPT_BY_CLIENTS: TimeDelta = TimeDelta::days(30);
/// The time after which every server has noticed that the key was replaced.
const NOTICED: TimeDelta = TimeDelta::minutes(1);

/// A server key that was the current one, and only verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldKey {
    /// In hexadecimal.
    pub fingerprint: String,
    /// The time at which it was replaced.
    pub since: DateTime<Utc>,
}

/// The amount of data that still needs the old server key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The passwords of users who have not signed in with them since.
    pub passwords: u64,
    /// The PINs of users who have not signed in with them since.
    pub pins: u64,
    /// The links that were emailed and are not used yet. They need no key, but whoever has the key and a copy of the database from
    /// when they were queued has them.
    pub links: u64,
    /// The emails with a link that were queued before, and are not sent yet.
    pub mails: u64,
    /// The external IDs of erased users, by which imports recognize them.
    pub erased_references: u64,
    /// The time until which clients may have cursors and positions from before, if that is in the future.
    pub clients_until: Option<DateTime<Utc>>,
}

impl KeyUse {
    /// Returns whether anything needs the old key.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.clients_until.is_some() || self.lost().next().is_some()
    }

    /// Returns the numbers of what is lost without the old key, by kind; without those that are zero.
    pub fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let counts = [
            ("passwords", self.passwords),
            ("pins", self.pins),
            ("emailedLinks", self.links),
            ("queuedEmails", self.mails),
            ("erasedExternalIds", self.erased_references),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Returns what needs the old key, a line for each kind, with what happens to it without the key.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let counts = [
            (self.passwords, "password", "passwords", "not used to sign in since: a new one is needed, by email"),
            (self.pins, "PIN", "PINs", "not used to sign in since: a new one is needed"),
            (
                self.links,
                "emailed link",
                "emailed links",
                "not used yet: no longer valid, because the key and a copy of the database tell it",
            ),
            (self.mails, "queued email with a link", "queued emails with a link", "not sent any more"),
            (
                self.erased_references,
                "external ID of an erased user",
                "external IDs of erased users",
                "unknown to an import, which creates the user again",
            ),
        ];
        let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
        let counts = counts.map(|(count, one, several, state)| format!("{}, {state}", counted(count, one, several)));
        let clients = self.clients_until.map(|until| {
            let until = until.format("%Y-%m-%d %H:%M UTC");
            format!("cursors and positions that clients keep, until {until}: they have to read from the beginning")
        });
        counts.chain(clients).collect()
    }
}

/// Counts what needs the old key: of one license, or of all.
pub async fn count(
    db: &impl ConnectionTrait,
    current: &Key,
    old: &OldKey,
    license_id: Option<Id>,
) -> Result<KeyUse, Error> {
    let passwords = credential::Entity::find()
        .filter(is_of_old_key(credential::Column::PasswordHash, current))
        .filter(is_of_user_in(license_id, credential::Column::UserId));
    let pins = pin::Entity::find()
        .filter(is_of_old_key(pin::Column::PinHash, current))
        .filter(is_of_user_in(license_id, pin::Column::UserId));
    let mails = mail::Entity::find().filter(has_old_link(old)).filter(is_of_user_in(license_id, mail::Column::UserId));
    let of_license = license_id.map(|id| of_license(erased_reference::Column::LicenseId, id));
    let erased =
        erased_reference::Entity::find().filter(has_old_hash(current)).filter(Condition::all().add_option(of_license));
    let until = old.since + KEPT_BY_CLIENTS;
    Ok(KeyUse {
        passwords: passwords.count(db).await?,
        pins: pins.count(db).await?,
        links: count_links(db, old, license_id).await?,
        mails: mails.count(db).await?,
        erased_references: erased.count(db).await?,
        clients_until: (until > now()).then_some(until),
    })
}

async fn count_links(db: &impl ConnectionTrait, old: &OldKey, license_id: Option<Id>) -> Result<u64, Error> {
    let links = link::Entity::find()
        .filter(may_be_old_link(old))
        .filter(link::Column::ExpiresAt.gt(now()))
        .filter(is_of_user_in(license_id, link::Column::UserId))
        .count(db)
        .await?;
    if !may_have_links(old) {
        return Ok(links);
    }
    let of_license = license_id.map(|id| of_license(registration::Column::LicenseId, id));
    let registrations = registration::Entity::find()
        .filter(registration::Column::ExpiresAt.gt(now()))
        .filter(Condition::all().add_option(of_license));
    Ok(links + registrations.count(db).await?)
}

/// Deletes what needs the old key, so that a copy of the key verifies nothing any more, and tells no link.
pub(super) async fn discard(transaction: &Transaction, current: &Key, old: &OldKey) -> Result<(), Error> {
    let passwords = is_of_old_key(credential::Column::PasswordHash, current);
    credential::Entity::delete_many().filter(passwords).exec(transaction).await?;
    discard_pins(transaction, current).await?;
    discard_links(transaction, old).await?;
    erased_reference::Entity::delete_many().filter(has_old_hash(current)).exec(transaction).await?;
    Ok(())
}

async fn discard_pins(transaction: &Transaction, current: &Key) -> Result<(), Error> {
    let pins = || is_of_old_key(pin::Column::PinHash, current);
    let owners = pin::Entity::find().select_only().column(pin::Column::UserId).filter(pins()).into_query();
    // A sign-in that replaces the hash of a PIN holds this lock.
    let owners =
        user::Entity::find().select_only().column(user::Column::Id).filter(user::Column::Id.in_subquery(owners));
    owners.order_by_asc(user::Column::Id).lock_exclusive().into_tuple::<Id>().all(transaction).await?;
    pin::Entity::delete_many().filter(pins()).exec(transaction).await?;
    let kept = pin::Entity::find().select_only().column(pin::Column::UserId).into_query();
    user::Entity::update_many()
        .col_expr(user::Column::HasPin, Expr::value(false))
        .filter(user::Column::HasPin.eq(true))
        .filter(user::Column::Id.not_in_subquery(kept))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Deletes emailed links. An email that is still queued is not sent without its link.
async fn discard_links(transaction: &Transaction, old: &OldKey) -> Result<(), Error> {
    let invited = link::Entity::find()
        .select_only()
        .column(link::Column::UserId)
        .filter(may_be_old_link(old))
        .filter(link::Column::Purpose.eq(Purpose::Activation))
        .into_query();
    let now = now();
    invitation::Entity::update_many()
        .col_expr(invitation::Column::ExpiresAt, Expr::value(now))
        .filter(invitation::Column::UserId.in_subquery(invited))
        .filter(invitation::Column::AcceptedAt.is_null())
        .filter(invitation::Column::ExpiresAt.gt(now))
        .exec(transaction)
        .await?;
    link::Entity::delete_many().filter(may_be_old_link(old)).exec(transaction).await?;
    if may_have_links(old) {
        registration::Entity::delete_many().exec(transaction).await?;
    }
    Ok(())
}

/// Returns whether links that were emailed before the old key was replaced may still be valid.
fn may_have_links(old: &OldKey) -> bool {
    old.since + NOTICED + Purpose::Activation.lives() > now()
}

/// Returns the condition for emailed links that may have been made with the old key: all of them, as long as one may be that old, and
/// later those of emails that are queued for so long.
fn may_be_old_link(old: &OldKey) -> Condition {
    let emailed = Condition::all().add(link::Column::IsMailed.eq(true));
    if may_have_links(old) {
        return emailed;
    }
    let owners = mail::Entity::find()
        .select_only()
        .column(mail::Column::UserId)
        .filter(has_old_link(old))
        .filter(mail::Column::UserId.is_not_null())
        .into_query();
    emailed.add(link::Column::UserId.in_subquery(owners))
}

/// Returns the condition for rows of users of a license; of all rows if there is none.
fn is_of_user_in(license_id: Option<Id>, user_id: impl ColumnTrait) -> Condition {
    let users = |id| {
        let users = user::Entity::find().select_only().column(user::Column::Id);
        users.filter(of_license(user::Column::LicenseId, id)).into_query()
    };
    Condition::all().add_option(license_id.map(|id| user_id.in_subquery(users(id))))
}

/// Returns the condition for hashes that were made with another key than the current one.
fn is_of_old_key(hash: impl ColumnTrait, current: &Key) -> Condition {
    let mark = mark_of(current);
    Condition::all().add(hash.like(format!("%{KEY_MARK}%"))).add(hash.not_like(format!("%{mark}%")))
}

/// Returns the condition for emails whose link was stored before the old key was replaced. Their IDs, UUIDv7, tell when they were
/// queued.
fn has_old_link(old: &OldKey) -> Condition {
    let until = old.since + NOTICED;
    let seconds = u64::try_from(until.timestamp()).unwrap_or_default();
    let first_after = Id(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, until.timestamp_subsec_nanos())));
    let has_link =
        Condition::any().add(mail::Column::UserId.is_not_null()).add(mail::Column::Kind.eq(MailKind::Registration));
    Condition::all().add(mail::Column::Seed.is_not_null()).add(mail::Column::Id.lt(first_after)).add(has_link)
}

/// Returns the condition for the external IDs of erased users that were not hashed with the current key.
fn has_old_hash(current: &Key) -> Condition {
    let key_id = erased_reference::Column::KeyId;
    Condition::any().add(key_id.is_null()).add(key_id.ne(hex::encode(current.id())))
}
