//! The demonstration: a synthetic hospital group, and a way in for each kind of viewer.

mod bulk;
mod hospital;

use sea_orm::EntityTrait;

use self::hospital::Tenant;
use crate::auth::policy::Lifetime;
use crate::cli::import::{self, record::Record};
use crate::client::Client;
use crate::db::Db;
use crate::entity::{tombstone, user};
use crate::error::Error;
use crate::{attribute, license, session};

/// How far the entering of people is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// So many are there.
    Entered(u64),
    /// Everybody is there, and is made quick to find.
    Indexing,
}

/// Enters the hospital group, or what is missing of it. Only a directory that holds nobody else is taken.
///
/// # Errors
/// `BadInput` where the directory belongs to others; whatever the database says.
pub async fn fill(db: &Db, users: u32, seed: u64, progress: impl Fn(Progress)) -> Result<(), Error> {
    let tenants = hospital::tenants(users, seed);
    let others =
        license::list(db).await?.into_iter().any(|license| tenants.iter().all(|tenant| tenant.id != license.id));
    if others {
        let message = "this database holds licenses other than those of the demo with this seed; choose another one with --data-dir or --database-url";
        return Err(Error::BadInput(message.to_owned()));
    }
    let (mut done, mut is_bulk) = (0, bulk::is_under_way(db).await?);
    for tenant in tenants {
        let size = u64::from(tenant.size);
        // Whatever was changed since the last start stays.
        if !is_filled(db, &tenant).await? {
            if !is_bulk {
                bulk::begin(db, users.into()).await?;
                is_bulk = bulk::is_under_way(db).await?;
            }
            insert(db, tenant, |here| progress(Progress::Entered(done + here))).await?;
            db.analyze().await?;
        }
        done += size;
    }
    if is_bulk {
        progress(Progress::Indexing);
        bulk::end(db).await?;
        db.analyze().await?;
    }
    Ok(())
}

/// Whether everybody of a license was entered: people come in their order, so that the last one tells, there or erased.
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
    let places = u64::try_from(tenant.institutions.len() + tenant.groups.len()).unwrap_or_default();
    let institutions = tenant.institutions.into_iter().map(Record::Institution);
    let groups = tenant.groups.into_iter().map(Record::Group);
    let people = tenant.users.map(|user| Record::User(Box::new(user)));
    let records = institutions.chain(groups).chain(people);
    let tally = import::load_records(db, tenant.id, records, |here| progress(here.saturating_sub(places))).await?;
    match tally.bad.first() {
        Some(bad) => {
            let faults = bad.faults.join("; ");
            Err(Error::internal(format!("demo record {}: {faults}", bad.number)))
        }
        None => Ok(()),
    }
}

/// A new session for one viewer of each kind who is active: kind and bearer token.
///
/// # Errors
/// Whatever the database says.
pub async fn sign_in(db: &Db, seed: u64, lifetime: Lifetime) -> Result<Vec<(&'static str, String)>, Error> {
    let mut tokens = Vec::new();
    for star in hospital::stars(seed) {
        let person = user::Entity::find_by_id(star.id).one(db.read()).await?;
        // Whoever was deactivated since the last start stays so.
        if let Some(person) = person.filter(|person| person.is_active) {
            let opened = session::start(db, lifetime, &Client::default(), person).await?;
            tokens.push((star.kind, opened.token));
        }
    }
    Ok(tokens)
}

/// A first request to the server at a URL, ready to be pasted into a shell.
#[must_use]
pub fn first_request(url: &str, token: &str) -> String {
    let query = "{ viewer { fullName } users(first: 3) { totalCount nodes { fullName institution { name } groups { name } } } }";
    format!(
        "curl -s {url}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{{\"query\":\"{query}\"}}'"
    )
}
