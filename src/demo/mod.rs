//! The demonstration: a synthetic hospital group, and a way in for each kind of viewer.

mod hospital;

use std::net::SocketAddr;

use sea_orm::{EntityTrait, PaginatorTrait, QueryFilter};

use crate::access::of_license;
use crate::context::{Client, Lifetime};
use crate::db::Db;
use crate::entity::{tombstone, user};
use crate::error::Error;
use crate::import::{self, record::Record};
use crate::{attribute, license, session};

/// Enters the hospital group, or what is missing of it. Only a directory that holds nobody else is taken.
///
/// # Errors
/// `BadInput` where the directory belongs to others; whatever the database says.
pub async fn fill(db: &Db, users: u32, seed: u64, progress: impl Fn(u64)) -> Result<(), Error> {
    let tenants = hospital::tenants(users, seed);
    let others =
        license::list(db).await?.into_iter().any(|license| tenants.iter().all(|tenant| tenant.id != license.id));
    if others {
        let message =
            "this directory holds others than the people of this demonstration and seed; name another by --data-dir";
        return Err(Error::BadInput(message.to_owned()));
    }
    let mut done = 0;
    for tenant in tenants {
        let size = u64::from(tenant.size);
        if license::find(db, tenant.number).await?.is_none() {
            license::create(db, tenant.id, tenant.number, tenant.holder).await?;
        }
        let of_tenant = of_license(tombstone::Column::LicenseId, tenant.id);
        let erased = tombstone::Entity::find().filter(of_tenant).count(db.read()).await?;
        let of_tenant = of_license(user::Column::LicenseId, tenant.id);
        if user::Entity::find().filter(of_tenant).count(db.read()).await? + erased >= size {
            // Whatever was changed since the last start stays.
            done += size;
            progress(done);
            continue;
        }
        attribute::define_all(db, tenant.id, tenant.attributes).await?;
        let institutions = tenant.institutions.into_iter().map(Record::Institution);
        let groups = tenant.groups.into_iter().map(Record::Group);
        let people = tenant.users.map(|user| Record::User(Box::new(user)));
        let records = institutions.chain(groups).chain(people);
        let tally = import::load_records(db, tenant.id, records, |here| progress(done + here)).await?;
        if let Some(bad) = tally.bad.first() {
            return Err(Error::internal(format!(
                "record {} of the demonstration: {}",
                bad.number,
                bad.faults.join("; ")
            )));
        }
        done += tally.created + tally.changed + tally.unchanged;
        db.survey().await?;
    }
    Ok(())
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
            let opened = session::open(db, lifetime, &Client::default(), person).await?;
            tokens.push((star.kind, opened.token));
        }
    }
    Ok(tokens)
}

/// A first request, ready to be pasted into a shell.
#[must_use]
pub fn first_request(address: SocketAddr, token: &str) -> String {
    let query = "{ viewer { fullName } users(first: 3) { totalCount nodes { fullName institution { name } groups { name } } } }";
    format!(
        "curl -s http://{address}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{{\"query\":\"{query}\"}}'"
    )
}
