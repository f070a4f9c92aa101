//! Rows within others, and rows for which a mapping has no section.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Mapping;
use crate::import::mapping_value::{lookup, text_of};
use crate::import::record::RecordKind;

impl Mapping {
    /// Returns the rows within a row of a kind.
    pub(in crate::import) fn rows_within(&self, kind: RecordKind, row: &Map<String, Value>) -> Vec<Map<String, Value>> {
        let section = self.sections().find(|(of, _)| *of == kind).map(|(_, section)| section);
        let column = section.and_then(|section| section.within.as_deref());
        let rows = column.and_then(|column| lookup(row, column)).and_then(Value::as_array);
        rows.into_iter().flatten().filter_map(|row| row.as_object().cloned()).collect()
    }

    /// Describes a row for which there is no section.
    pub(in crate::import) fn name_of_row(&self, row: &Map<String, Value>, list: Option<&str>) -> String {
        let columns: HashSet<&String> = self.sections().flat_map(|(_, section)| section.conditions.keys()).collect();
        let mut values: Vec<String> = columns
            .into_iter()
            .filter_map(|column| Some(format!("{column} {}", text_of(lookup(row, column)?)?)))
            .collect();
        values.sort();
        match (values.is_empty(), list) {
            (false, _) => format!("rows with {}", values.join(", ")),
            (true, Some(list)) => format!("rows of {list}"),
            (true, None) => "rows that the mapping does not describe".to_owned(),
        }
    }
}
