//! The objects that rows refer to and that are created.

use serde_json::{Map, Value};

use super::{Environment, FieldRule, Rule};
use crate::import::mapping_value::{lookup, text_of};
use crate::scalar::Id;

/// The key of an object that a row refers to, and the object.
pub(in crate::import) type CreatedObject = (String, Map<String, Value>);

impl FieldRule {
    /// Creates the objects that values refer to, with these fields in addition to the name.
    pub(in crate::import) fn create(&mut self, fields: Map<String, Value>) {
        if let Self::Rule(rule) = self {
            rule.create.get_or_insert(fields);
        }
    }

    /// Returns the keys of the objects that a value refers to by derived IDs, each with the ID.
    pub(in crate::import) fn keys(
        &self,
        value: Option<&Value>,
        environment: &Environment<'_>,
    ) -> Vec<(String, String)> {
        let (Self::Rule(rule), Some(value)) = (self, value) else { return Vec::new() };
        if rule.derive.is_none() {
            return Vec::new();
        }
        let value = rule.prepared(value);
        let items = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        let key = |item: &Value| {
            let key = rule.key_of(item)?;
            Some((rule.reference(&key, environment), key))
        };
        items.iter().filter_map(key).collect()
    }

    /// Returns what the rule says of the definition of its custom attribute.
    pub(in crate::import) fn definition(&self) -> Map<String, Value> {
        let Self::Rule(rule) = self else { return Map::new() };
        let given = [("label", &rule.label), ("kind", &rule.kind)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.as_deref()?.into())));
        given.collect()
    }
}

impl Rule {
    /// Returns the objects that a value refers to and that are created, each with its key.
    pub(super) fn created(&self, value: Option<&Value>, environment: &Environment<'_>) -> Vec<CreatedObject> {
        let (Some(more), Some(value)) = (&self.create, value) else { return Vec::new() };
        let value = &self.prepared(value);
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let object = |item: &Value| {
            let key = self.key_of(item)?;
            let name = match (&self.name, item) {
                (Some(name), Value::Object(item)) => item.get(name).and_then(text_of),
                (Some(column), _) => lookup(environment.row, column).and_then(text_of),
                (None, _) => None,
            };
            let mut object = more.clone();
            object.insert("name".to_owned(), name.unwrap_or_else(|| key.clone()).into());
            let reference = self.reference(&key, environment);
            if Id::parse(&reference).is_some() {
                object.insert("id".to_owned(), reference.into());
            }
            Some((key, object))
        };
        items.iter().filter_map(object).collect()
    }
}
