//! The licenses that rows of other systems name.

use serde_json::{Map, Value};

use super::{Mapping, Section};
use crate::import::fields;
use crate::import::mapping_rule::Environment;
use crate::import::record::RecordKind;
use crate::import::values::Formats;
use crate::scalar::Id;

impl Mapping {
    /// Returns the section for licenses, which have no rows of their own.
    pub(super) fn license_section(&self) -> Option<(RecordKind, &Section)> {
        Some((RecordKind::License, self.license.as_ref()?))
    }

    /// Returns the fields of the license that a row names; `None` if it names none. A value that cannot be read is left out,
    /// except that of the ID.
    pub(in crate::import) fn license_of(
        &self,
        row: &Map<String, Value>,
        license_id: Id,
        formats: &Formats,
    ) -> Option<Map<String, Value>> {
        let (_, section) = self.license_section()?;
        let environment = Environment { row, source: &self.source, license_id, formats };
        let mut object = Map::new();
        for (field, rule) in &section.fields {
            let (_, value) = rule.find(row);
            let Some(field_type) = fields::type_of(RecordKind::License, field) else { continue };
            let Ok(value) = rule.value(field, value, &environment) else { continue };
            let readable = formats.convert(value.clone(), field_type);
            // Whatever the ID is, it tells the rows of another license.
            let converted = readable.unwrap_or_else(|_| if field == "id" { value } else { Value::Null });
            if !converted.is_null() {
                object.insert(field.clone(), converted);
            }
        }
        object.contains_key("id").then_some(object)
    }
}
