//! Input as it is read: every field by its rule, every fault collected, so that the caller sees all of them at once.

mod country;
pub mod rule;

use async_graphql::MaybeUndefined::{self, Null, Undefined, Value};

use crate::error::{Error, ErrorCode, MutationError};
use crate::scalar::{DateText, Id};
use crate::text;

/// Why a value breaks its rule.
pub struct ValidationError(ErrorCode, String);

impl ValidationError {
    /// A value that has not the form which its field asks for.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self(ErrorCode::Invalid, message.into())
    }

    /// A text of more than `most` characters.
    #[must_use]
    pub fn too_long(most: usize) -> Self {
        Self(ErrorCode::TooLong, format!("Must be at most {most} characters."))
    }

    /// What the rule asks for, for people.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.1
    }
}

/// How many faults of one input are told.
const MOST_FAULTS: usize = 100;

/// The faults found in one input so far, and the names of the fields that it gave.
#[derive(Default)]
pub struct Validator {
    creating: bool,
    null_is_absent: bool,
    faults: Vec<MutationError>,
    given: Vec<&'static str>,
}

impl Validator {
    /// The form of something new: null is a fault in each field, as there is nothing to clear.
    #[must_use]
    pub fn creating() -> Self {
        Self { creating: true, ..Self::default() }
    }

    /// The form of something new from a file: other systems write null where they know nothing.
    #[must_use]
    pub fn importing() -> Self {
        Self { creating: true, null_is_absent: true, ..Self::default() }
    }

    /// The form of a change: absent leaves a field as it is, null clears it where it is optional.
    #[must_use]
    pub fn changing() -> Self {
        Self::default()
    }

    /// The fields that the input gave, value or null, by their names in the schema.
    #[must_use]
    pub fn given(&self) -> &[&'static str] {
        &self.given
    }

    /// Notes a fault of a field. Of more faults than anybody reads the first ones are told.
    pub fn fault(&mut self, field: &str, code: ErrorCode, message: impl Into<String>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(MutationError::at(field, code, message));
        }
    }

    /// How many faults were noted so far.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.faults.len()
    }

    /// Whether any fault was noted so far.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Whether a fault of a field was noted so far.
    #[must_use]
    pub fn has_fault_of(&self, field: &str) -> bool {
        self.faults.iter().any(|fault| fault.path.iter().skip(1).eq([field]))
    }

    /// Every fault that was noted, or nothing if there was none.
    ///
    /// # Errors
    /// `Rejected` with the faults.
    pub fn finish(self) -> Result<(), Error> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::Rejected(self.faults)) }
    }

    /// An optional text: trimmed, and null where it is blank.
    pub fn text<T: From<String>>(
        &mut self,
        field: &'static str,
        value: MaybeUndefined<String>,
        target: &mut Option<T>,
        rule: impl FnOnce(&str) -> Result<String, ValidationError>,
    ) {
        self.optional(field, value.map_value(|text| text.trim().to_owned()), target, |text| rule(&text).map(T::from));
    }

    /// An optional value; a blank text counts as null.
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

    /// A text that must be there and not be blank; trimmed.
    pub fn required(
        &mut self,
        field: &'static str,
        value: MaybeUndefined<String>,
        target: &mut String,
        rule: impl FnOnce(&str) -> Result<String, ValidationError>,
    ) {
        self.note(field, &value);
        match value {
            Undefined if self.creating => self.fault(field, ErrorCode::Required, "This field is required."),
            Undefined => {}
            Null => self.null(field),
            Value(text) if text.is_blank() => self.fault(field, ErrorCode::Required, "This field is required."),
            Value(text) => {
                if let Some(text) = self.check(field, rule(text.trim())) {
                    *target = text;
                }
            }
        }
    }

    /// A value of a type that admits no bad one, such as an enum; where it is absent the target keeps its value.
    pub fn value<T>(&mut self, field: &'static str, value: MaybeUndefined<T>, target: &mut T) {
        self.note(field, &value);
        match value {
            Undefined => {}
            Null if self.null_is_absent => {}
            Null => self.null(field),
            Value(value) => *target = value,
        }
    }

    /// The same, of something without which nothing new can be.
    pub fn needed<T>(&mut self, field: &'static str, value: MaybeUndefined<T>, target: &mut T) {
        if value.is_undefined() && self.creating {
            self.fault(field, ErrorCode::Required, "This field is required.");
        }
        self.value(field, value, target);
    }

    /// Whether null clears the value in a place, which may be below a field; where there must be a value it is a fault.
    pub fn clears(&mut self, place: &str, is_needed: bool) -> bool {
        match self {
            Self { null_is_absent: true, .. } => false,
            Self { creating: false, .. } if !is_needed => true,
            _ => {
                self.null(place);
                false
            }
        }
    }

    /// Whether it is the form of something new.
    #[must_use]
    pub fn is_creating(&self) -> bool {
        self.creating
    }

    /// A secret, as it was given: neither trimmed nor taken for null where it is blank. Null removes it, where there can be
    /// one already.
    pub fn secret(&mut self, field: &'static str, value: MaybeUndefined<String>) -> MaybeUndefined<String> {
        self.note(field, &value);
        if value.is_null() && self.creating {
            self.null(field);
        }
        value
    }

    /// The id that a text stands for; a text that is no UUID is a fault.
    pub fn id(&mut self, field: &'static str, text: &str) -> Option<Id> {
        let id = rule::id(text);
        self.check(field, id)
    }

    fn note<T>(&mut self, field: &'static str, value: &MaybeUndefined<T>) {
        if !value.is_undefined() {
            self.given.push(field);
        }
    }

    fn null(&mut self, field: &str) {
        self.fault(field, ErrorCode::NullNotAllowed, "This field can be omitted, but must not be null.");
    }

    /// What a rule makes of a value; none where it breaks the rule, which is a fault.
    pub fn check<T>(&mut self, field: &str, outcome: Result<T, ValidationError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(ValidationError(code, message)) => {
                self.fault(field, code, message);
                None
            }
        }
    }
}

/// Whether a value says nothing.
pub trait Blank {
    /// True for a text that shows nothing.
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
