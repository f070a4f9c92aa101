//! The keys by which rows refer to objects with derived IDs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Mapping;
use crate::import::mapping_rule::Environment;
use crate::import::values::Formats;
use crate::scalar::Id;

impl Mapping {
    /// Returns the keys of the objects that a row refers to by derived IDs, by ID.
    pub(in crate::import) fn keys(&self, row: &Map<String, Value>, license_id: Id) -> BTreeMap<String, String> {
        let formats = Formats::default();
        let environment = Environment { row, source: &self.source, license_id, formats: &formats };
        let fields = self.sections().flat_map(|(_, section)| &section.fields);
        let rules = fields.filter(|(field, _)| ["groups", "institution", "sites"].contains(&field.as_str()));
        rules.flat_map(|(_, rule)| rule.keys(rule.find(row).1, &environment)).collect()
    }
}
