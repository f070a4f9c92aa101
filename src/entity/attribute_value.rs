//! Values of custom attributes, one row for each user and attribute.

use async_graphql::{InputObject, MaybeUndefined, SimpleObject};
use sea_orm::entity::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::attribute_definition::AttributeKind;
use crate::scalar::{Date, Id, Json};
use crate::text;
use crate::validation::{Blank, ValidationError, rule};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attribute_values")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Id,
    #[sea_orm(primary_key, auto_increment = false)]
    pub definition_id: Id,
    /// The value in the canonical text form of its kind.
    pub value: String,
    /// The key by which values are found.
    pub value_key: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::attribute_definition::Entity",
        from = "Column::DefinitionId",
        to = "super::attribute_definition::Column::Id"
    )]
    Definition,
}

impl ActiveModelBehavior for ActiveModel {}

/// The value that a user has for a custom attribute.
#[derive(Clone, Debug, SimpleObject)]
pub struct Attribute {
    /// The name of the attribute.
    pub name: String,
    /// The label to display instead of the name.
    pub label: String,
    /// The value: a string, a boolean, a date as a `YYYY-MM-DD` string, or a whole number, depending on the attribute's kind.
    pub value: Json,
}

/// The value of a custom attribute.
#[derive(Clone, Debug, InputObject)]
pub struct AttributeInput {
    /// The name of the attribute, as listed by `attributeDefinitions`.
    pub name: String,
    /// The value: a string, a boolean, a date as a `YYYY-MM-DD` string, or a whole number, depending on the attribute's
    /// kind. Null clears the value. For a new user, or if the attribute is required, null is an error
    /// (`NULL_NOT_ALLOWED`), except in `importUsers`, where it is ignored. Cannot be omitted.
    pub value: MaybeUndefined<Json>,
}

/// The maximum length of a string, in characters.
const MAX_TEXT_LENGTH: usize = 1_000;
/// The largest integer that every JSON parser represents exactly, 2^53 - 1 (RFC 8259, section 6).
const LARGEST_NUMBER: i64 = 9_007_199_254_740_991;

/// The maximum length of a string that is its own key, in characters. A longer one is cut and followed by its hash, because an
/// index of PostgreSQL allows 2,704 bytes.
const MAX_KEY_LENGTH: usize = 250;

impl AttributeKind {
    /// Returns the canonical text form of a value of this kind. `None` for a blank text.
    ///
    /// # Errors
    /// [`ValidationError`] for a value that is not of this kind.
    pub fn canonical(self, value: &Value) -> Result<Option<String>, ValidationError> {
        match (self, value) {
            (Self::String | Self::Date, Value::String(text)) if text.is_blank() => Ok(None),
            (Self::String, Value::String(text)) => rule::text(MAX_TEXT_LENGTH)(text.trim()).map(Some),
            (Self::String, _) => Err(ValidationError::invalid("Must be a string.")),
            (Self::Boolean, Value::Bool(truth)) => Ok(Some(truth.to_string())),
            (Self::Boolean, _) => Err(ValidationError::invalid("Must be true or false.")),
            (Self::Date, Value::String(text)) => {
                let text = text.trim();
                let date = Date::parse(text).map(|date| date.0.to_string()).filter(|date| date == text);
                date.map(Some).ok_or_else(|| ValidationError::invalid("Must be a date, such as 1980-07-08."))
            }
            (Self::Date, _) => Err(ValidationError::invalid("Must be a date, such as 1980-07-08.")),
            (Self::Integer, value) => {
                let number = value.as_i64().filter(|number| number.unsigned_abs() <= LARGEST_NUMBER.unsigned_abs());
                let message = || format!("Must be an integer from -{LARGEST_NUMBER} to {LARGEST_NUMBER}.");
                number.map(|number| Some(number.to_string())).ok_or_else(|| ValidationError::invalid(message()))
            }
        }
    }

    /// Returns the value of a stored text.
    #[must_use]
    pub fn shown(self, stored: &str) -> Value {
        match self {
            Self::String | Self::Date => stored.into(),
            Self::Boolean => (stored == "true").into(),
            Self::Integer => stored.parse::<i64>().map_or(Value::Null, Value::from),
        }
    }

    /// Returns the key by which a stored text is found: strings ignore case and accents, other kinds stay unchanged.
    #[must_use]
    pub fn key(self, stored: &str) -> String {
        if self != Self::String {
            return stored.to_owned();
        }
        let folded = text::fold(stored);
        match folded.char_indices().nth(MAX_KEY_LENGTH) {
            None => folded,
            Some((end, _)) => {
                let start = folded.split_at(end).0;
                format!("{start}{}", hex::encode(Sha256::digest(&folded)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_has_a_short_key_of_its_own() {
        let kind = AttributeKind::String;
        let widest = "\u{fdfa}".repeat(MAX_TEXT_LENGTH);
        let (one, other) = (kind.key(&widest), kind.key(&format!("{widest}x")));
        assert!(one.len() < 2_000 && one != other);
        assert_eq!(kind.key(&"É".repeat(MAX_TEXT_LENGTH)), kind.key(&"e".repeat(MAX_TEXT_LENGTH)));
        assert_eq!(kind.key("Épinal"), "epinal");
    }
}
