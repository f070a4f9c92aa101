//! The rules of a mapping: how a field gets its value.

mod created;
mod form;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::created::CreatedObject;
use super::fields::FieldType;
use super::keycloak;
use super::mapping_value::{each, list_of, lookup, memberships, picture, rdn, references, text_of};
use super::values::Formats;
use crate::entity::external_reference::FIELD;
use crate::scalar::Id;

/// A rule: the column, or a table with more.
#[derive(Clone, Debug)]
pub(super) enum FieldRule {
    Column(String),
    Rule(Box<Rule>),
}

/// A rule with particulars.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Rule {
    /// The columns, of which the first that has a value counts. A column within another one is written with a full stop.
    #[serde(default)]
    column: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
    /// The value of every row.
    constant: Option<Value>,
    /// The value of rows that have none.
    default: Option<Value>,
    /// The values for codes, which are compared ignoring case.
    #[serde(default)]
    codes: BTreeMap<String, Value>,
    convert: Option<Conversion>,
    /// The text between the parts of a value, and the number of the part that counts.
    split: Option<String>,
    #[serde(default)]
    part: usize,
    /// Whether the value is an id of the source: for `externalReferences`, it becomes a reference; for other fields, the name of the
    /// source is put before it.
    #[serde(default)]
    with_source: bool,
    /// The kind of object whose UUID is derived from the source and the value.
    derive: Option<Derived>,
    /// The members of an item, if the items of a list are objects: its key and its name.
    key: Option<String>,
    name: Option<String>,
    /// The role in each group.
    role: Option<String>,
    /// The column with the roles in those groups in which they differ from that of a member.
    roles: Option<String>,
    /// Creates the objects that the value refers to, with these fields in addition to the name.
    create: Option<Map<String, Value>>,
    /// The label and the kind of a custom attribute, if the import defines it.
    label: Option<String>,
    kind: Option<String>,
}

/// A conversion of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Conversion {
    /// True for a value that is false, and the other way round.
    Not,
    /// The value of the first part of a distinguished name: `cn=nurses,ou=groups` is `nurses`.
    Rdn,
    /// A path without the first slash.
    Path,
    /// Whether the value must be missing (`true`) or present (`false`).
    IsBlank,
    /// The first of several values.
    First,
    /// The password among Keycloak's credentials.
    KeycloakCredentials,
    /// The content of a picture in base64.
    Picture,
    /// Texts such as `hr:7`, each an external reference.
    References,
}

/// The kind of an object that has a derived UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Derived {
    User,
    Group,
    Institution,
}

/// The context on which the value of a field depends, besides its rule.
pub(super) struct Environment<'a> {
    pub(super) row: &'a Map<String, Value>,
    pub(super) source: &'a str,
    pub(super) license_id: Id,
    pub(super) formats: &'a Formats,
}

impl FieldRule {
    /// Returns the columns that the rule uses.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let (first, more): (Option<&String>, &[String]) = match self {
            Self::Column(column) => (Some(column), &[]),
            Self::Rule(rule) => (rule.column.as_ref(), &rule.columns),
        };
        first.into_iter().chain(more).map(String::as_str)
    }

    /// Returns the columns that the rule uses in a row, with those of the roles in groups and of the name of an object.
    pub(super) fn used_columns<'a>(&'a self, row: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
        let more = match self {
            Self::Column(_) => [None, None],
            Self::Rule(rule) => {
                let names_object = self.find(row).1.is_some_and(|value| text_of(value).is_some());
                [rule.roles.as_deref(), rule.name.as_deref().filter(|_| names_object)]
            }
        };
        self.columns().chain(more.into_iter().flatten())
    }

    /// Returns whether values are ids of the source.
    pub(super) fn has_source(&self) -> bool {
        matches!(self, Self::Rule(rule) if rule.with_source)
    }

    /// Returns the first column that has a value, and the value.
    pub(super) fn find<'a>(&'a self, row: &'a Map<String, Value>) -> (Option<&'a str>, Option<&'a Value>) {
        let is_blank = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let find = |column: &'a str| Some((Some(column), Some(lookup(row, column).filter(|value| !is_blank(value))?)));
        self.columns().find_map(find).unwrap_or((self.columns().next(), None))
    }

    /// Returns the value of the field; null if it is not known.
    pub(super) fn value(
        &self,
        field: &str,
        value: Option<&Value>,
        environment: &Environment<'_>,
    ) -> Result<Value, String> {
        match self {
            Self::Column(_) => Ok(value.cloned().unwrap_or_default()),
            Self::Rule(rule) if rule.with_source && field == FIELD => {
                let id = Rule { with_source: false, ..Rule::clone(rule) }.value(value, environment)?;
                let reference = |id: String| json!([{ "source": environment.source, "id": id }]);
                Ok(text_of(&id).map(reference).unwrap_or_default())
            }
            Self::Rule(rule) => rule.value(value, environment),
        }
    }

    /// Returns the objects that a value refers to and that are created, each with its key.
    pub(super) fn created(&self, value: Option<&Value>, environment: &Environment<'_>) -> Vec<CreatedObject> {
        match self {
            Self::Column(_) => Vec::new(),
            Self::Rule(rule) => rule.created(value, environment),
        }
    }
}

impl Rule {
    fn value(&self, value: Option<&Value>, environment: &Environment<'_>) -> Result<Value, String> {
        if let Some(constant) = &self.constant {
            return Ok(constant.clone());
        }
        let converted = match (value, self.convert) {
            (value, Some(Conversion::IsBlank)) => value.is_none().into(),
            // A role in a group that is missing is an error.
            (None, _) => self.references(&Value::Null, environment)?,
            (Some(value), _) => self.convert(value, environment)?,
        };
        if converted.is_null() { Ok(self.default.clone().unwrap_or_default()) } else { Ok(converted) }
    }

    fn convert(&self, value: &Value, environment: &Environment<'_>) -> Result<Value, String> {
        let is_list = self.has_roles() || self.key.is_some() || self.create.is_some();
        let value = self.prepared(value);
        match self.convert {
            Some(Conversion::KeycloakCredentials) => return keycloak::password_hash(&value),
            Some(Conversion::Picture) => return Ok(picture(&value)),
            Some(Conversion::References) => return references(&value),
            Some(Conversion::Not) => {
                let truth = environment.formats.convert(value, FieldType::Boolean)?;
                return Ok(truth.as_bool().map_or(Value::Null, |truth| (!truth).into()));
            }
            _ => {}
        }
        if is_list || (self.derive.is_some() && value.is_array()) {
            return self.references(&value, environment);
        }
        let value = if self.codes.is_empty() { value } else { self.decode(&value)? };
        let Some(text) = text_of(&value) else { return Ok(value) };
        Ok(if self.derive.is_some() {
            self.reference(&text, environment).into()
        } else if self.with_source {
            format!("{}:{text}", environment.source).into()
        } else {
            value
        })
    }

    /// Returns the part of a value that counts, or of each item of a list.
    fn prepared(&self, value: &Value) -> Value {
        let part = self.split.as_deref().map(|separator| each(value, |text| self.part_of(text, separator)));
        let value = part.as_ref().unwrap_or(value);
        match self.convert {
            Some(Conversion::First) => value.get(0).unwrap_or(value).clone(),
            Some(Conversion::Rdn) => each(value, rdn),
            Some(Conversion::Path) => each(value, |path| path.trim_start_matches('/').to_owned()),
            None if self.roles.is_some() && self.key.is_none() => list_of(value),
            _ => value.clone(),
        }
    }

    /// Returns the part of a text that counts; blank if it has fewer.
    fn part_of(&self, text: &str, separator: &str) -> String {
        let part = text.split(separator).nth(self.part.saturating_sub(1));
        part.unwrap_or_default().trim().to_owned()
    }

    /// Returns the value of a code.
    fn decode(&self, value: &Value) -> Result<Value, String> {
        let text = text_of(value).unwrap_or_default();
        let found = self.codes.iter().find(|(code, _)| code.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let codes: Vec<&str> = self.codes.keys().map(String::as_str).collect();
            format!("unknown code; the mapping has {}", codes.join(", "))
        })
    }

    /// Returns references to groups or an institution, by their derived id if they have one.
    fn references(&self, value: &Value, environment: &Environment<'_>) -> Result<Value, String> {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let roles = self.roles.as_deref().and_then(|column| lookup(environment.row, column));
        let memberships = memberships(roles, &items.iter().filter_map(|item| self.key_of(item)).collect())?;
        let reference = |item: &Value| {
            let key = self.key_of(item)?;
            let reference = self.reference(&key, environment);
            Some(match (memberships.get(&key), &self.role) {
                (Some(membership), _) => {
                    let mut membership = membership.clone();
                    membership.insert("group".to_owned(), reference.into());
                    Value::Object(membership)
                }
                (None, Some(role)) => json!({ "group": reference, "role": role }),
                (None, None) => reference.into(),
            })
        };
        Ok(match value {
            Value::Null => Value::Null,
            Value::Array(items) => items.iter().filter_map(reference).collect(),
            value if self.has_roles() => reference(value).into_iter().collect(),
            value => reference(value).unwrap_or_default(),
        })
    }

    fn has_roles(&self) -> bool {
        self.role.is_some() || self.roles.is_some()
    }

    /// Returns the reference to the object with a key.
    fn reference(&self, key: &str, environment: &Environment<'_>) -> String {
        let kind = match self.derive {
            Some(Derived::User) => "user",
            Some(Derived::Group) => "group",
            Some(Derived::Institution) => "institution",
            None => return key.to_owned(),
        };
        let name = format!("{}/{kind}/{key}", environment.source);
        Uuid::new_v5(&environment.license_id.0, name.as_bytes()).to_string()
    }

    fn key_of(&self, item: &Value) -> Option<String> {
        match (&self.key, item) {
            (Some(key), Value::Object(item)) => text_of(item.get(key)?),
            (_, item) => text_of(item),
        }
    }
}
