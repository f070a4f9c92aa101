//! What introspection says of the schema itself. async-graphql gives it the description of the type `__Schema`; it has
//! none, because the schema definition language of async-graphql has no place for one.

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Response, Value};

/// Where an operation asks for the description of the schema: the response keys of `__schema` and of `description` in it.
pub struct Asked {
    operation: Option<Name>,
    schema: Name,
    description: Name,
}

/// Where the operations of a document ask for the description of the schema.
#[must_use]
pub fn descriptions(document: &ExecutableDocument) -> Vec<Asked> {
    let mut found = Vec::new();
    for (name, operation) in document.operations.iter() {
        each(document, &operation.node.selection_set.node, "__schema", &mut |schema| {
            each(document, &schema.selection_set.node, "description", &mut |description| {
                let (schema, description) = (schema.response_key(), description.response_key());
                let (schema, description) = (schema.node.clone(), description.node.clone());
                found.push(Asked { operation: name.cloned(), schema, description });
            });
        });
    }
    found
}

/// Calls back for each field of a name in a selection set, fragments included. A document has few of them, for it has been
/// measured.
fn each<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, name: &str, call: &mut dyn FnMut(&'a Field)) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) if field.node.name.node == name => call(&field.node),
            Selection::Field(_) => {}
            Selection::InlineFragment(fragment) => each(document, &fragment.node.selection_set.node, name, call),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    each(document, &fragment.node.selection_set.node, name, call);
                }
            }
        }
    }
}

/// Takes the description of its type from the schema in the answer to an operation, the only one if it has no name.
pub fn undescribe(response: &mut Response, operation: Option<&str>, asked: &[Asked]) {
    let Value::Object(data) = &mut response.data else { return };
    for asked in asked.iter().filter(|asked| operation.is_none() || asked.operation.as_deref() == operation) {
        let Some(Value::Object(schema)) = data.get_mut(&asked.schema) else { continue };
        if let Some(text) = schema.get_mut(&asked.description) {
            *text = Value::Null;
        }
    }
}
