//! The rows that records come from, and their errors.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields;
use super::mapping::Mapping;
use super::mapping_value::{lookup, text_of};
use super::place::Place;
use crate::entity::external_reference::FIELD;
use crate::error::MutationError;
use crate::scalar::Id;
use crate::text;

/// The maximum lengths of an error in a report, and of the name and the value that it shows, in characters.
const MAX_ERROR_LENGTH: usize = 600;
const MAX_NAME_LENGTH: usize = 100;
const MAX_VALUE_LENGTH: usize = 40;
/// The maximum length of an id in a report, in characters, as long as one may be.
const MAX_ID_LENGTH: usize = 250;

/// The column that each field was read from.
pub(super) type Columns = BTreeMap<String, String>;

/// The values of a row by column, and the columns of the fields.
type MappedRow = (Arc<Map<String, Value>>, Arc<Columns>);

/// The row that a record was read from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub(super) place: Place,
    /// The row as it is in the file.
    pub(super) raw: Arc<[u8]>,
    /// The values of the row by column, and the columns of the fields. Without them, the row is an object of the own format.
    pub(super) mapped: Option<MappedRow>,
    /// The name or key by which a row of another object refers to this one, which is created only if nothing has it.
    pub(super) key: Option<String>,
    /// The mapping of the row, and the license for which it derives IDs. Errors show the keys instead of the IDs.
    pub(super) mapping: Option<(Arc<Mapping>, Id)>,
}

impl Origin {
    /// Returns the origin of a record that was generated instead of read.
    pub(super) fn of_number(number: u64) -> Self {
        Self { place: Place::of_line(number), ..Self::default() }
    }

    /// Returns the origin of an object to which the row refers by a name or key. Its errors show its own values.
    pub(super) fn referring_by(&self, key: String, object: &Map<String, Value>) -> Self {
        let mapped = Some((Arc::new(object.clone()), Arc::default()));
        Self { key: Some(key), mapped, ..self.clone() }
    }

    /// Returns the values of the row by column; none if they are not kept.
    pub(super) fn values(&self) -> Map<String, Value> {
        self.mapped.as_ref().map(|(values, _)| Map::clone(values)).unwrap_or_default()
    }

    /// Returns the name of a field in the file and, unless it is secret, its value.
    fn find(&self, field: &str) -> (String, Option<Value>) {
        let (column, value) = match &self.mapped {
            Some((values, columns)) => {
                let column = columns.get(field).or_else(|| columns.get(outer(field)));
                let column = column.map_or(field, String::as_str);
                (column.to_owned(), lookup(values, column).cloned())
            }
            None => (field.to_owned(), self.own_value(field)),
        };
        let is_secret = fields::is_secret(field) || fields::is_secret(&column);
        (column, value.filter(|_| !is_secret))
    }

    /// Returns whether the institution of the row can be created by its ID.
    pub(super) fn can_create_institution(&self) -> bool {
        self.mapping.as_ref().is_some_and(|(mapping, _)| mapping.can_create_institutions())
    }

    /// Returns the keys of the objects that the row refers to by derived IDs, by ID.
    fn keys(&self) -> BTreeMap<String, String> {
        let mapped = self.mapping.as_ref().zip(self.mapped.as_ref());
        mapped.map(|((mapping, license_id), (values, _))| mapping.keys(values, *license_id)).unwrap_or_default()
    }

    fn own_value(&self, field: &str) -> Option<Value> {
        let Ok(Value::Object(row)) = serde_json::from_slice(&self.raw) else { return None };
        let object = row.into_iter().next()?.1;
        field.split('.').try_fold(object, |object, name| object.get(name).cloned())
    }

    /// Returns the id that the object has in the system of the file, if it can be told.
    pub(super) fn old_id(&self) -> String {
        let id_in = |field: &str| self.find(field).1.as_ref().and_then(text_of).filter(|id| !id.trim().is_empty());
        let found = self.key.clone().or_else(|| [FIELD, "id", "externalId"].into_iter().find_map(id_in));
        found.map(|id| printable(&id, MAX_ID_LENGTH)).unwrap_or_default()
    }
}

/// An error of a field; of the row as a whole if the field is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// Returns the error of a row as a whole.
    pub(super) fn of_row(message: impl Into<String>) -> Self {
        Self::new("", message)
    }
}

impl From<MutationError> for Fault {
    fn from(error: MutationError) -> Self {
        let path: Vec<&str> = error.path.iter().skip(1).map(String::as_str).collect();
        Self::new(path.join("."), error.message)
    }
}

/// An invalid row, with all its errors.
#[derive(Clone, Debug)]
pub struct InvalidRow {
    pub(super) place: Place,
    /// The place in words.
    pub name: String,
    pub errors: Vec<RowError>,
}

/// An error of a row, with the names and values of the file. Control characters and invisible characters are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The column, which is a path in JSON. Empty if the error concerns the whole row.
    pub column: String,
    /// The field, if it has another name than the column.
    pub field: Option<String>,
    /// The shortened value, unless it is secret.
    pub value: Option<String>,
    pub message: String,
}

impl InvalidRow {
    /// Creates an entry of the report. `files` are the names of the files that are imported.
    pub(super) fn new(origin: &Origin, files: &[String], faults: impl IntoIterator<Item = Fault>) -> Self {
        let keys = origin.keys();
        let error = |Fault { field, message }: Fault| {
            let (column, value) = if field.is_empty() { (String::new(), None) } else { origin.find(&field) };
            let value = value.filter(|value| !value.is_null()).map(|value| shown(&value));
            let [column, field] = [column, field].map(|name| printable(&name, MAX_NAME_LENGTH));
            let message = keys.iter().fold(message, |message, (id, key)| message.replace(id, key));
            let message = printable(&message, MAX_ERROR_LENGTH);
            let field = Some(field).filter(|field| *field != column);
            RowError { column, field, value, message }
        };
        let (place, errors) = (origin.place, faults.into_iter().map(error).collect());
        Self { place, name: place.name(files), errors }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, field, value, message } = self;
        if !column.is_empty() {
            write!(formatter, "{column}")?;
            field.iter().try_for_each(|field| write!(formatter, " ({field})"))?;
            write!(formatter, ": ")?;
        }
        write!(formatter, "{message}")?;
        value.iter().try_for_each(|value| write!(formatter, " (got {value})"))
    }
}

/// Returns a value as JSON, shortened.
fn shown(value: &Value) -> String {
    let (quote, text) = value.as_str().map_or_else(|| ("", value.to_string()), |text| ("\"", text.to_owned()));
    let end = if text.chars().count() > MAX_VALUE_LENGTH { "..." } else { "" };
    format!("{quote}{}{end}{quote}", printable(&text, MAX_VALUE_LENGTH))
}

fn printable(text: &str, length: usize) -> String {
    let is_printable = |c: char| !text::is_control(c) && !text::is_invisible(c);
    let printable = |c: char| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER };
    text.chars().take(length).map(printable).collect()
}

/// Returns the name of the field that contains a field.
fn outer(field: &str) -> &str {
    field.split('.').next().unwrap_or(field)
}
