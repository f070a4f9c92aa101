//! The relations of imported users: their groups, and the sites that they have access to.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::Channel;
use super::draft::storable;
use super::existing::ExistingRows;
use super::importer::Importer;
use super::record::UserRecord;
use crate::entity::membership::{self, GroupRole, MAX_GROUPS_OF_A_USER};
use crate::entity::{site_access, user};
use crate::error::ErrorCode;
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// The maximum number of groups, and of sites, in a row of a request.
const MAX_ITEMS: usize = 200;

/// The memberships of a user that are new, change or end.
#[derive(Default)]
pub(super) struct Memberships {
    pub(super) changed: Vec<membership::Model>,
    /// Those of which the role changes, as they were.
    pub(super) former: Vec<membership::Model>,
    pub(super) ended: Vec<membership::Model>,
}

/// The access of a user to sites that is new or ends.
#[derive(Default)]
pub(super) struct Grants {
    pub(super) new: Vec<site_access::Model>,
    pub(super) ended: Vec<site_access::Model>,
}

impl Memberships {
    pub(super) fn is_unchanged(&self) -> bool {
        self.changed.is_empty() && self.ended.is_empty()
    }
}

impl Grants {
    pub(super) fn is_unchanged(&self) -> bool {
        self.new.is_empty() && self.ended.is_empty()
    }
}

impl Importer<'_> {
    /// Returns the memberships that are new, change or end. Groups of which the user is an owner are never left.
    pub(super) fn memberships(
        &mut self,
        user: &user::Model,
        record: &UserRecord,
        existing: &ExistingRows,
        validator: &mut Validator,
    ) -> Memberships {
        if self.has_too_many("groups", record.groups.len(), validator) {
            return Memberships::default();
        }
        let existing = existing.memberships.get(&user.id);
        let mut groups: HashSet<Id> = existing.into_iter().flatten().map(|(group_id, _)| *group_id).collect();
        let (mut found, mut named) = <(Memberships, HashSet<Id>)>::default();
        // The last of several roles in one group counts.
        for (place, reference) in record.groups.iter().enumerate().rev() {
            let place = self.options.channel.place_of_item("groups", format_args!("{place}.group"));
            let group_id = self.find_item("groups", &reference.group, &place, validator);
            let Some(group_id) = group_id.filter(|id| named.insert(*id)) else { continue };
            let (role, old) = (reference.role, existing.and_then(|rows| rows.get(&group_id)));
            groups.insert(group_id);
            if old.is_none_or(|old| old.role != role) {
                let given = storable("groups", reference.joined_at, validator);
                let joined_at = old.map(|old| old.joined_at).or(given).unwrap_or_else(|| self.time_of_joining(user));
                found.changed.push(membership::Model { user_id: user.id, group_id, role, joined_at });
                found.former.extend(old.cloned());
            }
        }
        if record.has_all_groups {
            let is_left = |row: &&membership::Model| !named.contains(&row.group_id) && row.role != GroupRole::Owner;
            found.ended = existing.into_iter().flat_map(|rows| rows.values()).filter(is_left).cloned().collect();
            found.ended.sort_by_key(|row| row.group_id);
            for row in &found.ended {
                groups.remove(&row.group_id);
            }
        }
        check_number(&groups, validator);
        found
    }

    /// Returns the access to sites that is new or ends.
    pub(super) fn grants(
        &mut self,
        user: &user::Model,
        record: &UserRecord,
        existing: &ExistingRows,
        validator: &mut Validator,
    ) -> Grants {
        if self.has_too_many("sites", record.sites.len(), validator) {
            return Grants::default();
        }
        let existing = existing.grants.get(&user.id);
        let (mut found, mut named) = (Grants::default(), HashSet::new());
        for (place, reference) in record.sites.iter().enumerate() {
            let place = self.options.channel.place_of_item("sites", format_args!("{place}"));
            let Some(id) = self.find_item("sites", reference, &place, validator) else { continue };
            let is_new = existing.is_none_or(|sites| !sites.contains_key(&id));
            if named.insert(id) && is_new {
                let given = record.granted_at.get(reference).copied();
                let granted_at = storable("sites", given, validator).unwrap_or_else(now);
                found.new.push(site_access::Model { user_id: user.id, institution_id: id, granted_at });
            }
        }
        if record.has_all_sites {
            let is_lost = |row: &&site_access::Model| !named.contains(&row.institution_id);
            found.ended = existing.into_iter().flat_map(|rows| rows.values()).filter(is_lost).cloned().collect();
            found.ended.sort_by_key(|row| row.institution_id);
        }
        found
    }

    /// Returns the object that an item of a list refers to; reports if there is none.
    fn find_item(&mut self, list: &str, reference: &str, place: &str, validator: &mut Validator) -> Option<Id> {
        let is_group = list == "groups";
        let index = if is_group { &self.groups } else { &self.institutions };
        let found = index.find_by_any(reference);
        let report = |message: String| {
            let advice = if is_group { "" } else { self.advice(reference, false) };
            self.report_unknown(list, place, message + advice, validator);
        };
        found.map_err(report).ok()
    }

    /// Adds an error if a row of a request has too many items in a list. Those of a file are bounded by the size of its rows.
    fn has_too_many(&self, list: &str, count: usize, validator: &mut Validator) -> bool {
        let has_too_many = self.options.channel == Channel::Request && count > MAX_ITEMS;
        if has_too_many {
            validator.add_error(list, ErrorCode::TooLong, format!("Must contain at most {MAX_ITEMS} items."));
        }
        has_too_many
    }

    /// Returns when a user joined a group, if the record does not tell: with the file of another system, that may have been at any
    /// time.
    fn time_of_joining(&self, user: &user::Model) -> DateTime<Utc> {
        match self.options.channel {
            Channel::File => user.date_joined,
            Channel::Request => now(),
        }
    }
}

fn check_number(groups: &HashSet<Id>, validator: &mut Validator) {
    if groups.len() as u64 > MAX_GROUPS_OF_A_USER {
        let message = format!("A user belongs to at most {MAX_GROUPS_OF_A_USER} groups.");
        validator.add_error("groups", ErrorCode::NotAllowed, message);
    }
}
