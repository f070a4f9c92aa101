//! The demo: a synthetic hospital group, and a signed-in user for each kind of viewer.

pub mod busy;
mod hospital;

use sea_orm::{EntityTrait, PaginatorTrait};

use self::hospital::Tenant;
use crate::auth::credential::store_password;
use crate::auth::password::{Hasher, Verification};
use crate::auth::policy::Lifetime;
use crate::auth::server_key::Key;
use crate::auth::token;
use crate::cli::bulk;
use crate::client::Client;
use crate::db::Db;
use crate::entity::{credential, tombstone, user};
use crate::error::Error;
use crate::import::{self, record::Record};
use crate::scalar::Id;
use crate::{attribute, license, session};

/// The progress of filling the directory.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// The number of users created so far.
    Created(u64),
    /// All users are created; their indexes are being built.
    Indexing,
}

/// Creates the hospital group, or the missing rest of it. The directory must not hold other licenses.
///
/// # Errors
/// `BadInput` if the directory holds other licenses.
pub async fn fill(db: &Db, users: u32, seed: u64, progress: impl Fn(Progress)) -> Result<(), Error> {
    let tenants = hospital::tenants(users, seed);
    let has_others =
        license::list(db).await?.into_iter().any(|license| tenants.iter().all(|tenant| tenant.id != license.id));
    if has_others {
        let message = "this database holds licenses other than those of the demo with this seed; choose another one with --data-dir or --database-url";
        return Err(Error::BadInput(message.to_owned()));
    }
    let existing = user::Entity::find().count(db.read()).await?;
    let (mut done, mut has_begun) = (0, false);
    for tenant in tenants {
        let size = u64::from(tenant.size);
        // Changes made since the last start are kept.
        if !is_filled(db, &tenant).await? {
            if !has_begun {
                bulk::begin(db, u64::from(users).saturating_sub(existing)).await?;
                has_begun = true;
            }
            insert(db, tenant, |created| progress(Progress::Created(done + created))).await?;
            db.analyze().await?;
        }
        done += size;
    }
    let has_dropped_indexes = bulk::has_dropped_indexes(db).await?;
    if has_dropped_indexes {
        progress(Progress::Indexing);
    }
    if has_begun || has_dropped_indexes {
        bulk::end(db).await?;
    }
    Ok(())
}

/// Returns whether all users of a license were created. Users are created in order, so it is enough to look for the last one,
/// existing or erased.
async fn is_filled(db: &Db, tenant: &Tenant) -> Result<bool, Error> {
    let Some(last) = tenant.last else { return Ok(true) };
    let is_there = user::Entity::find_by_id(last).one(db.read()).await?.is_some();
    Ok(is_there || tombstone::Entity::find_by_id(last).one(db.read()).await?.is_some())
}

async fn insert(db: &Db, tenant: Tenant, progress: impl Fn(u64)) -> Result<(), Error> {
    if license::find(db, tenant.number).await?.is_none() {
        license::create_first(db, tenant.id, tenant.number, tenant.holder).await?;
    }
    attribute::define_all(db, tenant.id, tenant.attributes).await?;
    let preceding = u64::try_from(tenant.institutions.len() + tenant.groups.len()).unwrap_or_default();
    let institutions = tenant.institutions.into_iter().map(Record::Institution);
    let groups = tenant.groups.into_iter().map(Record::Group);
    let users = tenant.users.map(|user| Record::User(Box::new(user)));
    let records = institutions.chain(groups).chain(users);
    let summary =
        import::load_records(db, tenant.id, records, |count| progress(count.saturating_sub(preceding))).await?;
    match summary.invalid.first() {
        Some(row) => {
            let errors: Vec<String> = row.errors.iter().map(ToString::to_string).collect();
            Err(Error::internal(format!("demo record at {}: {}", row.name, errors.join("; "))))
        }
        None => Ok(()),
    }
}

/// A signed-in user of the demo who stands for a kind of viewer.
pub struct DemoViewer {
    pub kind: &'static str,
    pub user_id: Id,
    pub email: String,
    pub token: String,
}

/// Starts a session for one active viewer of each kind, from the highest rank to the lowest. A viewer without a password gets the
/// one that [`password`] returns.
pub async fn sign_in(db: &Db, hasher: &Hasher, seed: u64, lifetime: Lifetime) -> Result<Vec<DemoViewer>, Error> {
    let mut viewers = Vec::new();
    for account in hospital::viewer_accounts(seed) {
        let user = user::Entity::find_by_id(account.id).one(db.read()).await?;
        // Users that were deactivated since the last start stay deactivated.
        if let Some(user) = user.filter(|user| user.is_active) {
            ensure_password(db, hasher, account.id).await?;
            let email = user.email.clone().unwrap_or_default();
            let session = session::start(db, lifetime, &Client::default(), &user).await?;
            viewers.push(DemoViewer { kind: account.kind, user_id: account.id, email, token: session.token });
        }
    }
    Ok(viewers)
}

#[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
async fn ensure_password(db: &Db, hasher: &Hasher, user_id: Id) -> Result<(), Error> {
    if let Some(stored) = credential::Entity::find_by_id(user_id).one(db.read()).await?
        && !has_old_password(hasher, &stored.password_hash).await?
    {
        return Ok(());
    }
    let hash = hasher.hash(password(hasher), None).await?;
    let transaction = db.begin().await?;
    store_password(&transaction, user_id, hash).await?;
    Ok(transaction.commit().await?)
}

/// Returns whether a hash is that of the first password by a server key that was replaced.
async fn has_old_password(hasher: &Hasher, hash: &str) -> Result<bool, Error> {
    for key in hasher.keys().others() {
        let permit = hasher.acquire_permit(None).await?;
        if permit.verify(password_of(key), Some(hash.to_owned())).await? != Verification::Wrong {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the first password of the viewers: different for each server key, and the same at each start.
#[must_use]
pub fn password(hasher: &Hasher) -> String {
    password_of(hasher.keys().current())
}

fn password_of(key: &Key) -> String {
    const LENGTH: usize = 20;
    let token = token::from_seed(key, b"password of the viewers of the demo");
    token.chars().rev().take(LENGTH).collect()
}

/// Returns a subscription to the changes of the server at a URL, as a shell command.
#[must_use]
pub fn subscription(url: &str, token: &str) -> String {
    let query = "subscription { changes { kind type nodeId changedFields node { ... on User { fullName position } ... on Group { name } } } }";
    format!(
        "curl -sSN {url}/graphql -H 'Authorization: Bearer {token}' -H 'Accept: text/event-stream' -H 'Content-Type: application/json' -d '{{\"query\":\"{query}\"}}'"
    )
}

/// Returns a first request to the server at a URL, as a shell command.
#[must_use]
pub fn first_request(url: &str, token: &str) -> String {
    let query = "{ viewer { fullName } users(first: 3) { totalCount nodes { fullName institution { name } groups { name } } } }";
    format!(
        "curl -s {url}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{{\"query\":\"{query}\"}}'"
    )
}
