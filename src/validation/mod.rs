//! Validation of input: each field by its rule. All errors are collected, so that the caller sees them at once.

mod country;
pub mod rule;

use async_graphql::MaybeUndefined::{self, Null, Undefined, Value};

use crate::error::{Error, ErrorCode, MutationError};
use crate::scalar::{DateText, Id};
use crate::text;

/// The error of a value that breaks its rule.
pub struct ValidationError(ErrorCode, String);

impl ValidationError {
    /// Creates an error for a value that does not have the format of its field.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self(ErrorCode::Invalid, message.into())
    }

    /// Creates an error for a text of more than `most` characters.
    #[must_use]
    pub fn too_long(most: usize) -> Self {
        Self(ErrorCode::TooLong, format!("Must be at most {most} characters."))
    }

    /// Returns the message, which states the rule, for users.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.1
    }
}

/// The maximum number of errors reported for one input.
const MAX_ERRORS: usize = 100;

/// The errors found in an input so far, and the names of its fields.
#[derive(Default)]
pub struct Validator {
    creating: bool,
    null_is_absent: bool,
    null_keeps: bool,
    errors: Vec<MutationError>,
    given: Vec<&'static str>,
}

impl Validator {
    /// Creates a validator for a new object: null is an error in each field, as there is nothing to clear.
    #[must_use]
    pub fn creating() -> Self {
        Self { creating: true, ..Self::default() }
    }

    /// Creates a validator for a new object from a file: null counts as absent, as other systems write null for unknown values.
    #[must_use]
    pub fn importing() -> Self {
        Self { creating: true, null_is_absent: true, ..Self::default() }
    }

    /// Creates a validator for a change: an absent field is left unchanged, null clears an optional one.
    #[must_use]
    pub fn changing() -> Self {
        Self::default()
    }

    /// Creates a validator for a change by a file: null clears an optional field, and counts as absent in every other one, as it
    /// does for a new object.
    #[must_use]
    pub fn reimporting() -> Self {
        Self { null_keeps: true, ..Self::default() }
    }

    /// Returns the fields that the input sets, to a value or null, by their names in the schema.
    #[must_use]
    pub fn given(&self) -> &[&'static str] {
        &self.given
    }

    /// Records an error of a field. Only the first 100 errors are kept.
    pub fn add_error(&mut self, field: &str, code: ErrorCode, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(MutationError::at(field, code, message));
        }
    }

    /// Returns the errors so far.
    #[must_use]
    pub fn errors(&self) -> &[MutationError] {
        &self.errors
    }

    /// Returns the number of errors so far.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Returns whether there are errors so far.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Returns whether a field has an error so far.
    #[must_use]
    pub fn has_error_at(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.path.iter().skip(1).eq([field]))
    }

    /// Returns the errors and fields of this validator, followed by those of another one.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        self.errors.extend(other.errors);
        self.errors.truncate(MAX_ERRORS);
        self.given.extend(other.given);
        self
    }

    /// Succeeds if there are no errors.
    ///
    /// # Errors
    /// `Rejected` with all errors.
    pub fn finish(self) -> Result<(), Error> {
        if self.errors.is_empty() { Ok(()) } else { Err(Error::Rejected(self.errors)) }
    }

    /// Validates an optional text. It is trimmed; blank text counts as null.
    pub fn text<T: From<String>>(
        &mut self,
        field: &'static str,
        value: MaybeUndefined<String>,
        target: &mut Option<T>,
        rule: impl FnOnce(&str) -> Result<String, ValidationError>,
    ) {
        self.optional(field, value.map_value(|text| text.trim().to_owned()), target, |text| rule(&text).map(T::from));
    }

    /// Validates an optional value; blank text counts as null.
    pub fn optional<V: Blank, T>(
        &mut self,
        field: &'static str,
        value: MaybeUndefined<V>,
        target: &mut Option<T>,
        rule: impl FnOnce(V) -> Result<T, ValidationError>,
    ) {
        self.note(field, &value);
        match value {
            Undefined => {}
            Null if self.null_is_absent => {}
            Null if self.creating => self.null(field),
            Null => *target = None,
            Value(value) if value.is_blank() => *target = None,
            Value(value) => {
                if let Some(value) = self.check(field, rule(value)) {
                    *target = Some(value);
                }
            }
        }
    }

    /// Validates a required text, which must not be blank. It is trimmed.
    pub fn required(
        &mut self,
        field: &'static str,
        value: MaybeUndefined<String>,
        target: &mut String,
        rule: impl FnOnce(&str) -> Result<String, ValidationError>,
    ) {
        self.note(field, &value);
        match value {
            Undefined if self.creating => self.missing(field),
            Undefined => {}
            Null if self.null_is_absent => self.missing(field),
            Null if self.null_keeps => {}
            Null => self.null(field),
            Value(text) if text.is_blank() => self.missing(field),
            Value(text) => {
                if let Some(text) = self.check(field, rule(text.trim())) {
                    *target = text;
                }
            }
        }
    }

    /// Takes a value of a type without invalid values, such as an enum. If it is absent, the target keeps its value.
    pub fn value<T>(&mut self, field: &'static str, value: MaybeUndefined<T>, target: &mut T) {
        self.note(field, &value);
        match value {
            Undefined => {}
            Null if self.null_is_absent || self.null_keeps => {}
            Null => self.null(field),
            Value(value) => *target = value,
        }
    }

    /// Takes a value as [`Self::value`]; it is required for a new object.
    pub fn needed<T>(&mut self, field: &'static str, value: MaybeUndefined<T>, target: &mut T) {
        if self.creating && (value.is_undefined() || (self.null_is_absent && value.is_null())) {
            self.missing(field);
        }
        self.value(field, value, target);
    }

    /// Returns whether null clears the value at a path, which may be below a field. Records an error if a value is required.
    pub fn clears(&mut self, place: &str, is_needed: bool) -> bool {
        match self {
            Self { null_is_absent: true, .. } => false,
            Self { null_keeps: true, .. } if is_needed => false,
            Self { creating: false, .. } if !is_needed => true,
            _ => {
                self.null(place);
                false
            }
        }
    }

    /// Returns whether the object is new.
    #[must_use]
    pub fn is_creating(&self) -> bool {
        self.creating
    }

    /// Takes a secret unchanged: it is not trimmed, and blank text does not count as null. Null removes an existing secret, and
    /// is an error for a new object.
    pub fn secret(&mut self, field: &'static str, value: MaybeUndefined<String>) -> MaybeUndefined<String> {
        self.note(field, &value);
        if value.is_null() && self.creating {
            self.null(field);
        }
        value
    }

    /// Parses an ID. Records an error if the text is not a UUID; the returned ID is of no object then.
    pub fn id(&mut self, field: &'static str, text: &str) -> Id {
        let id = rule::id(text);
        self.check(field, id).unwrap_or_default()
    }

    fn note<T>(&mut self, field: &'static str, value: &MaybeUndefined<T>) {
        if !value.is_undefined() {
            self.given.push(field);
        }
    }

    fn missing(&mut self, field: &str) {
        self.add_error(field, ErrorCode::Required, "This field is required.");
    }

    fn null(&mut self, field: &str) {
        self.add_error(field, ErrorCode::NullNotAllowed, "This field can be omitted, but must not be null.");
    }

    /// Returns the value of a successful rule; otherwise records the error and returns `None`.
    pub fn check<T>(&mut self, field: &str, outcome: Result<T, ValidationError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(ValidationError(code, message)) => {
                self.add_error(field, code, message);
                None
            }
        }
    }
}

/// Values that may be blank.
pub trait Blank {
    /// Returns whether the value is a text with nothing visible.
    fn is_blank(&self) -> bool {
        false
    }
}

impl Blank for i32 {}

impl Blank for String {
    fn is_blank(&self) -> bool {
        text::is_blank(self)
    }
}

impl Blank for DateText {
    fn is_blank(&self) -> bool {
        self.0.is_blank()
    }
}

impl Blank for async_graphql::ID {
    fn is_blank(&self) -> bool {
        self.0.is_blank()
    }
}
