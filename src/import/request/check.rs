//! The check of the rows of a request against the directory and the rights of the actor.

use std::collections::HashSet;

use crate::access::{ProposedChange, Viewer};
use crate::db::Db;
use crate::error::{Error, MutationError};
use crate::import::draft::Draft;
use crate::import::existing::ExistingRows;
use crate::import::importer::Importer;
use crate::import::users::ImportedUser;
use crate::import::{Channel, Options};
use crate::scalar::Id;

/// A row that was checked: the user, or else the errors.
pub(super) struct CheckedRow {
    pub(super) user: Option<ImportedUser>,
    pub(super) errors: Vec<MutationError>,
}

/// The part of the directory that rows are checked against.
pub(super) struct Directory<'a> {
    pub(super) db: &'a Db,
    pub(super) license_id: Id,
    pub(super) existing: &'a ExistingRows,
    /// The institutions that rows may refer to.
    pub(super) institutions: HashSet<Id>,
    /// The sites that the actor was granted access to.
    pub(super) actor_sites: HashSet<Id>,
}

impl Directory<'_> {
    /// Checks rows, in their order.
    ///
    /// # Errors
    /// `Forbidden` for a change that the actor may not make, whatever the other rows are.
    pub(super) fn check(self, actor: &Viewer, drafts: Vec<Draft>) -> Result<Vec<CheckedRow>, Error> {
        let options = Options { channel: Channel::Request, ..Options::default() };
        let mut importer = Importer::without_names(self.db, self.license_id, options);
        importer.institutions.ids.clone_from(&self.institutions);
        let mut rows = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let index = draft.origin.line;
            match importer.validate_user(draft, index, self.existing) {
                Ok(user) => {
                    self.check_rights(actor, &user).map_err(|error| in_row(index, error))?;
                    rows.push(CheckedRow { user: Some(user), errors: Vec::new() });
                }
                Err(Error::Rejected(errors)) => {
                    let errors = errors.into_iter().map(|error| at_row(index, error)).collect();
                    rows.push(CheckedRow { user: None, errors });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    /// Checks that the actor may create or change a user, by the rules of `createUser` and `updateUser`. A row that changes
    /// nothing needs no right.
    fn check_rights(&self, actor: &Viewer, user: &ImportedUser) -> Result<(), Error> {
        let ImportedUser { row: new, old, attributes, given, .. } = user;
        let Some(old) = old else { return actor.may_create(new, given) };
        if user.is_unchanged() {
            return Ok(());
        }
        // An address that stays the same lets nobody in.
        let is_change = |field: &&str| *field != "email" || old.email != new.email;
        let fields: Vec<&str> = given.iter().copied().filter(is_change).collect();
        let sites = self.existing.grants.get(&old.id);
        let has_more_sites = sites.is_some_and(|sites| sites.keys().any(|id| !self.actor_sites.contains(id)));
        let attributes = attributes.given();
        actor.may_update(ProposedChange { old, new, fields: &fields, attributes, has_more_sites })
    }
}

/// Names the row in an error of the whole request.
fn in_row(index: u64, error: Error) -> Error {
    match error {
        Error::Forbidden(what) => Error::Forbidden(format!("rows.{index}: {what}")),
        other => other,
    }
}

/// Moves an error of a user to the path of their row. The ID of a user is no field of a row.
fn at_row(index: u64, error: MutationError) -> MutationError {
    let MutationError { code, path, message } = error;
    let place = path.into_iter().skip(1).filter(|name| name != "id");
    let row = ["input".to_owned(), "rows".to_owned(), index.to_string()];
    MutationError { code, path: row.into_iter().chain(place).collect(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn an_error_has_its_path_into_the_rows() {
        let path = |field| at_row(7, MutationError::at(field, ErrorCode::Invalid, "")).path.join(".");
        assert_eq!(path("email"), "input.rows.7.email");
        assert_eq!(path("attributes.0.value"), "input.rows.7.attributes.0.value");
        assert_eq!(path("id"), "input.rows.7");
    }
}
