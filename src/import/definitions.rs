//! Imports definitions of custom attributes. A definition that exists stays as it is.

use super::draft::storable;
use super::importer::Importer;
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
            match self.validate_attribute(record, origin.line, &known) {
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

    /// Returns the definition of a record, or the one that exists.
    fn validate_attribute(
        &mut self,
        record: AttributeRecord,
        line: u64,
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
        self.check_first_mention(RecordKind::Attribute, id, line, &mut validator);
        validator.finish()?;
        Ok(old.map_or((row, Outcome::Created), |old| (old.clone(), Outcome::Unchanged)))
    }
}
