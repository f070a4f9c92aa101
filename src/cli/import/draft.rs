//! Drafts: users whose fields are checked, but who are not compared with the directory yet.

use chrono::{DateTime, Datelike, SubsecRound, Utc};

use super::record::UserRecord;
use crate::access::{is_active_license_admin, is_active_superuser};
use crate::auth::password::{self, Imported};
use crate::entity::user;
use crate::error::ErrorCode;
use crate::scalar::Id;
use crate::text;
use crate::validation::Validator;

/// A record of a user, with everything that follows from it alone.
pub(super) struct Draft {
    /// The number of the record's line.
    pub(super) number: u64,
    pub(super) record: UserRecord,
    /// The user that the record describes if it is a new one.
    pub(super) user: user::Model,
    /// The errors of the record if the user is a new one.
    pub(super) validator: Validator,
    /// The keys that the email address and the username may have, the former ones first: if the logins of two users have become
    /// one, each is identified by its own.
    pub(super) email_keys: Vec<String>,
    pub(super) username_keys: Vec<String>,
    pub(super) password: Option<Imported>,
    /// The reason why the password hash cannot be used.
    pub(super) password_error: Option<String>,
}

impl Draft {
    /// Checks the fields of a record.
    pub(super) fn new(number: u64, license_id: Id, record: UserRecord) -> Self {
        let mut user = user::Model::empty(record.id.unwrap_or_default(), license_id);
        let mut validator = Validator::importing();
        apply(&record, None, &mut user, &mut validator);
        let (password, password_error) = parse_password(record.password_hash.as_deref());
        Self {
            number,
            email_keys: login_keys(user.email.as_deref()),
            username_keys: login_keys(user.username.as_deref()),
            record,
            user,
            validator,
            password,
            password_error,
        }
    }
}

/// Applies the fields of a record that need nothing of the directory to a user, who was `old` before. Adds errors to `validator`.
pub(super) fn apply(record: &UserRecord, old: Option<&user::Model>, user: &mut user::Model, validator: &mut Validator) {
    user.apply(record.names.clone(), record.fields.clone(), validator);
    validator.value("isActive", record.is_active, &mut user.is_active);
    check_demotion(old, user, validator);
    set_date_joined(user, record.date_joined, validator);
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

fn set_date_joined(user: &mut user::Model, date_joined: Option<DateTime<Utc>>, validator: &mut Validator) {
    match date_joined.map(|joined| joined.trunc_subsecs(6)) {
        Some(joined) if is_storable(joined) => user.date_joined = joined,
        Some(_) => validator.add_error("dateJoined", ErrorCode::Invalid, "Must be in the years 1900 to 9999."),
        None => {}
    }
}

/// Returns whether both databases can store an instant: PostgreSQL rejects years of five digits, and SQLite would sort them
/// wrongly.
fn is_storable(instant: DateTime<Utc>) -> bool {
    (1900..=9999).contains(&instant.year())
}

/// Returns the password of a record, or the reason why its hash cannot be used.
fn parse_password(hash: Option<&str>) -> (Option<Imported>, Option<String>) {
    match hash.map(password::parse_imported) {
        None => (None, None),
        Some(Ok(password)) => (password, None),
        Some(Err(error)) => (None, Some(format!("passwordHash: {error}"))),
    }
}
