//! Rules by which values of rows are left out, instead of the row being refused. All are off by default.

use async_graphql::MaybeUndefined::Undefined;
use clap::ValueEnum;

use super::Channel;
use super::draft::Draft;
use super::importer::Importer;
use super::origin::Fault;
use super::reader::Parsed;
use super::record::UserRecord;
use crate::entity::user;
use crate::error::ErrorCode;
use crate::scalar::Id;
use crate::validation::Validator;

/// What to do about an institution that does not exist.
const CREATE_INSTITUTIONS: &str = " Import institutions first, or create them with --create-institutions.";

/// A rule by which values are left out. Each of them is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fix {
    /// Leave out optional texts that are too long.
    #[value(name = "too-long=drop")]
    TooLong,
    /// Leave out optional values that are invalid, such as a date of birth in the future.
    #[value(name = "invalid=drop")]
    Invalid,
    /// Leave out an email address that is invalid, if the user has a username.
    #[value(name = "invalid-email=drop")]
    InvalidEmail,
    /// Leave out an email address that another user has, if the user has a username.
    #[value(name = "duplicate-email=second-without")]
    DuplicateEmail,
    /// Leave out a username that another user has, if the user has an email address.
    #[value(name = "duplicate-username=second-without")]
    DuplicateUsername,
    /// Leave out an institution or a site that does not exist.
    #[value(name = "unknown-institution=drop")]
    UnknownInstitution,
    /// Leave out a group that does not exist.
    #[value(name = "unknown-group=drop")]
    UnknownGroup,
}

impl Fix {
    /// Returns the rule for an error of an optional value.
    fn of_value(code: ErrorCode) -> Option<Self> {
        match code {
            ErrorCode::TooLong => Some(Self::TooLong),
            ErrorCode::Invalid | ErrorCode::TooShort => Some(Self::Invalid),
            _ => None,
        }
    }

    /// Returns the rule for an object that does not exist, which a field refers to.
    fn of_reference(field: &str) -> Self {
        if field == "groups" { Self::UnknownGroup } else { Self::UnknownInstitution }
    }

    /// Returns the rule for a login that is taken.
    fn of_login(field: &str) -> Self {
        if field == "email" { Self::DuplicateEmail } else { Self::DuplicateUsername }
    }
}

impl UserRecord {
    /// Leaves out the email address of a user who has another login; returns false otherwise.
    fn leave_out_email(&mut self) -> bool {
        let has_username = self.fields.username.is_value();
        if has_username {
            self.fields.email = Undefined;
        }
        has_username
    }

    /// Leaves out the value of an optional field; returns false for other fields. Fields that say who a user is, what they may do,
    /// and whether they can sign in are never left out.
    fn leave_out(&mut self, field: &str) -> bool {
        let fields = &mut self.fields;
        match field {
            "nickname" => fields.nickname = Undefined,
            "certifiedEmail" => fields.certified_email = Undefined,
            "phone" => fields.phone = Undefined,
            "mobile" => fields.mobile = Undefined,
            "birthDate" => fields.birth_date = Undefined,
            "gender" => fields.gender = Undefined,
            "userType" => fields.user_type = Undefined,
            "position" => fields.position = Undefined,
            "website" => fields.website = Undefined,
            "googleScholar" => fields.google_scholar = Undefined,
            "orcidId" => fields.orcid_id = Undefined,
            "atlasPreference" => fields.atlas_preference = Undefined,
            "pin" => self.pin = None,
            "dateJoined" => self.date_joined = None,
            "lastLogin" => self.last_login = None,
            "modifiedAt" => self.history.modified_at = None,
            _ => return false,
        }
        true
    }
}

impl Draft {
    /// Checks the fields of a record, and leaves out the values that the rules say.
    pub(super) fn repaired(parsed: Parsed<UserRecord>, license_id: Id, fixes: &[Fix]) -> Self {
        let draft = Self::new(parsed, license_id);
        if fixes.is_empty() || (draft.faults.is_empty() && !draft.validator.has_errors()) {
            return draft;
        }
        let Self { origin, mut record, faults, validator, password_error, .. } = draft;
        let mut left_out = Vec::new();
        for error in validator.errors() {
            let fault = Fault::from(error.clone());
            let is_left_out = match Fix::of_value(error.code) {
                Some(_) if fault.field == "email" => fixes.contains(&Fix::InvalidEmail) && record.leave_out_email(),
                Some(fix) => fixes.contains(&fix) && record.leave_out(&fault.field),
                None => false,
            };
            if is_left_out {
                left_out.push(fault);
            }
        }
        // The record lacks the values whose format is wrong.
        let drops_invalid = fixes.contains(&Fix::Invalid);
        let (dropped, faults) =
            faults.into_iter().partition(|fault: &Fault| drops_invalid && record.leave_out(&fault.field));
        left_out.extend::<Vec<Fault>>(dropped);
        Self { password_error, left_out, ..Self::new(Parsed { origin, record, faults }, license_id) }
    }
}

impl Importer<'_> {
    /// Returns what to do about an institution to which a row refers and that was not found, in addition to the error.
    /// Several may have the name.
    pub(super) fn advice(&self, reference: &str, can_create_by_id: bool) -> &'static str {
        let is_missing = self.institutions.find_by_name(reference) == Ok(None);
        let can_create = can_create_by_id || Id::parse(reference).is_none();
        let is_file = self.options.channel == Channel::File;
        if is_file && is_missing && can_create && !self.options.create_institutions { CREATE_INSTITUTIONS } else { "" }
    }

    /// Reports that an object does not exist, to which an item of a field refers: as an error at a place, unless the item is to be
    /// left out.
    pub(super) fn report_unknown(&mut self, field: &str, place: &str, message: String, validator: &mut Validator) {
        if self.options.fixes.contains(&Fix::of_reference(field)) {
            self.left_out.push(Fault::new(field, message));
        } else {
            validator.add_error(place, ErrorCode::NotFound, message);
        }
    }

    /// Leaves out a login that is taken, if it is to be left out and the user has the other one. An existing user keeps the former
    /// login. Returns whether it was left out.
    pub(super) fn leave_out_login(&self, field: &str, row: &mut user::Model, old: Option<&user::Model>) -> bool {
        if !self.options.fixes.contains(&Fix::of_login(field)) {
            return false;
        }
        let before = row.clone();
        if field == "email" && row.username.is_some() {
            row.email = old.and_then(|old| old.email.clone());
            row.update_derived_since(&before);
            row.email_key = old.and_then(|old| old.email_key.clone());
            row.email_verified = old.is_some_and(|old| old.email_verified);
        } else if field == "username" && row.email.is_some() {
            row.username = old.and_then(|old| old.username.clone());
            row.update_derived_since(&before);
            row.username_key = old.and_then(|old| old.username_key.clone());
        } else {
            return false;
        }
        true
    }

    /// Counts values that were left out of a row.
    pub(super) fn count_left_out(&mut self, faults: &[Fault]) {
        for fault in faults {
            *self.summary.left_out.entry(fault.field.clone()).or_default() += 1;
        }
    }
}
