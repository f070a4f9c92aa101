//! The description of the schema in introspection. async-graphql returns that of the type `__Schema` instead.

use async_graphql::parser::types::{ExecutableDocument, Field, SelectionSet};
use async_graphql::{Name, Response, Value};

use crate::http::selection;

/// The types of introspection (4.2 of the GraphQL specification, September 2025), which are in every schema although its
/// definition does not name them.
pub const TYPES: &str = include_str!("introspection/types.graphql");

/// The directives as in introspection. async-graphql exports them without the descriptions of their arguments, and not all of
/// them.
pub const DIRECTIVES: &str = include_str!("introspection/directives.graphql");

/// The description of the schema.
pub const DESCRIPTION: &str = "Roster, a user directory. Sign in with `login`, then send its `token` with every other request as `Authorization: Bearer ...`. A request with an invalid token fails with status 401 and `UNAUTHENTICATED`, unless it consists only of mutations that are open to everyone, such as `login`.";

/// A place where an operation selects the description of the schema: the response keys of `__schema` and of `description` in it.
pub struct DescriptionPath {
    operation: Option<Name>,
    schema: Name,
    description: Name,
}

/// Returns the places where the operations of a document select the description of the schema.
#[must_use]
pub fn descriptions(document: &ExecutableDocument) -> Vec<DescriptionPath> {
    let mut paths = Vec::new();
    for (name, operation) in document.operations.iter() {
        for schema in fields_named(document, &operation.node.selection_set.node, "__schema") {
            for description in fields_named(document, &schema.selection_set.node, "description") {
                let (schema, description) = (schema.response_key(), description.response_key());
                let (schema, description) = (schema.node.clone(), description.node.clone());
                paths.push(DescriptionPath { operation: name.cloned(), schema, description });
            }
        }
    }
    paths
}

fn fields_named<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    name: &'static str,
) -> impl Iterator<Item = &'a Field> {
    selection::fields(document, set).into_iter().filter(move |field| field.name.node == name)
}

/// Sets the description of the schema in the response to an operation; without a name, to the only operation.
pub fn set_description(response: &mut Response, operation: Option<&str>, paths: &[DescriptionPath]) {
    let Value::Object(data) = &mut response.data else { return };
    for path in paths.iter().filter(|path| operation.is_none() || path.operation.as_deref() == operation) {
        let Some(Value::Object(schema)) = data.get_mut(&path.schema) else { continue };
        if let Some(text) = schema.get_mut(&path.description) {
            *text = DESCRIPTION.into();
        }
    }
}
