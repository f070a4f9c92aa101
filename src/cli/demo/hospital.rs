//! A fictional hospital group: one seed gives the same users on every machine, whatever their number.
//!
//! A user with a higher index joins the groups and institutions that exist before it. So each record follows from the seed and
//! its index alone, and a larger directory contains the smaller one.

mod attributes;
mod fields;
mod names;
mod person;
mod place;
mod stars;

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use uuid::Builder;

use self::names::{DemoRng, Names};
use self::person::People;
use self::stars::STARS;
use crate::cli::import::record::{GroupRecord, InstitutionRecord, UserRecord};
use crate::entity::attribute_definition;
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
pub struct Star {
    pub kind: &'static str,
    pub id: Id,
}

/// The minimum number of users of a directory: with it, each license has a user.
pub const FEWEST: u32 = 10;

/// Number and holder of each license.
const LICENSES: [(&str, &str); 4] = [
    ("DEMO-0001", "Meridian Hospital Group"),
    ("DEMO-0002", "Northlight Care Homes"),
    ("DEMO-0003", "Sable Bay Research Institutes"),
    ("DEMO-0004", "Maison Aurélie Hospices"),
];

/// Returns the licenses with all their records, for `users` users but at least [`FEWEST`].
#[must_use]
pub fn tenants(users: u32, seed: u64) -> Vec<Tenant> {
    let users = users.max(FEWEST);
    let names = Arc::new(Names::read());
    (0..)
        .zip(LICENSES)
        .map(|(license, (number, holder))| tenant(license, number, holder, users, seed, &names))
        .collect()
}

/// Returns the viewers whose tokens the demo prints, from the highest rank to the lowest.
#[must_use]
pub fn stars(seed: u64) -> [Star; 5] {
    let source = Source::new(seed);
    STARS.map(|star| Star { kind: star.kind, id: source.person(star.index) })
}

fn tenant(
    license: u32,
    number: &'static str,
    holder: &'static str,
    users: u32,
    seed: u64,
    names: &Arc<Names>,
) -> Tenant {
    let source = Source::new(seed);
    let places = move || (0..users).filter(move |index| license_of(*index) == license);
    let size = u32::try_from(places().count()).unwrap_or(u32::MAX);
    let institutions = place::institutions(source, license, size);
    let groups = place::groups(source, license, size);
    let owners = place::owners(license, size);
    let people = People {
        source,
        leads: license > 0,
        names: Arc::clone(names),
        institutions: institutions.iter().filter_map(|institution| institution.id).collect(),
        groups: groups.iter().filter_map(|group| group.id).zip(owners).collect(),
    };
    let id = source.id(SiteKind::License, license.into());
    Tenant {
        id,
        attributes: attributes::definitions(source, license, id),
        number,
        holder,
        institutions,
        groups,
        size,
        last: places().next_back().map(|index| source.person(index)),
        users: Box::new((0..).zip(places()).map(move |(rank, index)| people.person(rank, index))),
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
enum SiteKind {
    License = 1,
    Institution = 2,
    Group = 3,
    Person = 4,
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
    fn rng(self, kind: SiteKind, index: u64) -> DemoRng {
        DemoRng::seed_from_u64(self.0 ^ ((kind as u64) << 56) ^ index)
    }

    /// Returns an id that looks as if one object had been created per second from the start of 2015.
    fn id(self, kind: SiteKind, index: u64) -> Id {
        const START: u64 = 1_420_070_400_000;
        let mut bits = [0; 10];
        self.rng(kind, !index).fill_bytes(&mut bits);
        Id(Builder::from_unix_timestamp_millis(START + index * 1000, &bits).into_uuid())
    }

    fn person(self, index: u32) -> Id {
        self.id(SiteKind::Person, index.into())
    }
}

#[cfg(test)]
mod tests;
