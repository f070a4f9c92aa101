//! Users of the hospital group.

use std::sync::Arc;

use async_graphql::MaybeUndefined::{Undefined, Value};
use chrono::DateTime;
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::fields::fields;
use super::names::{DemoRng, Names};
use super::place::open_institutions;
use super::stars::{STARS, StarPerson};
use super::{SiteKind, Source, attributes};
use crate::cli::import::record::{GroupReference, UserRecord};
use crate::entity::membership::GroupRole;
use crate::entity::user::{Role, UserNames as GivenNames};
use crate::scalar::Id;

/// The data from which the users of one license are made.
pub struct People {
    pub source: Source,
    /// Whether the first user is the license administrator.
    pub leads: bool,
    pub names: Arc<Names>,
    pub institutions: Vec<Id>,
    /// The id of each group, and the rank of its owner.
    pub groups: Vec<(Id, u32)>,
}

impl People {
    /// Returns the user at an index of the directory, who is the `rank`th of the license.
    pub fn person(&self, rank: u32, index: u32) -> UserRecord {
        let mut rng = self.source.rng(SiteKind::Person, index.into());
        let star = STARS.iter().find(|star| star.index == index);
        let name = star.map_or_else(|| self.names.draw(&mut rng), StarPerson::name);
        let role = self.role(star, rank, &mut rng);
        let groups = self.memberships(star, rank, &mut rng);
        let needed =
            star.is_some() || role == Role::LicenseAdmin || groups.iter().any(|group| group.role == GroupRole::Owner);
        let open = self.institutions.get(..open_institutions(rank)).unwrap_or(&self.institutions);
        let homeless = rng.random_ratio(3, 100) && star.is_none();
        UserRecord {
            id: Some(self.source.person(index)),
            names: GivenNames { first_name: Value(name.first.clone()), last_name: Value(name.last.clone()) },
            fields: fields(star, &name, role, index, &mut rng),
            attributes: attributes::values(&name, &mut self.source.rng(SiteKind::Attribute, index.into())),
            is_active: if rng.random_ratio(4, 100) && !needed { Value(false) } else { Undefined },
            institution: open.choose(&mut rng).filter(|_| !homeless).map(|id| id.0.to_string()),
            groups,
            password_hash: None,
            date_joined: DateTime::from_timestamp_micros(rng.random_range(JOINED)),
            has_activated: rng.random_ratio(92, 100) || needed,
            sites: sites(star, role, open, &mut rng),
        }
    }

    fn role(&self, star: Option<&StarPerson>, rank: u32, rng: &mut DemoRng) -> Role {
        let lot = rng.random_range(0..2_000);
        let lot = if self.leads && rank == 0 { 0 } else { lot };
        match (star.map(|star| star.kind), lot) {
            (Some("license_admin"), _) | (None, 0) => Role::LicenseAdmin,
            (Some("admin"), _) | (None, 1..=20) => Role::Admin,
            _ => Role::User,
        }
    }

    /// Returns the groups that the user founded, and up to six that existed before.
    fn memberships(&self, star: Option<&StarPerson>, rank: u32, rng: &mut DemoRng) -> Vec<GroupReference> {
        let there = self.groups.partition_point(|(_, owner)| *owner <= rank);
        let there = self.groups.get(..there).unwrap_or_default();
        let most = if star.is_some() { 3 } else { rng.random_range(0..=3) + rng.random_range(0..=3) };
        let joined: Vec<&(Id, u32)> = there.sample(rng, most).collect();
        let founded = there.iter().filter(|(_, owner)| *owner == rank).map(|(id, _)| member(*id, GroupRole::Owner));
        let mut groups: Vec<GroupReference> = founded.collect();
        for (id, _) in joined.into_iter().filter(|(_, owner)| *owner != rank) {
            let role = match rng.random_range(0..100) {
                _ if star.is_some_and(|star| star.kind == "user") => GroupRole::Member,
                0 => GroupRole::Owner,
                1..5 => GroupRole::Manager,
                _ => GroupRole::Member,
            };
            groups.push(member(*id, role));
        }
        groups
    }
}

/// Returns the sites that an administrator has access to: up to three of those that were open.
fn sites(star: Option<&StarPerson>, role: Role, open: &[Id], rng: &mut DemoRng) -> Vec<String> {
    if star.is_some() || role != Role::Admin {
        return Vec::new();
    }
    let most = rng.random_range(1..=3);
    open.sample(rng, most).map(|id| id.0.to_string()).collect()
}

fn member(group: Id, role: GroupRole) -> GroupReference {
    GroupReference { group: group.0.to_string(), role }
}

/// Microseconds from the start of 2015 to that of November 2026.
const JOINED: std::ops::Range<i64> = 1_420_070_400_000_000..1_793_491_200_000_000;
