//! The relations of imported users: their groups, and the sites that they have access to.

use std::collections::HashSet;

use super::draft::storable;
use super::existing::ExistingRows;
use super::importer::Importer;
use super::record::UserRecord;
use crate::entity::membership::{self, GroupRole, MAX_GROUPS_OF_A_USER};
use crate::entity::{site_access, user};
use crate::error::ErrorCode;
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// The memberships of a user that are new, change or end.
#[derive(Default)]
pub(super) struct Memberships {
    pub(super) changed: Vec<membership::Model>,
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
        &self,
        user: &user::Model,
        record: &UserRecord,
        existing: &ExistingRows,
        validator: &mut Validator,
    ) -> Memberships {
        let existing = existing.memberships.get(&user.id);
        let mut groups: HashSet<Id> = existing.into_iter().flatten().map(|(group_id, _)| *group_id).collect();
        let (mut found, mut named) = <(Memberships, HashSet<Id>)>::default();
        // The last of several roles in one group counts.
        for reference in record.groups.iter().rev() {
            match self.groups.find_by_any(&reference.group) {
                Err(message) => validator.add_error("groups", ErrorCode::NotFound, message),
                Ok(group_id) if !named.insert(group_id) => {}
                Ok(group_id) => {
                    let (role, old) = (reference.role, existing.and_then(|rows| rows.get(&group_id)));
                    groups.insert(group_id);
                    if old.is_none_or(|old| old.role != role) {
                        let given = storable("groups", reference.joined_at, validator);
                        let joined_at = old.map(|old| old.joined_at).or(given).unwrap_or(user.date_joined);
                        found.changed.push(membership::Model { user_id: user.id, group_id, role, joined_at });
                    }
                }
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
        if groups.len() as u64 > MAX_GROUPS_OF_A_USER {
            let message = format!("A user belongs to at most {MAX_GROUPS_OF_A_USER} groups.");
            validator.add_error("groups", ErrorCode::NotAllowed, message);
        }
        found
    }

    /// Returns the access to sites that is new or ends.
    pub(super) fn grants(
        &self,
        user: &user::Model,
        record: &UserRecord,
        existing: &ExistingRows,
        validator: &mut Validator,
    ) -> Grants {
        let existing = existing.grants.get(&user.id);
        let (mut found, mut named) = (Grants::default(), HashSet::new());
        for reference in &record.sites {
            match self.institutions.find_by_any(reference) {
                Err(message) => validator.add_error("sites", ErrorCode::NotFound, message),
                Ok(id) => {
                    let is_new = existing.is_none_or(|sites| !sites.contains_key(&id));
                    if named.insert(id) && is_new {
                        let given = record.granted_at.get(reference).copied();
                        let granted_at = storable("sites", given, validator).unwrap_or_else(now);
                        found.new.push(site_access::Model { user_id: user.id, institution_id: id, granted_at });
                    }
                }
            }
        }
        if record.has_all_sites {
            let is_lost = |row: &&site_access::Model| !named.contains(&row.institution_id);
            found.ended = existing.into_iter().flat_map(|rows| rows.values()).filter(is_lost).cloned().collect();
            found.ended.sort_by_key(|row| row.institution_id);
        }
        found
    }
}
