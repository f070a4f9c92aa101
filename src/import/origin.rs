//! The rows that records come from, and their errors.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields;
use crate::entity::external_reference::FIELD;
use crate::error::MutationError;
use crate::text;

/// The maximum lengths of an error in a report, and of the name and the value that it shows, in characters.
const MAX_ERROR_LENGTH: usize = 500;
const MAX_NAME_LENGTH: usize = 100;
const MAX_VALUE_LENGTH: usize = 40;

/// The column that each field was read from.
pub(super) type Columns = BTreeMap<String, String>;

/// The values of a row by column, and the columns of the fields.
type MappedRow = (Arc<Map<String, Value>>, Arc<Columns>);

/// The row that a record was read from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The number of the line at which the row begins, counted from 1.
    pub(super) line: u64,
    /// The row as it is in the file.
    pub(super) raw: Arc<[u8]>,
    /// The values of the row by column, and the columns of the fields. Without them, the row is an object of the own format.
    pub(super) mapped: Option<MappedRow>,
}

impl Origin {
    /// Returns the origin of a record that was generated instead of read.
    pub(super) fn of_number(line: u64) -> Self {
        Self { line, ..Self::default() }
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
                (column.to_owned(), values.get(column).cloned())
            }
            None => (field.to_owned(), self.own_value(field)),
        };
        let is_secret = fields::is_secret(field) || fields::is_secret(&column);
        (column, value.filter(|_| !is_secret))
    }

    fn own_value(&self, field: &str) -> Option<Value> {
        let Ok(Value::Object(row)) = serde_json::from_slice(&self.raw) else { return None };
        let object = row.into_iter().next()?.1;
        field.split('.').try_fold(object, |object, name| object.get(name).cloned())
    }

    /// Returns the id that the row has in its file, if it can be told.
    pub(super) fn old_id(&self) -> String {
        let (_, reference) = self.find(FIELD);
        let (_, external_id) = self.find("externalId");
        let (_, id) = self.find("id");
        let reference = reference.filter(|value| !value.is_array());
        reference.or(external_id).or(id).map(|value| shown(&value)).unwrap_or_default()
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
    /// The number of the line at which the row begins, counted from 1.
    pub line: u64,
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
    /// Creates an entry of the report.
    pub(super) fn new(origin: &Origin, faults: impl IntoIterator<Item = Fault>) -> Self {
        let error = |Fault { field, message }: Fault| {
            let (column, value) = if field.is_empty() { (String::new(), None) } else { origin.find(&field) };
            let value = value.filter(|value| !value.is_null()).map(|value| shown(&value));
            let [column, field] = [column, field].map(|name| printable(&name, MAX_NAME_LENGTH));
            let message = printable(&message, MAX_ERROR_LENGTH);
            let field = Some(field).filter(|field| *field != column);
            RowError { column, field, value, message }
        };
        Self { line: origin.line, errors: faults.into_iter().map(error).collect() }
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
    let text = value.as_str().map_or_else(|| value.to_string(), |text| format!("\"{text}\""));
    if text.chars().count() <= MAX_VALUE_LENGTH {
        return printable(&text, MAX_VALUE_LENGTH);
    }
    format!("{}...", printable(&text, MAX_VALUE_LENGTH))
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
