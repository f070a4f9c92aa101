//! Manifests of documents, as code generators write them: a JSON object from IDs to documents (the client preset of
//! graphql-codegen, Relay), or the persisted query manifest of Apollo.

use async_graphql::parser::parse_query;
use async_graphql::parser::types::DocumentOperations;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The value of `format` in a manifest of Apollo.
const APOLLO: &str = "apollo-persisted-query-manifest";
/// The version of a manifest of Apollo.
const APOLLO_VERSION: u64 = 1;

/// A document to be published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NewDocument {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    pub body: String,
}

/// Parses a manifest.
///
/// # Errors
/// A message that says what is expected.
pub fn parse(text: &str) -> Result<Vec<NewDocument>, String> {
    let members: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| format!("not a JSON object at line {}, column {}", error.line(), error.column()))?;
    let documents: Vec<NewDocument> = if members.get("format").and_then(Value::as_str) == Some(APOLLO) {
        of_apollo(members)?
    } else {
        members.into_iter().map(of_member).collect::<Result<_, _>>()?
    };
    if documents.is_empty() { Err("the manifest has no documents".to_owned()) } else { Ok(documents) }
}

fn of_apollo(mut members: Map<String, Value>) -> Result<Vec<NewDocument>, String> {
    if members.get("version").and_then(Value::as_u64) != Some(APOLLO_VERSION) {
        return Err(format!("version: must be {APOLLO_VERSION}"));
    }
    let operations = members.remove("operations").unwrap_or_default();
    serde_json::from_value(operations)
        .map_err(|_| "operations: must be a list of objects with the strings id, name, type and body".to_owned())
}

fn of_member((id, document): (String, Value)) -> Result<NewDocument, String> {
    match document {
        Value::String(body) => Ok(NewDocument { name: name_of(&body), id, body }),
        _ => Err(format!(
            "{id}: must be a document as a string; expected an object from IDs to documents, or a manifest with \
             \"format\": \"{APOLLO}\""
        )),
    }
}

/// Returns the name of the only operation of a document.
fn name_of(body: &str) -> Option<String> {
    match parse_query(body).ok()?.operations {
        DocumentOperations::Multiple(operations) if operations.len() == 1 => {
            operations.into_keys().next().map(|name| name.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: &str, name: Option<&str>, body: &str) -> NewDocument {
        NewDocument { id: id.to_owned(), name: name.map(str::to_owned), body: body.to_owned() }
    }

    #[test]
    fn both_formats_are_read() {
        let plain = r#"{ "1f": "query Me { viewer { id } }", "2f": "{ viewer { id } }" }"#;
        let expected =
            [document("1f", Some("Me"), "query Me { viewer { id } }"), document("2f", None, "{ viewer { id } }")];
        assert_eq!(parse(plain).unwrap(), expected);
        let apollo = r#"{ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            { "id": "1f", "name": "Me", "type": "query", "body": "query Me { viewer { id } }" }] }"#;
        assert_eq!(parse(apollo).unwrap(), expected[..1]);
    }

    #[test]
    fn anything_else_is_rejected_with_a_reason() {
        for (text, reason) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "no documents"),
            (r#"{ "a": 1 }"#, "a: must be a document"),
            (r#"{ "format": "apollo-persisted-query-manifest", "version": 2, "operations": [] }"#, "version"),
            (r#"{ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [{}] }"#, "operations"),
            (r#"{ "format": "apollo-persisted-query-manifest", "version": 1 }"#, "operations"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
