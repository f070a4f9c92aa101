//! Limits the mutations of a request that check or change secrets to one. With more, one request could try a list of passwords.

use std::collections::HashMap;
use std::convert::Infallible;

use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType};
use async_graphql::{Name, Value, Variables};

use crate::http::selection;

/// The mutations that always hash or check secrets, or by which callers who are not signed in have an email sent.
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
/// The mutations that hash a secret if their input has one, also as a dry run.
pub const WITH_SECRET: [&str; 2] = ["createUser", "updateUser"];
/// The fields of their input that are secrets.
const SECRETS: [&str; 2] = ["password", "pin"];

/// The mutations of a document that use secrets, or may use them.
pub struct CredentialUses(Vec<Operation>);

#[derive(Default)]
struct Operation {
    always: usize,
    /// The mutations that use a secret if their input has one.
    with_secret: Vec<Field>,
    defaults: HashMap<Name, Value>,
}

impl CredentialUses {
    /// Collects the mutations of a document.
    #[must_use]
    pub fn in_document(document: &ExecutableDocument) -> Self {
        let mutations =
            document.operations.iter().filter(|(_, operation)| operation.node.ty == OperationType::Mutation);
        Self(mutations.map(|(_, operation)| Operation::read(document, &operation.node)).collect())
    }

    /// Returns whether one operation uses secrets more than once, under whatever aliases.
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

    /// Returns whether the input of a mutation has a secret, in the document or in a variable.
    fn has_secret(&self, field: &Field, variables: &Variables) -> bool {
        let value_of = |name: Name| -> Result<Value, Infallible> {
            Ok(variables.get(&name).or_else(|| self.defaults.get(&name)).cloned().unwrap_or_default())
        };
        let input = field.get_argument("input").map(|input| input.node.clone().into_const_with(value_of));
        let Some(Ok(Value::Object(fields))) = input else { return false };
        SECRETS.iter().any(|secret| fields.get(*secret).is_some_and(|value| *value != Value::Null))
    }
}
