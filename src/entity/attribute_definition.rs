//! Definitions of custom attributes: fields that a license defines for its users, besides those that every user has.

use async_graphql::{Enum, InputObject, MaybeUndefined, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::{Id, now};
use crate::validation::{ValidationError, Validator, rule};

/// The kind of value that an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AttributeKind {
    /// One line of text, at most 1,000 characters.
    String,
    /// True or false.
    Boolean,
    /// A calendar date, written as a `YYYY-MM-DD` string.
    Date,
    /// A whole number from -9,007,199,254,740,991 to 9,007,199,254,740,991, the range that every JSON parser represents
    /// exactly.
    Integer,
}

/// A custom attribute that the users of a license can have.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "attribute_definitions")]
#[graphql(name = "AttributeDefinition")]
pub struct Model {
    /// The ID of the definition, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    #[graphql(skip)]
    pub license_id: Id,
    /// The name that identifies the attribute in inputs and filters, such as `birthplace`. Unique within the license.
    pub name: String,
    /// The label to display instead of the name, such as `Place of birth`.
    pub label: String,
    /// The kind of value that the attribute has.
    pub kind: AttributeKind,
    /// Whether a value is required: a new user must have one, and an existing one cannot be cleared.
    pub required: bool,
    /// Whether users may change their own value.
    pub user_editable: bool,
    /// Whether every viewer who can see the user can see the value. If `false`, only the user and administrators can see
    /// it.
    pub user_visible: bool,
    #[graphql(skip)]
    pub created_at: DateTime<Utc>,
    #[graphql(skip)]
    pub modified_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The maximum number of attributes that a license defines, and so of a user's attributes.
pub const MAX_DEFINITIONS: u64 = 100;

/// The maximum length of a name, in characters.
const MAX_NAME_LENGTH: usize = 50;

/// Input of `defineAttribute`, which changes the attribute with the given `name` or, if there is none, defines a
/// new one. When an attribute is changed, omitted fields stay unchanged. Null is an error (`NULL_NOT_ALLOWED`).
#[derive(Clone, Debug, InputObject)]
pub struct DefineAttributeInput {
    /// The name that identifies the attribute. A lowercase letter, followed by letters, digits and `_`, all ASCII. At
    /// most 50 characters.
    pub name: String,
    /// The label to display instead of the name. At most 100 characters. Must not be blank. Required for a new
    /// attribute.
    pub label: MaybeUndefined<String>,
    /// The kind of value. Required for a new attribute. Cannot change while any user has a value (`NOT_ALLOWED`).
    pub kind: MaybeUndefined<AttributeKind>,
    /// Whether a value is required: a new user must have one, and an existing one cannot be cleared. Defaults to
    /// `false` for a new attribute.
    pub required: MaybeUndefined<bool>,
    /// Whether users may change their own value. Defaults to `false` for a new attribute.
    pub user_editable: MaybeUndefined<bool>,
    /// Whether every viewer who can see the user can see the value. If `false`, only the user and administrators can see
    /// it. Defaults to `true` for a new attribute.
    pub user_visible: MaybeUndefined<bool>,
}

impl Model {
    /// Returns a definition of a license without a name and with the default of every other field.
    #[must_use]
    pub fn empty(id: Id, license_id: Id) -> Self {
        let now = now();
        Self {
            id,
            license_id,
            name: String::new(),
            label: String::new(),
            kind: AttributeKind::String,
            required: false,
            user_editable: false,
            user_visible: true,
            created_at: now,
            modified_at: now,
        }
    }

    /// Applies the given values to the row. Adds errors to `validator`.
    pub fn apply(&mut self, given: DefineAttributeInput, validator: &mut Validator) {
        let DefineAttributeInput { name, label, kind, required, user_editable, user_visible } = given;
        validator.required("name", MaybeUndefined::Value(name), &mut self.name, rule_of_name);
        validator.required("label", label, &mut self.label, rule::text(100));
        validator.needed("kind", kind, &mut self.kind);
        validator.value("required", required, &mut self.required);
        validator.value("userEditable", user_editable, &mut self.user_editable);
        validator.value("userVisible", user_visible, &mut self.user_visible);
    }
}

/// Checks that a name is a lowercase letter, followed by letters, digits and `_`, so that every program can write it.
fn rule_of_name(name: &str) -> Result<String, ValidationError> {
    let name = rule::text(MAX_NAME_LENGTH)(name)?;
    let is_good = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_good {
        Ok(name)
    } else {
        Err(ValidationError::invalid("Must be a lowercase letter, followed by letters, digits or _."))
    }
}

/// Returns whether an attribute can have this name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    rule_of_name(text).is_ok()
}
