//! Imports users: each is validated against the rules, the previous lines of the file and the database.

use std::collections::HashSet;

use super::batch::Batch;
use super::draft::{self, Draft};
use super::existing::ExistingRows;
use super::record::GroupReference;
use super::{Importer, InvalidLine};
use crate::access::is_same_license;
use crate::attribute_values::{self, AttributeChanges};
use crate::auth::password::Imported;
use crate::entity::membership::{self, MAX_GROUPS_OF_A_USER};
use crate::entity::{site_access, user};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// A user after the import, with the related rows that are new or change.
pub(super) struct ImportedUser {
    pub(super) row: user::Model,
    pub(super) old: Option<user::Model>,
    pub(super) password: Option<Imported>,
    pub(super) memberships: Vec<membership::Model>,
    pub(super) grants: Vec<site_access::Model>,
    pub(super) attributes: AttributeChanges,
}

impl Importer<'_> {
    /// Imports the users of a chunk: compares them with the database, and starts to write them in the same transaction, so that it
    /// cannot change in between.
    pub(super) async fn import_users(&mut self, drafts: Vec<Draft>) -> Result<(), Error> {
        if drafts.is_empty() {
            return Ok(());
        }
        let transaction = self.begin().await?;
        let existing = match &transaction {
            Some(transaction) => ExistingRows::lock(transaction, self.license_id, &drafts).await?,
            None => ExistingRows::read(self.db, self.license_id, &drafts).await?,
        };
        let mut batch = Batch::default();
        for mut draft in drafts {
            let (number, password_error) = (draft.number, draft.password_error.take());
            match self.validate_user(draft, &existing) {
                Ok(user) => {
                    let line = password_error.map(|error| InvalidLine::new(number, [error]));
                    self.summary.without_password.extend(line);
                    if let Some(user) = self.count_user(user, &existing)
                        && self.write
                    {
                        batch.add(user);
                    }
                }
                Err(error) => self.reject_with(number, error, password_error)?,
            }
        }
        if let Some(transaction) = transaction {
            self.start_write(batch.write(transaction));
        }
        Ok(())
    }

    /// Applies a draft to the user that it identifies, or to a new one.
    ///
    /// # Errors
    /// `Rejected` with every error of the record.
    fn validate_user(&mut self, draft: Draft, existing: &ExistingRows) -> Result<ImportedUser, Error> {
        let old = existing.find(&draft).cloned();
        let Draft { record, user, validator, password, .. } = draft;
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return Err(Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        if record.id.is_some_and(|id| existing.erased.contains(&id)) {
            return Err(Error::rejected("id", ErrorCode::NotAllowed, "The user with this id was erased."));
        }
        let (mut row, mut validator) = match &old {
            Some(old) => (old.clone(), Validator::changing()),
            None => (user, validator),
        };
        if let Some(old) = &old {
            draft::apply(&record, Some(old), &mut row, &mut validator);
            row.email_verified &= old.email_key == row.email_key;
        }
        self.set_institution(&mut row, record.institution.as_deref(), &mut validator);
        row.has_activated |= record.has_activated || password.is_some();
        check_login(&row, &mut validator);
        let memberships = self.memberships(&row, &record.groups, existing, &mut validator);
        let grants = self.grants(&row, &record.sites, existing, &mut validator);
        let mut attributes = AttributeChanges::of(existing.attribute_values.get(&row.id).cloned().unwrap_or_default());
        attributes.apply(&attribute_values::of_record(record.attributes), &existing.definitions, &mut validator);
        if old.is_none() {
            attributes.require(&existing.definitions, &mut validator);
        }
        self.collect_conflicts(&row, old.as_ref(), existing, &mut validator);
        self.check_first_mention(row.id, "user", &mut validator);
        validator.finish()?;
        Ok(ImportedUser { row, old, password, memberships, grants, attributes })
    }

    fn set_institution(&self, row: &mut user::Model, reference: Option<&str>, validator: &mut Validator) {
        match reference.map(|reference| self.institutions.find_by_any(reference)) {
            Some(Ok(id)) => row.institution_id = Some(id),
            Some(Err(message)) => validator.add_error("institution", ErrorCode::NotFound, message),
            None if row.institution_id.is_some_and(|id| !self.institutions.ids.contains(&id)) => {
                validator.add_error("institutionId", ErrorCode::NotFound, "There is no such institution.");
            }
            None => {}
        }
    }

    /// Returns the memberships that are new or change.
    fn memberships(
        &self,
        user: &user::Model,
        references: &[GroupReference],
        existing: &ExistingRows,
        validator: &mut Validator,
    ) -> Vec<membership::Model> {
        let existing = existing.memberships.get(&user.id);
        let mut groups: HashSet<Id> = existing.into_iter().flatten().map(|(group_id, _)| *group_id).collect();
        let (mut changed, mut seen_groups) = (Vec::new(), HashSet::new());
        // The last of several roles in one group counts.
        for reference in references.iter().rev() {
            match self.groups.find(&reference.group) {
                Err(message) => validator.add_error("groups", ErrorCode::NotFound, message),
                Ok(group_id) if !seen_groups.insert(group_id) => {}
                Ok(group_id) => {
                    let old = existing.and_then(|memberships| memberships.get(&group_id));
                    groups.insert(group_id);
                    if old.is_none_or(|old| old.role != reference.role) {
                        let joined_at = old.map_or(user.date_joined, |old| old.joined_at);
                        changed.push(membership::Model { user_id: user.id, group_id, role: reference.role, joined_at });
                    }
                }
            }
        }
        if groups.len() as u64 > MAX_GROUPS_OF_A_USER {
            validator.add_error(
                "groups",
                ErrorCode::NotAllowed,
                format!("A user belongs to at most {MAX_GROUPS_OF_A_USER} groups."),
            );
        }
        changed
    }

    /// Returns the access to sites that is new. Existing access is kept, even if the file does not list it.
    fn grants(
        &self,
        user: &user::Model,
        references: &[String],
        existing: &ExistingRows,
        validator: &mut Validator,
    ) -> Vec<site_access::Model> {
        let (mut new, mut seen_sites) = (Vec::new(), HashSet::new());
        for reference in references {
            match self.institutions.find_by_any(reference) {
                Err(message) => validator.add_error("sites", ErrorCode::NotFound, message),
                Ok(id) if seen_sites.insert(id) && !existing.grants.contains(&(user.id, id)) => {
                    new.push(site_access::Model { user_id: user.id, institution_id: id, granted_at: now() });
                }
                Ok(_) => {}
            }
        }
        new
    }

    fn collect_conflicts(
        &mut self,
        row: &user::Model,
        old: Option<&user::Model>,
        existing: &ExistingRows,
        validator: &mut Validator,
    ) {
        let mut is_taken = |key: fn(&user::Model) -> Option<&str>| {
            let changed = key(row).filter(|_| old.is_none_or(|old| key(old) != key(row)));
            let is_held =
                changed.and_then(|key| existing.logins.get(key)).is_some_and(|holder_id| *holder_id != row.id);
            is_held || self.seen.is_login_taken(changed, row.id, self.chunk)
        };
        if is_taken(|user| user.email_key.as_deref()) {
            validator.add_error("email", ErrorCode::Taken, "This email address is taken.");
        }
        if is_taken(|user| user.username_key.as_deref()) {
            validator.add_error("username", ErrorCode::Taken, "This username is taken.");
        }
        let holder = existing.with_external_id(row.external_id.as_deref());
        let is_held = holder.is_some_and(|holder| holder.id != row.id);
        if is_held || self.seen.is_external_id_taken(row, self.chunk) {
            validator.add_error("externalId", ErrorCode::Taken, "This external id is taken.");
        }
    }
}

/// Requires a username or an email address.
fn check_login(row: &user::Model, validator: &mut Validator) {
    let has_login_error = validator.has_error_at("username") || validator.has_error_at("email");
    if row.username.is_none() && row.email.is_none() && !has_login_error {
        validator.add_error("email", ErrorCode::Required, "A username or an email address is required.");
    }
}
