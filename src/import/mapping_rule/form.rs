//! The form of a rule in a mapping file: the name of a column, or a table.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{FieldRule, Rule};

impl<'de> Deserialize<'de> for FieldRule {
    /// Deserializes a rule. An untagged enum would not say which key of a table is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RuleVisitor)
    }
}

struct RuleVisitor;

impl<'de> Visitor<'de> for RuleVisitor {
    type Value = FieldRule;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a column, or a table such as { column = \"name\" }")
    }

    fn visit_str<E: Error>(self, column: &str) -> Result<FieldRule, E> {
        Ok(FieldRule::Column(column.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldRule, A::Error> {
        Rule::deserialize(MapAccessDeserializer::new(map)).map(|rule| FieldRule::Rule(Box::new(rule)))
    }
}
