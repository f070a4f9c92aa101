//! The parameters of a GraphQL request: the document, the name of the operation and the variables.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{document_source::GivenDocument, error::HttpError};

/// Maximum number of objects in the JSON of a request, at any depth: room for the rows of an import, with their attributes.
const MAX_OBJECTS: usize = 4_000;
/// The prefix by which async-graphql marks an uploaded file in variables; a caller who sends it refers to a file that does not
/// exist.
pub const UPLOAD_MARK: &str = "#__graphql_file__:";

/// The parameters of a request; other members of the JSON object are ignored.
pub struct Parameters {
    pub document: GivenDocument,
    pub operation_name: Option<String>,
    pub variables: Map<String, Value>,
}

pub fn from_json(text: &[u8], what: &str) -> Result<Parameters, HttpError> {
    let text = std::str::from_utf8(text).map_err(|_| HttpError::bad_request(format!("{what}: not valid UTF-8")))?;
    match parse_json(text, what)? {
        Value::Object(members) => from_object(members),
        Value::Array(_) => Err(HttpError::bad_request("Batches are not supported; send one request at a time")),
        _ => Err(HttpError::bad_request(format!("{what}: must be a JSON object"))),
    }
}

pub fn from_query(query: &str) -> Result<Parameters, HttpError> {
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // Bytes that are not UTF-8 are decoded as U+FFFD.
        if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
            return Err(HttpError::bad_request("The query string is not valid UTF-8"));
        }
        let value = match name.as_ref() {
            "variables" | "extensions" if value.is_empty() => Value::Null,
            "variables" => parse_json(&value, "variables")?,
            "extensions" => parse_json(&value, "extensions")?,
            _ => Value::String(value.into_owned()),
        };
        if members.insert(name.into_owned(), value).is_some() {
            return Err(HttpError::bad_request("A parameter of the query string is given twice"));
        }
    }
    from_object(members)
}

pub fn from_object(mut members: Map<String, Value>) -> Result<Parameters, HttpError> {
    let extensions = object(members.remove("extensions"), "extensions")?;
    let query = string(members.remove("query"), "query")?;
    let operation_name = string(members.remove("operationName"), "operationName")?;
    let variables = object(members.remove("variables"), "variables")?;
    let document = GivenDocument::take(&mut members, query, &extensions)?;
    Ok(Parameters { document, operation_name, variables })
}

/// Parses JSON. The parser stops at a depth of 128 and rejects lone surrogates. Its own messages may repeat the source, so they
/// are not used.
pub fn parse_json(text: &str, what: &str) -> Result<Value, HttpError> {
    let value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        HttpError::bad_request(format!("{what}: not valid JSON at line {line}, column {column}"))
    })?;
    if count_objects(&value) > MAX_OBJECTS {
        return Err(HttpError::bad_request(format!("{what}: must contain at most {MAX_OBJECTS} objects")));
    }
    if is_clean(&value) {
        Ok(value)
    } else {
        Err(HttpError::bad_request(format!("{what}: strings must not contain U+0000 or start with the upload marker")))
    }
}

/// Counts the objects in a value. An object of two bytes may stand for an input of many fields, and some memory is kept for each
/// of them.
fn count_objects(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count_objects).sum(),
        Value::Object(members) => 1 + members.values().map(count_objects).sum::<usize>(),
        _ => 0,
    }
}

fn is_clean(value: &Value) -> bool {
    match value {
        Value::String(text) => is_clean_text(text),
        Value::Array(items) => items.iter().all(is_clean),
        Value::Object(members) => members.iter().all(|(name, member)| is_clean_text(name) && is_clean(member)),
        _ => true,
    }
}

/// Returns whether a text has neither U+0000 nor the upload marker. No database stores U+0000: one refuses it, the other
/// truncates the text there.
fn is_clean_text(text: &str) -> bool {
    !text.contains('\0') && !text.starts_with(UPLOAD_MARK)
}

fn string(value: Option<Value>, name: &str) -> Result<Option<String>, HttpError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(HttpError::bad_request(format!("{name} must be a string"))),
    }
}

fn object(value: Option<Value>, name: &str) -> Result<Map<String, Value>, HttpError> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(HttpError::bad_request(format!("{name} must be a JSON object"))),
    }
}
