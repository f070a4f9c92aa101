//! How many mutations of a request compute with secrets: one is allowed, or one request could go through a list.

use std::collections::HashMap;
use std::convert::Infallible;

use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType};
use async_graphql::{Name, Value, Variables};

use crate::http::selection;

/// The mutations that compute with secrets, or write to whoever is named.
pub const ALWAYS: [&str; 8] = [
    "login",
    "activateAccount",
    "changePassword",
    "setPin",
    "resetPassword",
    "requestEmailChange",
    "requestPasswordReset",
    "registerUser",
];
/// The mutations that compute with secrets if their input has one, also to try it out.
pub const WITH_SECRET: [&str; 2] = ["createUser", "updateUser"];
/// The fields of their input that are secrets.
const SECRETS: [&str; 2] = ["password", "pin"];

/// The mutations of a document that compute with secrets, or may.
pub struct CredentialUses(Vec<Operation>);

#[derive(Default)]
struct Operation {
    always: usize,
    /// The mutations that do so if their input has a secret.
    with_secret: Vec<Field>,
    defaults: HashMap<Name, Value>,
}

impl CredentialUses {
    /// Looks through a document.
    #[must_use]
    pub fn in_document(document: &ExecutableDocument) -> Self {
        let mutations =
            document.operations.iter().filter(|(_, operation)| operation.node.ty == OperationType::Mutation);
        Self(mutations.map(|(_, operation)| Operation::read(document, &operation.node)).collect())
    }

    /// Whether there are two in one operation, under whatever aliases.
    #[must_use]
    pub fn are_many(&self, variables: &Variables) -> bool {
        self.0.iter().any(|operation| operation.count(variables) > 1)
    }
}

impl Operation {
    fn read(document: &ExecutableDocument, operation: &OperationDefinition) -> Self {
        let defaults = operation.variable_definitions.iter().filter_map(|definition| {
            let default = definition.node.default_value.as_ref()?;
            Some((definition.node.name.node.clone(), default.node.clone()))
        });
        let mut read = Self { defaults: defaults.collect(), ..Self::default() };
        for field in selection::fields(document, &operation.selection_set.node) {
            read.add(field);
        }
        read
    }

    fn add(&mut self, field: &Field) {
        let name = field.name.node.as_str();
        self.always += usize::from(ALWAYS.contains(&name));
        if WITH_SECRET.contains(&name) {
            self.with_secret.push(field.clone());
        }
    }

    fn count(&self, variables: &Variables) -> usize {
        self.always + self.with_secret.iter().filter(|field| self.has_secret(field, variables)).count()
    }

    /// Whether the input of a mutation has a secret, in the document or in a variable.
    fn has_secret(&self, field: &Field, variables: &Variables) -> bool {
        let value_of = |name: Name| -> Result<Value, Infallible> {
            Ok(variables.get(&name).or_else(|| self.defaults.get(&name)).cloned().unwrap_or_default())
        };
        let input = field.get_argument("input").map(|input| input.node.clone().into_const_with(value_of));
        let Some(Ok(Value::Object(fields))) = input else { return false };
        SECRETS.iter().any(|secret| fields.get(*secret).is_some_and(|value| *value != Value::Null))
    }
}
