//! Imports users: each is validated against the rules, the previous rows of the file and the database.

use super::batch::Batch;
use super::conflicts::check_identity;
use super::draft::{self, Draft};
use super::existing::ExistingRows;
use super::importer::Importer;
use super::origin::{Fault, InvalidRow, Origin};
use super::place::Place;
use super::record::{RecordKind, UserRecord};
use super::relations::{Grants, Memberships};
use super::report::Outcome;
use super::secrets::NewAvatar;
use super::{Channel, Options};
use crate::access::is_same_license;
use crate::attribute_values::{self, AttributeChanges, AttributeInputItem};
use crate::auth::password::{Imported, ReferenceHash};
use crate::entity::{external_reference, user};
use crate::error::{Error, ErrorCode};
use crate::validation::Validator;

/// A user after the import, with the related rows that are new or change.
pub(super) struct ImportedUser {
    pub(super) row: user::Model,
    pub(super) old: Option<user::Model>,
    pub(super) password: Option<Imported>,
    /// The hash of the PIN to set.
    pub(super) pin_hash: Option<String>,
    pub(super) avatar: Option<NewAvatar>,
    pub(super) memberships: Memberships,
    pub(super) grants: Grants,
    pub(super) attributes: AttributeChanges,
    /// The fields that the record gives, besides custom attributes.
    pub(super) given: Vec<&'static str>,
}

impl ImportedUser {
    /// Returns a user whose fields change, and nothing else.
    pub(super) fn changed(old: user::Model, row: user::Model) -> Self {
        Self {
            row,
            old: Some(old),
            password: None,
            pin_hash: None,
            avatar: None,
            memberships: Memberships::default(),
            grants: Grants::default(),
            attributes: AttributeChanges::default(),
            given: Vec::new(),
        }
    }

    /// Returns the user as they were, if their email address changes.
    pub(super) fn former_address(&self) -> Option<user::Model> {
        self.old.as_ref().filter(|old| old.email_key != self.row.email_key).cloned()
    }

    /// Returns what becomes of the user.
    pub(super) fn outcome(&self) -> Outcome {
        match (&self.old, self.is_unchanged()) {
            (_, true) => Outcome::Unchanged,
            (Some(_), false) => Outcome::Changed,
            (None, false) => Outcome::Created,
        }
    }
}

impl Importer<'_> {
    /// Imports the users of a chunk: compares them with the database, and starts to write them in the same transaction, so that it
    /// cannot change in between.
    pub(super) async fn import_users(&mut self, mut drafts: Vec<Draft>) -> Result<(), Error> {
        if drafts.is_empty() {
            return Ok(());
        }
        self.hash_references(&mut drafts);
        self.prepare_secrets(&mut drafts).await?;
        let transaction = self.begin().await?;
        let Options { channel, keep_edits: keep, .. } = self.options;
        let mut existing = match &transaction {
            Some(transaction) => ExistingRows::lock(transaction, self.license_id, &drafts, channel, keep).await?,
            None => ExistingRows::read(self.db, self.license_id, &drafts, channel, keep).await?,
        };
        existing.definitions.extend(self.new_definitions.clone());
        let mut batch = Batch::default();
        for draft in drafts {
            if let Some(user) = self.import_user(draft, &existing)? {
                batch.add(user);
            }
        }
        if let Some(transaction) = transaction {
            self.start_write(batch.write(transaction));
        }
        Ok(())
    }

    /// Validates, counts and reports a user. Returns the user if it is to be written.
    fn import_user(&mut self, mut draft: Draft, existing: &ExistingRows) -> Result<Option<ImportedUser>, Error> {
        let (origin, faults) = (draft.origin.clone(), std::mem::take(&mut draft.faults));
        let mut notes = std::mem::take(&mut draft.prepared.notes);
        self.left_out = std::mem::take(&mut draft.left_out);
        self.check_password_key(&mut draft);
        let password_error = draft.password_error.take();
        let is_without_password = password_error.is_some();
        notes.extend(password_error);
        if origin.mapped.is_some() {
            self.convert_attributes(&mut draft, origin.place, existing);
        }
        let validated = self.validate_user(draft, origin.place, existing);
        let left_out = std::mem::take(&mut self.left_out);
        match validated {
            Ok(user) if faults.is_empty() => {
                self.count_left_out(&left_out);
                self.summary.without_password += u64::from(is_without_password);
                let user = self.count_user(&origin, user, existing)?;
                self.note(&origin, [left_out, notes].concat())?;
                Ok(user.filter(|_| self.write))
            }
            result => {
                self.reject(&origin, RecordKind::User, [faults, left_out, notes].concat(), result.err())?;
                Ok(None)
            }
        }
    }

    /// Reports values of a valid row that are left out.
    fn note(&mut self, origin: &Origin, notes: Vec<Fault>) -> Result<(), Error> {
        if notes.is_empty() {
            return Ok(());
        }
        let row = InvalidRow::new(origin, &self.options.files, notes);
        self.report.left_out(origin, RecordKind::User, &row)?;
        self.summary.add_note(row);
        Ok(())
    }

    /// Applies a draft to the user that it identifies, or to a new one.
    ///
    /// # Errors
    /// `Rejected` with every error of the record.
    pub(super) fn validate_user(
        &mut self,
        draft: Draft,
        place: Place,
        existing: &ExistingRows,
    ) -> Result<ImportedUser, Error> {
        let old = existing.find(&draft, self.license_id).cloned();
        self.check_id(&draft, old.as_ref(), existing)?;
        let Draft { origin, mut record, user, validator, password, prepared, .. } = draft;
        let (mut row, mut validator) = match &old {
            Some(old) => (old.clone(), Validator::reimporting()),
            None => (user, validator),
        };
        if let Some(old) = &old {
            draft::apply(&record, Some(old), &mut row, &mut validator);
            row.email_verified &= old.email_key == row.email_key;
            check_identity(&record, old, &row, self.options.channel, &mut validator);
            self.check_activity(old, &mut row, &mut validator);
        }
        self.set_institution(&mut row, &record, &origin, &mut validator);
        if let Some(old) = &old {
            self.keep_edits(old, &mut row, existing);
            self.keep_attributes(old, &mut record.attributes, existing);
        }
        row.has_activated |= record.has_activated || password.is_some();
        check_login(&row, &mut validator);
        let memberships = self.memberships(&row, &record, existing, &mut validator);
        let grants = self.grants(&row, &record, existing, &mut validator);
        let (pin_hash, avatar) = prepared.apply(old.as_ref(), &mut row);
        let mut attributes = AttributeChanges::of(existing.attribute_values.get(&row.id).cloned().unwrap_or_default());
        self.retain_defined(&mut record.attributes, &existing.definitions, &mut validator);
        attributes.apply(&attributes_of(record, &mut validator), &existing.definitions, &mut validator);
        if old.is_none() {
            attributes.require(&existing.definitions, &mut validator);
        }
        self.collect_conflicts(&mut row, old.as_ref(), place, existing, &mut validator);
        self.check_first_mention(RecordKind::User, row.id, place, &mut validator);
        let given = validator.given().to_vec();
        validator.finish()?;
        Ok(ImportedUser { row, old, password, pin_hash, avatar, memberships, grants, attributes, given })
    }

    /// Rejects a record with the id of a user of another license, or of one who was erased.
    fn check_id(&self, draft: &Draft, old: Option<&user::Model>, existing: &ExistingRows) -> Result<(), Error> {
        let is_erased = |reference: &ReferenceHash| existing.erased_references.contains(&reference.hash);
        match old {
            Some(old) if is_same_license(old.license_id, self.license_id) => Ok(()),
            Some(_) => Err(Error::rejected("id", ErrorCode::Taken, "This id is taken.")),
            None if draft.record.id.is_some_and(|id| existing.erased.contains(&id)) => {
                Err(Error::rejected("id", ErrorCode::NotAllowed, "The user with this id was erased."))
            }
            None if draft.reference_hashes.iter().any(is_erased) => {
                let message = "The user with this external ID was erased.";
                let has_external_id = draft.user.external_id.is_some();
                let field = if has_external_id { "externalId" } else { external_reference::FIELD };
                Err(Error::rejected(field, ErrorCode::NotAllowed, message))
            }
            None => Ok(()),
        }
    }

    /// Converts the attributes of a row of another system to their kinds.
    fn convert_attributes(&self, draft: &mut Draft, place: Place, existing: &ExistingRows) {
        let Some(formats) = self.options.formats.get(usize::from(place.file)) else { return };
        for (name, value) in &mut draft.record.attributes {
            if let Some(definition) = existing.definitions.get(name) {
                formats.convert_attribute(value, definition.kind);
            }
        }
    }

    /// Leaves a user who was deactivated here inactive, unless the import is to reactivate users. A request deactivates nobody:
    /// groups of the user may need another owner.
    fn check_activity(&mut self, old: &user::Model, row: &mut user::Model, validator: &mut Validator) {
        if old.is_active && !row.is_active && self.options.channel == Channel::Request {
            let message = "An import by the API does not deactivate users; use `setActive` instead.";
            validator.add_error("isActive", ErrorCode::NotAllowed, message);
        }
        if !old.is_active && row.is_active && !self.options.reactivate {
            row.is_active = false;
            self.summary.kept_inactive += 1;
        }
    }

    fn set_institution(
        &mut self,
        row: &mut user::Model,
        record: &UserRecord,
        origin: &Origin,
        validator: &mut Validator,
    ) {
        if record.clears_institution {
            row.institution_id = None;
        }
        let find = |reference| (reference, self.institutions.find_by_any(reference));
        match record.institution.as_deref().map(find) {
            Some((_, Ok(id))) => row.institution_id = Some(id),
            Some((reference, Err(message))) => {
                let message = message + self.advice(reference, origin.can_create_institution());
                self.report_unknown("institution", "institution", message, validator);
            }
            None if row.institution_id.is_some_and(|id| !self.institutions.ids.contains(&id)) => {
                validator.add_error("institutionId", ErrorCode::NotFound, "There is no such institution.");
            }
            None => {}
        }
    }

    /// Counts and reports a user. Returns the user if it is new or changes.
    fn count_user(
        &mut self,
        origin: &Origin,
        mut user: ImportedUser,
        existing: &ExistingRows,
    ) -> Result<Option<ImportedUser>, Error> {
        let stored = existing.passwords.get(&user.row.id);
        user.keep_own_password(stored.map(String::as_str));
        let outcome = user.outcome();
        self.summary.count(outcome);
        if outcome == Outcome::Created {
            self.summary.new_users += 1;
            self.count_way_to_sign_in(&user);
        }
        self.report.row(origin, RecordKind::User, Some(user.row.id), outcome)?;
        if outcome == Outcome::Unchanged {
            return Ok(None);
        }
        if let Some(family) = user.password.as_ref().and_then(|password| password.weakness) {
            *self.summary.weak_passwords.entry(family).or_default() += 1;
        }
        Ok(Some(user))
    }

    fn count_way_to_sign_in(&mut self, user: &ImportedUser) {
        if !user.row.is_active {
            self.summary.new_inactive += 1;
        } else if user.password.is_some() {
            self.summary.new_with_password += 1;
        } else {
            self.summary.new_without_password += 1;
        }
    }
}

/// Returns the values of custom attributes in a record. Adds errors of their list to `validator`.
fn attributes_of(record: UserRecord, validator: &mut Validator) -> Vec<AttributeInputItem> {
    if record.attribute_list.is_undefined() {
        return attribute_values::of_record(record.attributes);
    }
    attribute_values::of_list(record.attribute_list, validator)
}

/// Requires a username or an email address.
fn check_login(row: &user::Model, validator: &mut Validator) {
    let has_login_error = validator.has_error_at("username") || validator.has_error_at("email");
    if row.username.is_none() && row.email.is_none() && !has_login_error {
        validator.add_error("email", ErrorCode::Required, "A username or an email address is required.");
    }
}
