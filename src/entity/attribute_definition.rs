//! What a license wants to know of its people beside the fields that everybody has: custom attributes.

use async_graphql::{Enum, InputObject, MaybeUndefined, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::scalar::{Id, now};
use crate::validation::{ValidationError, Validator, rule};

/// What kind of value an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AttributeKind {
    /// One line of text, at most 1,000 characters.
    String,
    /// True or false.
    Boolean,
    /// A calendar date, written as the text `YYYY-MM-DD`.
    Date,
    /// A whole number from -9,007,199,254,740,991 to 9,007,199,254,740,991, which every JSON reader holds exactly.
    Integer,
}

/// A custom attribute that the people of a license may have.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "attribute_definitions")]
#[graphql(name = "AttributeDefinition")]
pub struct Model {
    /// The definition's id, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    #[graphql(skip)]
    pub license_id: Id,
    /// The name by which values are given, such as `birthplace`; unique within the license.
    pub name: String,
    /// What people are shown in its place, such as `Place of birth`.
    pub label: String,
    /// What kind of value it has.
    pub kind: AttributeKind,
    /// Whether nobody new is entered without it, and nobody who has it can lose it.
    pub required: bool,
    /// Whether everybody may change his own.
    pub user_editable: bool,
    /// Whether it is shown to whoever sees the person; otherwise it is private.
    pub user_visible: bool,
    #[graphql(skip)]
    pub created_at: DateTime<Utc>,
    #[graphql(skip)]
    pub modified_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How many attributes a license defines at most, and so how many a person has.
pub const MOST_DEFINITIONS: u64 = 100;

/// The most characters of a name.
const LONGEST_NAME: usize = 50;

/// An attribute to be defined, or what is to change of the one that has this name: what is absent stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct DefineAttributeInput {
    /// The name by which values are given: a lower-case letter, then letters, digits and `_`; at most 50 characters.
    pub name: String,
    /// What people are shown in its place; at most 100 characters. Needed for a new one.
    pub label: MaybeUndefined<String>,
    /// What kind of value it has. Needed for a new one, and stays as it is while anybody has a value.
    pub kind: MaybeUndefined<AttributeKind>,
    /// Whether nobody new is entered without it, and nobody who has it can lose it; false where nothing is said.
    pub required: MaybeUndefined<bool>,
    /// Whether everybody may change his own; false where nothing is said.
    pub user_editable: MaybeUndefined<bool>,
    /// Whether it is shown to whoever sees the person, or else only to the person and administrators; true where nothing
    /// is said.
    pub user_visible: MaybeUndefined<bool>,
}

impl Model {
    /// A definition of which nothing is known yet but its license.
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

    /// Lays what was given over the row; faults go to the form.
    pub fn apply(&mut self, given: DefineAttributeInput, form: &mut Validator) {
        let DefineAttributeInput { name, label, kind, required, user_editable, user_visible } = given;
        form.required("name", MaybeUndefined::Value(name), &mut self.name, rule_of_name);
        form.required("label", label, &mut self.label, rule::text(100));
        form.needed("kind", kind, &mut self.kind);
        form.value("required", required, &mut self.required);
        form.value("userEditable", user_editable, &mut self.user_editable);
        form.value("userVisible", user_visible, &mut self.user_visible);
    }
}

/// A lower-case letter, then letters, digits and `_`: a name that every program can write.
fn rule_of_name(name: &str) -> Result<String, ValidationError> {
    let name = rule::text(LONGEST_NAME)(name)?;
    let is_good = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_good { Ok(name) } else { Err(ValidationError::invalid("A lower-case letter, then letters, digits and _.")) }
}

/// Whether an attribute can have this name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    rule_of_name(text).is_ok()
}
