//! Parses rows into records, with all errors of their format.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::additions::Additions;
use super::fields::{self, FieldType};
use super::input::Row;
use super::mapping::{MappedRow, Mapping};
use super::members::Members;
use super::origin::{Columns, Fault, Origin};
use super::reader::Parsed;
use super::record::{LicenseRecord, Record, RecordKind};
use super::values::Formats;
use crate::entity::external_reference::FIELD;
use crate::scalar::Id;

/// The member of a row with an event of the audit trail, which an export may have and an import leaves out.
const AUDIT_EVENT: &str = "auditEvent";

/// The meaning of a row that is no record of the own format.
#[derive(Clone)]
pub(super) enum Shape {
    /// Nothing: it is an error.
    Own,
    /// A user, whose columns are named after the fields.
    ByName,
    /// A row that a mapping describes.
    Mapped(Arc<Mapping>),
}

/// A parser of rows.
pub(super) struct RowParser {
    /// The meaning of the rows of each file, and the forms of its dates and times.
    files: Arc<[(Shape, Formats)]>,
    license_id: Id,
    /// The name of the system that external IDs are from. By default, they are those of the default source.
    source: Option<String>,
    /// The id of the license that the rows of another system name.
    named_license: Option<Value>,
    /// The objects that are created if rows of users name them.
    pub(super) additions: Additions,
    /// The objects that rows of users have created, by id or else by name.
    pub(super) created: HashSet<(RecordKind, String)>,
    /// How often columns and kinds of rows were not imported.
    ignored: BTreeMap<String, u64>,
    /// Whether an error named the fields of users.
    has_named_fields: bool,
}

/// The records of a row.
pub(super) struct ParsedRow {
    pub(super) origin: Origin,
    /// The objects that the row contains, or refers to, and which come before it.
    pub(super) others: Vec<Parsed<Record>>,
    /// The record. Without one, the row is invalid or skipped.
    pub(super) record: Option<Record>,
    /// The errors of the record, or of the row.
    pub(super) faults: Vec<Fault>,
}

impl ParsedRow {
    /// Returns a record that was generated instead of read.
    pub(super) fn generated(number: u64, record: Record) -> Self {
        Self::valid(Origin::of_number(number), record, Vec::new())
    }

    fn valid(origin: Origin, record: Record, faults: Vec<Fault>) -> Self {
        Self { origin, others: Vec::new(), record: Some(record), faults }
    }

    fn invalid(origin: Origin, faults: Vec<Fault>) -> Self {
        Self { origin, others: Vec::new(), record: None, faults }
    }
}

impl RowParser {
    pub(super) fn new(files: Vec<(Shape, Formats)>, license_id: Id) -> Self {
        Self {
            files: files.into(),
            license_id,
            source: None,
            named_license: None,
            additions: Additions::default(),
            created: HashSet::new(),
            ignored: BTreeMap::new(),
            has_named_fields: false,
        }
    }

    /// Returns a parser that takes external IDs for those of a system with this name.
    pub(super) fn of_source(self, source: Option<String>) -> Self {
        Self { source, ..self }
    }

    /// Returns a parser that also returns objects which users name.
    pub(super) fn with(self, additions: Additions) -> Self {
        Self { additions, ..self }
    }

    /// Returns how often columns and kinds of rows were not imported since the last call.
    pub(super) fn take_ignored(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.ignored)
    }

    pub(super) fn parse(&mut self, row: Row) -> ParsedRow {
        let files = Arc::clone(&self.files);
        let Some((shape, formats)) = files.get(usize::from(row.place.file)) else {
            return ParsedRow::invalid(Origin::default(), Vec::new());
        };
        let mut parsed = self.parse_row(row, shape, formats);
        let mapping = if let Shape::Mapped(mapping) = shape { Some(&**mapping) } else { None };
        let added = self.added(&parsed, mapping, formats);
        parsed.others.extend(added);
        parsed
    }

    fn parse_row(&mut self, row: Row, shape: &Shape, formats: &Formats) -> ParsedRow {
        let Row { place, raw, list, values } = row;
        let origin = Origin { place, raw, ..Origin::default() };
        let values = match values {
            Ok(values) => values,
            Err(message) => return ParsedRow::invalid(origin, vec![Fault::of_row(message)]),
        };
        let values = match own_record(values) {
            Ok((kind, mut object)) => {
                self.name_source(&mut object, None);
                let (record, faults) = parse_object(kind, object, formats);
                return ParsedRow::valid(origin, record, faults);
            }
            Err(values) => values,
        };
        if values.len() == 1 && values.contains_key(AUDIT_EVENT) {
            *self.ignored.entry("the audit trail".to_owned()).or_default() += 1;
            return ParsedRow::invalid(origin, Vec::new());
        }
        match shape {
            Shape::Own => ParsedRow::invalid(origin, vec![Fault::of_row(expected())]),
            Shape::ByName => self.parse_by_name(origin, values, formats),
            Shape::Mapped(mapping) => self.parse_mapped(origin, mapping, formats, list.as_deref(), values),
        }
    }

    fn parse_by_name(&mut self, mut origin: Origin, values: Map<String, Value>, formats: &Formats) -> ParsedRow {
        let (mut object, mut columns, mut unknown) = (Map::new(), Columns::new(), Vec::new());
        // A blank value is not known.
        for (column, value) in values.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(field) = fields::named_like(column) {
                put(&mut object, &field, value.clone());
                columns.insert(field, column.clone());
            } else {
                // Once, because each row has the same columns.
                let is_first = !std::mem::replace(&mut self.has_named_fields, true);
                unknown.push(Fault::new(column, fields::unknown_column(is_first)));
            }
        }
        self.name_source(&mut object, Some(&mut columns));
        let (record, faults) = parse_object(RecordKind::User, object, formats);
        origin.mapped = Some((Arc::new(values), Arc::new(columns)));
        ParsedRow::valid(origin, record, [unknown, faults].concat())
    }

    fn parse_mapped(
        &mut self,
        mut origin: Origin,
        mapping: &Arc<Mapping>,
        formats: &Formats,
        list: Option<&str>,
        values: Map<String, Value>,
    ) -> ParsedRow {
        let Some(mapped) = mapping.apply(&values, list, self.license_id, formats) else {
            let kind = mapping.name_of_row(&values, list);
            *self.ignored.entry(kind).or_default() += 1;
            return ParsedRow::invalid(origin, Vec::new());
        };
        let MappedRow { kind, mut object, mut columns, created, faults, ignored } = mapped;
        origin.mapping = Some((Arc::clone(mapping), self.license_id));
        self.name_source(&mut object, Some(&mut columns));
        for column in ignored {
            *self.ignored.entry(column).or_default() += 1;
        }
        let named = mapping.license_of(&values, self.license_id, formats);
        let other_license = self.check_license(named);
        let mut others = Vec::new();
        for values in mapping.rows_within(kind, &values) {
            let ParsedRow { origin, others: more, record, faults } =
                self.parse_mapped(origin.clone(), mapping, formats, list, values);
            others.extend(more);
            others.extend(record.map(|record| Parsed { origin, record, faults }));
        }
        origin.mapped = Some((Arc::new(values), Arc::new(columns)));
        for (kind, key, object) in created {
            let id = object.get("id").or(object.get("name")).and_then(Value::as_str).unwrap_or_default().to_owned();
            if self.created.insert((kind, id)) {
                let origin = origin.referring_by(key, &object);
                let record = parse_object(kind, object, formats).0;
                others.push(Parsed { origin, record, faults: Vec::new() });
            }
        }
        let (record, own_faults) = parse_object(kind, object, formats);
        let faults = [faults, own_faults, Vec::from_iter(other_license)].concat();
        ParsedRow { others, ..ParsedRow::valid(origin, record, faults) }
    }

    /// Returns an error for a row that names another license than the rows before it: all are imported into one.
    fn check_license(&mut self, named: Option<Map<String, Value>>) -> Option<Fault> {
        let id = named.and_then(|mut license| license.remove("id"))?;
        let first = self.named_license.get_or_insert_with(|| id.clone());
        let message =
            "the rows before are of another license; import the rows of each license from a file of their own";
        (*first != id).then(|| Fault::new("license", message))
    }

    /// Makes the external ID of an object a reference to the source, if that has a name.
    fn name_source(&self, object: &mut Map<String, Value>, columns: Option<&mut Columns>) {
        const EXTERNAL_ID: &str = "externalId";
        let Some(source) = &self.source else { return };
        let Some(id) = object.remove(EXTERNAL_ID) else { return };
        let reference = serde_json::json!({ "source": source, "id": id });
        match object.get_mut(FIELD) {
            Some(Value::Array(references)) => references.push(reference),
            _ => drop(object.insert(FIELD.to_owned(), Value::Array(vec![reference]))),
        }
        if let Some(columns) = columns
            && let Some(column) = columns.remove(EXTERNAL_ID)
        {
            columns.insert(FIELD.to_owned(), column);
        }
    }
}

/// Returns the record of a row of the own format: an object with one member, which names its kind.
fn own_record(mut row: Map<String, Value>) -> Result<(RecordKind, Map<String, Value>), Map<String, Value>> {
    if row.len() == 1
        && let Some((name, value)) = row.iter_mut().next()
        && let Some(kind) = RecordKind::parse(name)
        && let Value::Object(object) = value
    {
        return Ok((kind, std::mem::take(object)));
    }
    Err(row)
}

fn expected() -> String {
    let names = RecordKind::ALL.map(RecordKind::name).join(", ");
    format!("expected an object with one member, which is one of {names}; --from or --mapping reads other objects")
}

/// Returns the license that an object describes, if it is valid.
pub(super) fn parse_license(object: Map<String, Value>, formats: &Formats) -> Option<LicenseRecord> {
    match parse_object(RecordKind::License, object, formats) {
        (Record::License(license), faults) if faults.is_empty() => Some(license),
        _ => None,
    }
}

/// Returns the record of an object. It lacks the fields that have errors.
pub(super) fn parse_object(
    kind: RecordKind,
    mut object: Map<String, Value>,
    formats: &Formats,
) -> (Record, Vec<Fault>) {
    let mut faults = Vec::new();
    for (name, value) in &mut object {
        let converted = match fields::type_of(kind, name) {
            None => Err(format!("unknown field; the fields are {}", fields::names(kind))),
            Some(FieldType::Json) => continue,
            Some(field_type) => formats.convert(value.take(), field_type),
        };
        match converted {
            Ok(converted) => *value = converted,
            Err(message) => faults.push(Fault::new(name, message)),
        }
    }
    object.retain(|name, _| !faults.iter().any(|fault| fault.field == *name));
    let mut members = Members::new(object, faults, formats);
    let record = members.record(kind);
    (record, members.finish())
}

/// Sets a field, which may be within an object: `adminRights.isAdmin`.
pub(super) fn put(object: &mut Map<String, Value>, field: &str, value: Value) {
    match field.split_once('.') {
        None => {
            object.insert(field.to_owned(), value);
        }
        Some((outer, inner)) => {
            let outer = object.entry(outer.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(outer) = outer {
                outer.insert(inner.to_owned(), value);
            }
        }
    }
}
