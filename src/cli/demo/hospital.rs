//! A hospital group that does not exist: one seed makes the same people on every machine, however many are asked for.
//!
//! Whoever comes at a later place joins the groups and institutions that are there already, so that each record
//! follows from the seed and its place alone, and a larger directory holds the smaller one.

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

/// One license of the demonstration with everything in it.
pub struct Tenant {
    pub id: Id,
    pub number: &'static str,
    pub holder: &'static str,
    pub attributes: Vec<attribute_definition::Model>,
    pub institutions: Vec<InstitutionRecord>,
    pub groups: Vec<GroupRecord>,
    /// How many people there are.
    pub size: u32,
    /// Who comes last.
    pub last: Option<Id>,
    pub users: Box<dyn Iterator<Item = UserRecord> + Send>,
}

/// A viewer whose token the demonstration prints; all are of the first license.
pub struct Star {
    pub kind: &'static str,
    pub id: Id,
}

/// The fewest people that a directory can have: with them each license has somebody.
pub const FEWEST: u32 = 10;

/// Number and holder of each license.
const LICENSES: [(&str, &str); 4] = [
    ("DEMO-0001", "Meridian Hospital Group"),
    ("DEMO-0002", "Northlight Care Homes"),
    ("DEMO-0003", "Sable Bay Research Institutes"),
    ("DEMO-0004", "Maison Aurélie Hospices"),
];

/// The licenses and all that is in them, for `users` people, at least [`FEWEST`].
#[must_use]
pub fn tenants(users: u32, seed: u64) -> Vec<Tenant> {
    let users = users.max(FEWEST);
    let names = Arc::new(Names::read());
    (0..)
        .zip(LICENSES)
        .map(|(license, (number, holder))| tenant(license, number, holder, users, seed, &names))
        .collect()
}

/// The viewers whose tokens the demonstration prints, the mightiest first.
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

/// The license of the person at a place: six of ten people belong to the first one, two to the second.
fn license_of(index: u32) -> u32 {
    match index % 10 {
        5 | 8 => 1,
        6 => 2,
        7 => 3,
        _ => 0,
    }
}

/// What an id is of.
#[derive(Clone, Copy)]
enum SiteKind {
    License = 1,
    Institution = 2,
    Group = 3,
    Person = 4,
    Attribute = 5,
}

/// Where ids and chance come from.
#[derive(Clone, Copy)]
struct Source(u64);

impl Source {
    fn new(seed: u64) -> Self {
        Self(DemoRng::seed_from_u64(seed).next_u64())
    }

    /// The chance of one thing, which owes nothing to any other.
    fn rng(self, kind: SiteKind, index: u64) -> DemoRng {
        DemoRng::seed_from_u64(self.0 ^ ((kind as u64) << 56) ^ index)
    }

    /// An id that looks as if things had been entered second by second from the start of 2015.
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
