//! A fictional hospital group: one seed gives the same users on every machine, whatever their number.
//!
//! A user with a higher index joins the groups and institutions that exist before it. So each record follows from the seed and
//! its index alone, and a larger directory contains the smaller one.

mod accounts;
mod attributes;
mod fields;
mod names;
mod organisation;
mod users;

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use uuid::Builder;

use self::accounts::ACCOUNTS;
use self::names::{DemoRng, Names};
use self::users::UserGenerator;
use crate::entity::attribute_definition;
use crate::import::record::{GroupRecord, InstitutionRecord, UserRecord};
use crate::scalar::Id;

/// One license of the demo with everything in it.
pub struct Tenant {
    pub id: Id,
    pub number: &'static str,
    pub holder: &'static str,
    pub attributes: Vec<attribute_definition::Model>,
    pub institutions: Vec<InstitutionRecord>,
    pub groups: Vec<GroupRecord>,
    /// The number of users.
    pub size: u32,
    /// The id of the last user.
    pub last: Option<Id>,
    pub users: Box<dyn Iterator<Item = UserRecord> + Send>,
}

/// A viewer whose token the demo prints. All are in the first license.
pub struct ViewerAccount {
    pub kind: &'static str,
    pub id: Id,
}

/// The minimum number of users of a directory: with it, each license has a user.
pub const MIN_USERS: u32 = 10;

struct License {
    number: &'static str,
    holder: &'static str,
}

const LICENSES: [License; 4] = [
    License { number: "DEMO-0001", holder: "Meridian Hospital Group" },
    License { number: "DEMO-0002", holder: "Northlight Care Homes" },
    License { number: "DEMO-0003", holder: "Sable Bay Research Institutes" },
    License { number: "DEMO-0004", holder: "Maison Aurélie Hospices" },
];

/// Returns the licenses with all their records, for `users` users but at least [`MIN_USERS`].
#[must_use]
pub fn tenants(users: u32, seed: u64) -> Vec<Tenant> {
    let users = users.max(MIN_USERS);
    let names = Arc::new(Names::read());
    (0..).zip(&LICENSES).map(|(index, license)| tenant(index, license, users, seed, &names)).collect()
}

/// Returns the viewers whose tokens the demo prints, from the highest rank to the lowest.
#[must_use]
pub fn viewer_accounts(seed: u64) -> [ViewerAccount; 5] {
    let source = Source::new(seed);
    ACCOUNTS.map(|account| ViewerAccount { kind: account.kind, id: source.user(account.index) })
}

/// Returns a license, the one at an index of [`LICENSES`], for a directory of `users` users.
fn tenant(license_index: u32, license: &License, users: u32, seed: u64, names: &Arc<Names>) -> Tenant {
    let source = Source::new(seed);
    let indexes = move || (0..users).filter(move |index| license_of(*index) == license_index);
    let size = u32::try_from(indexes().count()).unwrap_or(u32::MAX);
    let institutions = organisation::institutions(source, license_index, size);
    let groups = organisation::groups(source, license_index, size);
    let owners = organisation::owners(license_index, size);
    let generator = UserGenerator {
        source,
        has_license_admin: license_index > 0,
        names: Arc::clone(names),
        institutions: institutions.iter().filter_map(|institution| institution.id).collect(),
        groups: groups.iter().filter_map(|group| group.id).zip(owners).collect(),
    };
    let id = source.id(ObjectKind::License, license_index.into());
    Tenant {
        id,
        attributes: attributes::definitions(source, license_index, id),
        number: license.number,
        holder: license.holder,
        institutions,
        groups,
        size,
        last: indexes().next_back().map(|index| source.user(index)),
        users: Box::new((0..).zip(indexes()).map(move |(rank, index)| generator.user(rank, index))),
    }
}

/// Returns the license of the user at an index. Six of ten users belong to the first license, two to the second, and one to each
/// of the other two.
fn license_of(index: u32) -> u32 {
    match index % 10 {
        5 | 8 => 1,
        6 => 2,
        7 => 3,
        _ => 0,
    }
}

/// The type of object that an id belongs to.
#[derive(Clone, Copy)]
enum ObjectKind {
    License = 1,
    Institution = 2,
    Group = 3,
    User = 4,
    Attribute = 5,
}

/// The source of ids and random numbers.
#[derive(Clone, Copy)]
struct Source(u64);

impl Source {
    fn new(seed: u64) -> Self {
        Self(DemoRng::seed_from_u64(seed).next_u64())
    }

    /// Returns a random generator for one object, independent of all others.
    fn rng(self, kind: ObjectKind, index: u64) -> DemoRng {
        DemoRng::seed_from_u64(self.0 ^ ((kind as u64) << 56) ^ index)
    }

    /// Returns an id that looks as if one object had been created per second from the start of 2015.
    fn id(self, kind: ObjectKind, index: u64) -> Id {
        const START: u64 = 1_420_070_400_000;
        let mut bits = [0; 10];
        self.rng(kind, !index).fill_bytes(&mut bits);
        Id(Builder::from_unix_timestamp_millis(START + index * 1000, &bits).into_uuid())
    }

    fn user(self, index: u32) -> Id {
        self.id(ObjectKind::User, index.into())
    }
}

#[cfg(test)]
mod tests;
