//! Imports definitions of custom attributes. A definition that exists stays as it is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Channel;
use super::draft::storable;
use super::fields::ATTRIBUTE_PREFIX;
use super::importer::Importer;
use super::place::Place;
use super::reader::Parsed;
use super::record::{AttributeRecord, RecordKind};
use super::report::Outcome;
use crate::attribute;
use crate::attribute_values::{self, Definitions};
use crate::entity::attribute_definition::{DefineAttributeInput, MAX_DEFINITIONS, Model};
use crate::error::{Error, ErrorCode};
use crate::validation::Validator;

impl Importer<'_> {
    pub(super) async fn import_attributes(&mut self, records: Vec<Parsed<AttributeRecord>>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.wait_for_writes(0).await?;
        let mut known = attribute_values::definitions(self.db.read(), self.license_id).await?;
        known.extend(self.new_definitions.clone());
        let mut new = Vec::new();
        for Parsed { origin, record, faults } in records {
            if let Some(old) = known.get(&record.name).filter(|_| origin.key.is_some()) {
                self.count_unchanged(&origin, RecordKind::Attribute, old.id)?;
                continue;
            }
            match self.validate_attribute(record, origin.place, &known) {
                Ok((definition, outcome)) if faults.is_empty() => {
                    self.summary.count(outcome);
                    self.report.row(&origin, RecordKind::Attribute, Some(definition.id), outcome)?;
                    if outcome == Outcome::Created {
                        known.insert(definition.name.clone(), definition.clone());
                        self.new_definitions.insert(definition.name.clone(), definition.clone());
                        new.push(definition);
                    }
                }
                result => self.reject(&origin, RecordKind::Attribute, faults, result.err())?,
            }
        }
        if self.write { attribute::define_missing(self.db, self.license_id, new).await } else { Ok(()) }
    }

    /// Leaves out the values of a row of a file whose attributes are not defined, and adds an error of each that is not
    /// null to `validator`.
    pub(super) fn retain_defined(
        &self,
        given: &mut BTreeMap<String, Value>,
        definitions: &Definitions,
        validator: &mut Validator,
    ) {
        if self.options.channel == Channel::File {
            given.retain(|name, value| {
                let is_defined = definitions.contains_key(name);
                if !is_defined && !value.is_null() {
                    let message = "There is no attribute with this name. Define it first, or with --define-attributes.";
                    validator.add_error(&format!("{ATTRIBUTE_PREFIX}{name}"), ErrorCode::NotFound, message);
                }
                is_defined
            });
        }
    }

    /// Returns the definition of a record, or the one that exists.
    fn validate_attribute(
        &mut self,
        record: AttributeRecord,
        place: Place,
        known: &Definitions,
    ) -> Result<(Model, Outcome), Error> {
        let AttributeRecord { id, name, label, kind, required, user_editable, user_visible, history } = record;
        let mut validator = Validator::importing();
        let mut row = Model::empty(id.unwrap_or_default(), self.license_id);
        let input = DefineAttributeInput { name, label, kind, required, user_editable, user_visible };
        row.apply(input, &mut validator);
        row.created_at = storable("createdAt", history.created_at, &mut validator).unwrap_or(row.created_at);
        row.modified_at = storable("modifiedAt", history.modified_at, &mut validator).unwrap_or(row.modified_at);
        let old = known.get(&row.name);
        if old.is_some_and(|old| old.kind != row.kind) {
            validator.add_error("kind", ErrorCode::NotAllowed, "The attribute is defined with another kind.");
        }
        if old.is_none() && known.len() as u64 >= MAX_DEFINITIONS {
            let message = format!("A license can define at most {MAX_DEFINITIONS} attributes.");
            validator.add_error("name", ErrorCode::NotAllowed, message);
        }
        let id = old.map_or(row.id, |old| old.id);
        self.check_first_mention(RecordKind::Attribute, id, place, &mut validator);
        validator.finish()?;
        Ok(old.map_or((row, Outcome::Created), |old| (old.clone(), Outcome::Unchanged)))
    }
}
