//! Drafts: users whose fields are checked, but who are not compared with the directory yet.

use chrono::{DateTime, Datelike, SubsecRound, Utc};

use super::origin::{Fault, Origin};
use super::reader::Parsed;
use super::record::{History, UserRecord};
use super::secrets::Prepared;
use crate::access::{is_active_license_admin, is_active_superuser};
use crate::auth::password::{self, Imported, ReferenceHash};
use crate::entity::external_reference::{self, ExternalReference};
use crate::entity::user;
use crate::error::ErrorCode;
use crate::scalar::Id;
use crate::text;
use crate::validation::{Validator, rule};

/// The field with the password hash of another system.
const PASSWORD_HASH: &str = "passwordHash";

/// A record of a user, with everything that follows from it alone.
pub(super) struct Draft {
    pub(super) origin: Origin,
    pub(super) record: UserRecord,
    /// The errors of the record's format.
    pub(super) faults: Vec<Fault>,
    /// The user that the record describes if it is a new one.
    pub(super) user: user::Model,
    /// The errors of the record if the user is a new one.
    pub(super) validator: Validator,
    /// The keys that the email address and the username may have, the former ones first: if the logins of two users have become
    /// one, each is identified by its own.
    pub(super) email_keys: Vec<String>,
    pub(super) username_keys: Vec<String>,
    pub(super) password: Option<Imported>,
    /// The ids in other systems that the record gives.
    pub(super) references: Vec<ExternalReference>,
    /// The hashes of the external ID and of the references, by which erased users are known: one for each server key.
    pub(super) reference_hashes: Vec<ReferenceHash>,
    /// The PIN and the picture, once they are made.
    pub(super) prepared: Prepared,
    /// The reason why the password hash cannot be used.
    pub(super) password_error: Option<Fault>,
    /// The values that rules leave out, and why.
    pub(super) left_out: Vec<Fault>,
}

impl Draft {
    /// Checks the fields of a record.
    pub(super) fn new(parsed: Parsed<UserRecord>, license_id: Id) -> Self {
        let Parsed { origin, record, faults } = parsed;
        let mut user = user::Model::empty(record.id.unwrap_or_default(), license_id);
        let mut validator = Validator::importing();
        apply(&record, None, &mut user, &mut validator);
        restore(&record, &mut user, &mut validator);
        let (password, password_error) = parse_password(record.password_hash.as_deref());
        // A mapping may find that a hash has a form that is not supported.
        let is_of_hash = |fault: &Fault| fault.field == PASSWORD_HASH;
        let (of_hash, faults): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(is_of_hash);
        let password_error = password_error.or(of_hash.into_iter().next());
        Self {
            origin,
            faults,
            email_keys: login_keys(user.email.as_deref()),
            username_keys: login_keys(user.username.as_deref()),
            references: external_reference::list(user.external_references.as_ref()),
            record,
            user,
            validator,
            password,
            password_error,
            reference_hashes: Vec::new(),
            prepared: Prepared::default(),
            left_out: Vec::new(),
        }
    }

    /// Returns whether the record lists groups.
    pub(super) fn has_groups(&self) -> bool {
        self.record.has_all_groups || !self.record.groups.is_empty()
    }

    /// Returns the institution that the record names by its id, if it is valid.
    pub(super) fn named_institution(&self) -> Option<Id> {
        self.user.institution_id
    }
}

/// Applies the fields of a record that need nothing of the directory to a user, who was `old` before. Adds errors to `validator`.
pub(super) fn apply(record: &UserRecord, old: Option<&user::Model>, user: &mut user::Model, validator: &mut Validator) {
    user.apply(record.names.clone(), record.fields.clone(), validator);
    validator.value("isActive", record.is_active, &mut user.is_active);
    check_demotion(old, user, validator);
    if let Some(pin) = &record.pin {
        let _ = validator.check("pin", rule::pin(pin));
    }
    if let Some(joined) = storable("dateJoined", record.date_joined, validator) {
        user.date_joined = joined;
    }
    if let Some(last_login) = storable("lastLogin", record.last_login, validator) {
        user.last_login = user.last_login.max(Some(last_login));
    }
}

/// Sets what only a new user gets from a record.
fn restore(record: &UserRecord, user: &mut user::Model, validator: &mut Validator) {
    let History { modified_at, version, .. } = record.history;
    if let Some(modified_at) = storable("modifiedAt", modified_at, validator) {
        user.modified_at = modified_at;
    }
    if let Some(version) = version.and_then(|version| validator.check("version", rule::between(1, i32::MAX)(version))) {
        user.version = version;
    }
    user.email_verified = record.email_verified && user.email.is_some();
}

fn login_keys(login: Option<&str>) -> Vec<String> {
    let Some(login) = login else { return Vec::new() };
    let [username, email] = text::former_logins(login);
    let mut keys = vec![username, email, text::canonical_login(login)];
    keys.dedup();
    keys
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

/// Returns an instant with the precision of the databases, if they can store it; otherwise records an error.
pub(super) fn storable(
    field: &str,
    instant: Option<DateTime<Utc>>,
    validator: &mut Validator,
) -> Option<DateTime<Utc>> {
    let instant = instant?.trunc_subsecs(6);
    if is_storable(instant) {
        return Some(instant);
    }
    validator.add_error(field, ErrorCode::Invalid, "Must be in the years 1900 to 9999.");
    None
}

/// Returns whether both databases can store an instant: PostgreSQL rejects years of five digits, and SQLite would sort them
/// wrongly.
fn is_storable(instant: DateTime<Utc>) -> bool {
    (1900..=9999).contains(&instant.year())
}

/// Returns the password of a record, or the reason why its hash cannot be used.
fn parse_password(hash: Option<&str>) -> (Option<Imported>, Option<Fault>) {
    match hash.map(password::parse_imported) {
        None => (None, None),
        Some(Ok(password)) => (password, None),
        Some(Err(error)) => (None, Some(Fault::new(PASSWORD_HASH, error))),
    }
}
