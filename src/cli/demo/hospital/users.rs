//! Users of the hospital group.

use std::sync::Arc;

use async_graphql::MaybeUndefined::{Undefined, Value};
use chrono::DateTime;
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::accounts::{ACCOUNTS, Account};
use super::fields::fields;
use super::names::{DemoRng, Names};
use super::organisation::open_institutions;
use super::{ObjectKind, Source, attributes};
use crate::entity::membership::GroupRole;
use crate::entity::user::{Role, UserNames};
use crate::import::record::{GroupReference, UserRecord};
use crate::scalar::Id;

/// Generates the users of one license.
pub struct UserGenerator {
    pub source: Source,
    /// Whether the first user is the license administrator.
    pub has_license_admin: bool,
    pub names: Arc<Names>,
    pub institutions: Vec<Id>,
    /// The id of each group, and the rank of its owner.
    pub groups: Vec<(Id, u32)>,
}

impl UserGenerator {
    /// Returns the user at an index of the directory, who is the `rank`th of the license.
    pub fn user(&self, rank: u32, index: u32) -> UserRecord {
        let mut rng = self.source.rng(ObjectKind::User, index.into());
        let account = ACCOUNTS.iter().find(|account| account.index == index);
        let name = account.map_or_else(|| self.names.draw(&mut rng), Account::name);
        let role = self.role(account, rank, &mut rng);
        let groups = self.memberships(account, rank, &mut rng);
        let is_needed = account.is_some()
            || role == Role::LicenseAdmin
            || groups.iter().any(|group| group.role == GroupRole::Owner);
        let open = self.institutions.get(..open_institutions(rank)).unwrap_or(&self.institutions);
        let has_no_institution = rng.random_ratio(3, 100) && account.is_none();
        UserRecord {
            id: Some(self.source.user(index)),
            names: UserNames::new(name.first.clone(), name.last.clone()),
            fields: fields(account, &name, role, index, &mut rng),
            attributes: attributes::values(&name, &mut self.source.rng(ObjectKind::Attribute, index.into())),
            is_active: if rng.random_ratio(4, 100) && !is_needed { Value(false) } else { Undefined },
            institution: open.choose(&mut rng).filter(|_| !has_no_institution).map(|id| id.0.to_string()),
            groups,
            password_hash: None,
            date_joined: DateTime::from_timestamp_micros(rng.random_range(JOINED)),
            has_activated: rng.random_ratio(92, 100) || is_needed,
            sites: sites(account, role, open, &mut rng),
            ..UserRecord::default()
        }
    }

    fn role(&self, account: Option<&Account>, rank: u32, rng: &mut DemoRng) -> Role {
        let lot = rng.random_range(0..2_000);
        let lot = if self.has_license_admin && rank == 0 { 0 } else { lot };
        match (account.map(|account| account.kind), lot) {
            (Some("license_admin"), _) | (None, 0) => Role::LicenseAdmin,
            (Some("admin"), _) | (None, 1..=20) => Role::Admin,
            _ => Role::User,
        }
    }

    /// Returns the groups that the user founded, and up to six that existed before.
    fn memberships(&self, account: Option<&Account>, rank: u32, rng: &mut DemoRng) -> Vec<GroupReference> {
        let open_groups = self.groups.partition_point(|(_, owner)| *owner <= rank);
        let open_groups = self.groups.get(..open_groups).unwrap_or_default();
        let count = if account.is_some() { 3 } else { rng.random_range(0..=3) + rng.random_range(0..=3) };
        let joined: Vec<&(Id, u32)> = open_groups.sample(rng, count).collect();
        let founded =
            open_groups.iter().filter(|(_, owner)| *owner == rank).map(|(id, _)| member(*id, GroupRole::Owner));
        let mut groups: Vec<GroupReference> = founded.collect();
        for (id, _) in joined.into_iter().filter(|(_, owner)| *owner != rank) {
            let role = match rng.random_range(0..100) {
                _ if account.is_some_and(|account| account.kind == "user") => GroupRole::Member,
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
fn sites(account: Option<&Account>, role: Role, open: &[Id], rng: &mut DemoRng) -> Vec<String> {
    if account.is_some() || role != Role::Admin {
        return Vec::new();
    }
    let count = rng.random_range(1..=3);
    open.sample(rng, count).map(|id| id.0.to_string()).collect()
}

fn member(group: Id, role: GroupRole) -> GroupReference {
    GroupReference { group: group.0.to_string(), role, joined_at: None }
}

/// Microseconds from the start of 2015 to that of November 2026.
const JOINED: std::ops::Range<i64> = 1_420_070_400_000_000..1_793_491_200_000_000;
