//! The names of a user.

use async_graphql::MaybeUndefined;

use super::{Model, UserFields};
use crate::error::ErrorCode;
use crate::scalar::Id;
use crate::validation::Validator;

/// The first and last name in an input.
#[derive(Clone, Debug, Default)]
pub struct UserNames {
    pub first_name: MaybeUndefined<String>,
    pub last_name: MaybeUndefined<String>,
}

impl UserNames {
    /// Returns the names of a new user.
    #[must_use]
    pub fn new(first_name: String, last_name: String) -> Self {
        Self { first_name: MaybeUndefined::Value(first_name), last_name: MaybeUndefined::Value(last_name) }
    }
}

impl Model {
    /// Returns a new user of a license, who must have an email address, from the given names and fields. Adds errors to
    /// `validator`.
    pub fn with_email(license_id: Id, names: UserNames, fields: UserFields, validator: &mut Validator) -> Self {
        let mut new = Self::empty(Id::new(), license_id);
        new.apply(names, fields, validator);
        if new.email.is_none() && !validator.has_error_at("email") {
            validator.add_error("email", ErrorCode::Required, "This field is required.");
        }
        new
    }

    /// The user's first and last name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }

    /// Returns the user's names and logins, of which a password must not be made.
    #[must_use]
    pub fn known_words(&self) -> Vec<&str> {
        let words =
            [Some(self.first_name.as_str()), Some(&self.last_name), self.username.as_deref(), self.email.as_deref()];
        words.into_iter().flatten().collect()
    }
}
