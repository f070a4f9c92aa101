//! The check of the rows of a request against the directory and the rights of the actor.

use super::directory::Directory;
use crate::access::{ProposedChange, Viewer};
use crate::entity::membership::GroupRole;
use crate::error::{Error, ErrorCode, MutationError};
use crate::import::draft::Draft;
use crate::import::importer::Importer;
use crate::import::users::ImportedUser;
use crate::import::{Channel, Options};
use crate::scalar::Id;

/// A row that was checked: the user, or else the errors.
pub(super) struct CheckedRow {
    pub(super) user: Option<ImportedUser>,
    pub(super) errors: Vec<MutationError>,
}

impl Directory<'_> {
    /// Checks rows, in their order.
    ///
    /// # Errors
    /// `Forbidden` for a change that the actor may not make, whatever the other rows are.
    pub(super) fn check(mut self, actor: &Viewer, drafts: Vec<Draft>) -> Result<Vec<CheckedRow>, Error> {
        let options = Options { channel: Channel::Request, ..Options::default() };
        let mut importer = Importer::without_names(self.db, self.license_id, options);
        importer.institutions = std::mem::take(&mut self.institutions);
        importer.groups = std::mem::take(&mut self.groups);
        let mut rows = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let place = draft.origin.place;
            let index = place.line;
            let (user, errors) = match importer.validate_user(draft, place, &self.existing) {
                Ok(user) => {
                    self.check_rights(actor, &user).map_err(|error| in_row(index, error))?;
                    let errors = self.change_owners(&user);
                    (Some(user).filter(|_| errors.is_empty()), errors)
                }
                Err(Error::Rejected(errors)) => (None, errors),
                Err(error) => return Err(error),
            };
            let errors = errors.into_iter().map(|error| at_row(index, error)).collect();
            rows.push(CheckedRow { user, errors });
        }
        Ok(rows)
    }

    /// Checks that the actor may create or change a user, by the rules of `createUser` and `updateUser`, and their groups and
    /// sites. A row that changes nothing needs no right.
    fn check_rights(&self, actor: &Viewer, user: &ImportedUser) -> Result<(), Error> {
        let ImportedUser { row: new, old, attributes, given, .. } = user;
        match old {
            None => actor.may_create(new, given)?,
            Some(old) if old == new && attributes.is_unchanged() => {}
            Some(old) => {
                // An address that stays the same lets nobody in.
                let is_change = |field: &&str| *field != "email" || old.email != new.email;
                let fields: Vec<&str> = given.iter().copied().filter(is_change).collect();
                let sites = self.existing.grants.get(&old.id);
                let has_more_sites = sites.is_some_and(|sites| sites.keys().any(|id| !self.actor_sites.contains(id)));
                let attributes = attributes.given();
                actor.may_update(ProposedChange { old, new, fields: &fields, attributes, has_more_sites })?;
            }
        }
        self.check_relations(actor, user)
    }

    /// Checks that the actor may change the groups of a user and the sites that they may access, by the rules of
    /// `setGroupMember`, `removeGroupMember`, `grantSiteAccess` and `revokeSiteAccess`.
    fn check_relations(&self, actor: &Viewer, user: &ImportedUser) -> Result<(), Error> {
        let ImportedUser { row, old, memberships, grants, .. } = user;
        let subject = old.as_ref().unwrap_or(row);
        let own_role = |group_id: &Id| self.actor_roles.get(group_id).copied();
        for membership in &memberships.changed {
            let from = self.existing.role_in(subject.id, membership.group_id);
            actor.may_change_members(own_role(&membership.group_id), from, Some(membership.role))?;
        }
        for membership in &memberships.ended {
            actor.may_remove_member(own_role(&membership.group_id), subject.id, Some(membership.role))?;
        }
        for grant in grants.new.iter().chain(&grants.ended) {
            actor.may_change_sites(subject, self.actor_sites.contains(&grant.institution_id))?;
        }
        Ok(())
    }

    /// Counts the owners of the groups whose owners a row changes. Returns an error for each group that would lose its last one;
    /// then nothing is counted.
    fn change_owners(&mut self, user: &ImportedUser) -> Vec<MutationError> {
        let (mut gained, mut lost) = (Vec::new(), Vec::new());
        for membership in &user.memberships.changed {
            let was_owner = self.existing.role_in(user.row.id, membership.group_id) == Some(GroupRole::Owner);
            match (was_owner, membership.role == GroupRole::Owner) {
                (false, true) => gained.push(membership.group_id),
                (true, false) => lost.push(membership.group_id),
                _ => {}
            }
        }
        let is_last = |id: &&Id| self.owners.get(*id).is_none_or(|count| *count <= 1);
        let error = |id: &Id| {
            let name = user.row.name();
            let message = format!("{name} is the last owner of the group {}; make another user an owner first.", id.0);
            MutationError::at("groups", ErrorCode::NotAllowed, message)
        };
        let errors: Vec<MutationError> = lost.iter().filter(is_last).map(error).collect();
        if errors.is_empty() {
            for (id, change) in gained.into_iter().map(|id| (id, 1)).chain(lost.into_iter().map(|id| (id, -1))) {
                *self.owners.entry(id).or_default() += change;
            }
        }
        errors
    }
}

/// Names the row in an error of the whole request.
fn in_row(index: u32, error: Error) -> Error {
    match error {
        Error::Forbidden(what) => Error::Forbidden(format!("rows.{index}: {what}")),
        other => other,
    }
}

/// Moves an error of a user to the path of their row. The ID of a user is no field of a row.
fn at_row(index: u32, error: MutationError) -> MutationError {
    let MutationError { code, path, message } = error;
    let place = path.into_iter().skip(1).filter(|name| name != "id");
    let row = ["input".to_owned(), "rows".to_owned(), index.to_string()];
    MutationError { code, path: row.into_iter().chain(place).collect(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_path_into_the_rows() {
        let path = |field| at_row(7, MutationError::at(field, ErrorCode::Invalid, "")).path.join(".");
        assert_eq!(path("email"), "input.rows.7.email");
        assert_eq!(path("attributes.0.value"), "input.rows.7.attributes.0.value");
        assert_eq!(path("id"), "input.rows.7");
    }
}
