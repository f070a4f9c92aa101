//! What a mapping says of objects that an import creates because users name them.

use serde_json::{Map, Value};

use super::Mapping;
use crate::import::additions::NewInstitutions;
use crate::import::mapping_rule::FieldRule;

/// The field whose objects are created.
const FIELD: &str = "institution";

impl Mapping {
    /// Creates institutions that rows of users name, with these fields besides the name.
    pub fn create_institutions(&mut self, new: &NewInstitutions) {
        let Some(section) = &mut self.user else { return };
        if let Some(rule) = section.new_institution.take() {
            section.fields.insert(FIELD.to_owned(), rule);
        }
        if let Some(rule) = section.fields.get_mut(FIELD) {
            rule.create(new.fields());
        }
    }

    /// Returns whether an institution that a row of a user names can be created, also by its ID.
    pub(in crate::import) fn can_create_institutions(&self) -> bool {
        let Some(section) = &self.user else { return false };
        section.new_institution.is_some() || matches!(section.fields.get(FIELD), Some(FieldRule::Rule(_)))
    }

    /// Returns what the mapping says of the definition of a custom attribute.
    pub(in crate::import) fn definition_of(&self, attribute: &str) -> Map<String, Value> {
        let rule = self.user.as_ref().and_then(|section| section.attributes.get(attribute));
        rule.map(FieldRule::definition).unwrap_or_default()
    }
}
