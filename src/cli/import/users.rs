//! Imports users: each record is validated against the rules, the previous lines of the file and the database.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Datelike, SubsecRound, Utc};

use super::existing::ExistingRows;
use super::record::{GroupReference, UserRecord};
use super::{Importer, InvalidLine};
use crate::access::{is_active_license_admin, is_active_superuser, is_same_license};
use crate::attribute_values::{self, AttributeChanges};
use crate::auth::password::{self, Imported};
use crate::entity::membership::{self, MAX_GROUPS_OF_A_USER};
use crate::entity::{site_access, user};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, now};
use crate::validation::Validator;

/// The unique values in the file so far, and the users that they belong to.
#[derive(Default)]
pub struct SeenKeys {
    ids: HashSet<(&'static str, Id)>,
    values: HashMap<String, Id>,
}

impl SeenKeys {
    /// Returns whether another user of the file has the value already; otherwise reserves it for this one.
    fn is_taken(&mut self, kind: &str, value: Option<&str>, id: Id) -> bool {
        value.is_some_and(|value| *self.values.entry(format!("{kind} {value}")).or_insert(id) != id)
    }
}

/// A record with its user, who is complete enough to be identified.
pub(super) struct Draft {
    /// The number of the record's line.
    number: u64,
    pub(super) user: user::Model,
    pub(super) record: UserRecord,
}

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
    #[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
    pub(super) async fn import_users(&mut self, records: Vec<(u64, UserRecord)>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let drafts: Vec<Draft> = records.into_iter().map(|(number, record)| self.draft(number, record)).collect();
        // Records are compared with the database and written in the same transaction, so that it cannot change in between.
        let transaction = if self.write { Some(self.db.begin().await?) } else { None };
        // Users are locked before definitions, as everywhere.
        let mut existing = match &transaction {
            Some(transaction) => ExistingRows::read(transaction, self.license_id, &drafts).await?,
            None => ExistingRows::read(self.db.read(), self.license_id, &drafts).await?,
        };
        existing.definitions = match &transaction {
            Some(transaction) => attribute_values::hold_all(transaction, self.license_id).await?,
            None => attribute_values::definitions(self.db.read(), self.license_id).await?,
        };
        let mut users = Vec::with_capacity(drafts.len());
        for Draft { number, user, record } in drafts {
            let (password, password_error) = parse_password(record.password_hash.as_deref());
            match self.validate_user(existing.find(&record, &user), record, password, &existing) {
                Ok(user) => {
                    users.push(user);
                    let line = password_error.map(|error| InvalidLine::new(number, [error]));
                    self.summary.without_password.extend(line);
                }
                Err(error) => self.reject_with(number, error, password_error)?,
            }
        }
        self.write_users(transaction, users, &existing).await?;
        if self.write {
            // Later chunks find them in the database.
            self.seen.values.clear();
        }
        Ok(())
    }

    fn draft(&self, number: u64, record: UserRecord) -> Draft {
        let mut user = user::Model::empty(record.id.unwrap_or_default(), self.license_id);
        user.apply(record.names.clone(), record.fields.clone(), &mut Validator::creating());
        Draft { number, user, record }
    }

    /// Applies a record to the user that it identifies, or to a new one.
    ///
    /// # Errors
    /// `Rejected` with every error of the record.
    fn validate_user(
        &mut self,
        old: Option<user::Model>,
        record: UserRecord,
        password: Option<Imported>,
        existing: &ExistingRows,
    ) -> Result<ImportedUser, Error> {
        let mut validator = if old.is_some() { Validator::changing() } else { Validator::importing() };
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return Err(Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        if record.id.is_some_and(|id| existing.erased.contains(&id)) {
            return Err(Error::rejected("id", ErrorCode::NotAllowed, "The user with this id was erased."));
        }
        let mut row = old.clone().unwrap_or_else(|| user::Model::empty(record.id.unwrap_or_default(), self.license_id));
        row.apply(record.names, record.fields, &mut validator);
        validator.value("isActive", record.is_active, &mut row.is_active);
        check_demotion(old.as_ref(), &row, &mut validator);
        row.email_verified &= old.as_ref().is_none_or(|old| old.email_key == row.email_key);
        set_date_joined(&mut row, record.date_joined, &mut validator);
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
        let mut groups: HashSet<Id> =
            existing.memberships.keys().filter(|key| key.0 == user.id).map(|key| key.1).collect();
        let (mut changed, mut seen_groups) = (Vec::new(), HashSet::new());
        // The last of several roles in one group counts.
        for reference in references.iter().rev() {
            match self.groups.find(&reference.group) {
                Err(message) => validator.add_error("groups", ErrorCode::NotFound, message),
                Ok(group_id) if !seen_groups.insert(group_id) => {}
                Ok(group_id) => {
                    let old = existing.memberships.get(&(user.id, group_id));
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

    /// Rejects a record whose object an earlier record has already described.
    pub(super) fn check_first_mention(&mut self, id: Id, what: &'static str, validator: &mut Validator) {
        if !self.seen.ids.insert((what, id)) {
            validator.add_error(
                "id",
                ErrorCode::Taken,
                format!("An earlier line of the file is about the same {what}."),
            );
        }
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
            is_held || self.seen.is_taken("login", changed, row.id)
        };
        if is_taken(|user| user.email_key.as_deref()) {
            validator.add_error("email", ErrorCode::Taken, "This email address is taken.");
        }
        if is_taken(|user| user.username_key.as_deref()) {
            validator.add_error("username", ErrorCode::Taken, "This username is taken.");
        }
        let external_id = row.external_id.as_deref();
        let is_held = existing.with_external_id(external_id).is_some_and(|holder| holder.id != row.id);
        if is_held || self.seen.is_taken("externalId", external_id, row.id) {
            validator.add_error("externalId", ErrorCode::Taken, "This external id is taken.");
        }
    }
}

/// Rejects the loss of a role that only the API may take away.
fn check_demotion(old: Option<&user::Model>, new: &user::Model, validator: &mut Validator) {
    let loses = |has_role: fn(&user::Model) -> bool| old.is_some_and(|old| has_role(old) && !has_role(new));
    if loses(is_active_superuser) || loses(is_active_license_admin) {
        let message =
            "An import cannot demote or deactivate a superuser or a license administrator; use the API instead.";
        validator.add_error("role", ErrorCode::NotAllowed, message);
    }
}

fn set_date_joined(row: &mut user::Model, date_joined: Option<DateTime<Utc>>, validator: &mut Validator) {
    match date_joined.map(|joined| joined.trunc_subsecs(6)) {
        Some(joined) if is_storable(joined) => row.date_joined = joined,
        Some(_) => validator.add_error("dateJoined", ErrorCode::Invalid, "Must be in the years 1900 to 9999."),
        None => {}
    }
}

/// Requires a username or an email address.
fn check_login(row: &user::Model, validator: &mut Validator) {
    let has_login_error = validator.has_error_at("username") || validator.has_error_at("email");
    if row.username.is_none() && row.email.is_none() && !has_login_error {
        validator.add_error("email", ErrorCode::Required, "A username or an email address is required.");
    }
}

/// Returns the password of a record, or the reason why its hash cannot be used.
fn parse_password(hash: Option<&str>) -> (Option<Imported>, Option<String>) {
    match hash.map(password::parse_imported) {
        None => (None, None),
        Some(Ok(password)) => (password, None),
        Some(Err(error)) => (None, Some(format!("passwordHash: {error}"))),
    }
}

/// Returns whether both databases can store an instant: PostgreSQL rejects years of five digits, and SQLite would sort them
/// wrongly.
fn is_storable(instant: DateTime<Utc>) -> bool {
    (1900..=9999).contains(&instant.year())
}
