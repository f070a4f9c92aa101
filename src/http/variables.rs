//! The values of variables: "Coercing Variable Values" of the GraphQL specification (6.1.2), and what a variable without a value
//! means for a document (6.4.1).

use std::collections::HashSet;

use async_graphql::parser::types::{
    BaseType, Directive, DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet, Type,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value as DocumentValue;
use bluejay_core::definition::{
    BaseInputTypeReference, EnumTypeDefinition, EnumValueDefinition, InputFieldsDefinition, InputObjectTypeDefinition,
    InputType, InputTypeReference, InputValueDefinition, SchemaDefinition,
};
use bluejay_core::{AsIter, BuiltinScalarDefinition};
use serde_json::{Map, Number, Value};

use super::error::{HttpError, MAX_ERRORS};
use super::validation::{self, InputObject, NonNullUse, Schema};
use crate::error::TopLevelCode;

/// Maximum number of values of an enum that an error lists.
const MAX_NAMES: usize = 10;

/// Coerces the values of an operation's variables to their types, with defaults filled in. Variables that the operation does not
/// define are dropped.
///
/// # Errors
/// All errors of the values.
pub fn coerce(
    schema: &Schema,
    operation: &OperationDefinition,
    non_null_uses: &[NonNullUse],
    mut inputs: Map<String, Value>,
) -> Result<Map<String, Value>, HttpError> {
    let mut values = Map::new();
    let mut errors = Vec::new();
    for definition in &operation.variable_definitions {
        let variable = &definition.node;
        let name = variable.name.node.as_str();
        let mut coercion = Coercion { schema, errors: Vec::new() };
        let default = || variable.default_value.as_ref()?.node.clone().into_json().ok();
        let value = inputs.remove(name).or_else(default);
        let value = value.map(|value| coercion.coerce(&variable.var_type.node, value, &format!("${name}")));
        let mut uses = non_null_uses.iter().filter(|non_null| non_null.variable == name);
        let error = match &value {
            None if !variable.var_type.node.nullable => Some("is required"),
            None if uses.any(|non_null| non_null.is_required) => Some("is required where it is used"),
            Some(Value::Null) if coercion.errors.is_empty() && uses.next().is_some() => {
                Some("must not be null where it is used")
            }
            _ => None,
        };
        coercion.errors.extend(error.map(|error| format!("The variable ${name} {error}")));
        let http_error = |message| HttpError {
            locations: vec![definition.pos],
            ..HttpError::bad_document(TopLevelCode::BadUserInput, message)
        };
        errors.extend(coercion.errors.into_iter().map(http_error));
        values.extend(value.map(|value| (name.to_owned(), value)));
    }
    HttpError::of_all(errors).map_or(Ok(values), Err)
}

struct Coercion<'a> {
    schema: &'a Schema,
    errors: Vec<String>,
}

impl Coercion<'_> {
    fn add_error(&mut self, path: &str, rule: impl std::fmt::Display) -> Value {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(format!("{path}: {rule}"));
        }
        Value::Null
    }

    /// Coerces a value to a type from a document.
    fn coerce(&mut self, expected: &Type, value: Value, path: &str) -> Value {
        match (&expected.base, value) {
            (_, Value::Null) if expected.nullable => Value::Null,
            (_, Value::Null) => self.add_error(path, format_args!("must not be null (expected {expected})")),
            (BaseType::List(inner), Value::Array(items)) => {
                let items = items.into_iter().enumerate();
                items.map(|(index, item)| self.coerce(inner, item, &format!("{path}.{index}"))).collect()
            }
            (BaseType::List(inner), value) => Value::Array(vec![self.coerce(inner, value, path)]),
            (BaseType::Named(name), value) => match validation::input_type(self.schema, name) {
                Some(base) => self.coerce_base(base, value, path),
                None => self.add_error(path, format_args!("the input type {name} does not exist")),
            },
        }
    }

    /// Coerces a value to a type from the schema.
    fn coerce_input(&mut self, expected: &<Schema as SchemaDefinition>::InputType, value: Value, path: &str) -> Value {
        let schema = self.schema;
        let reference = expected.as_ref(schema);
        match (reference, value) {
            (reference, Value::Null) if !reference.is_required() => Value::Null,
            (_, Value::Null) => {
                self.add_error(path, format_args!("must not be null (expected {})", expected.display_name()))
            }
            (InputTypeReference::List(inner, _), Value::Array(items)) => {
                let items = items.into_iter().enumerate();
                items.map(|(index, item)| self.coerce_input(inner, item, &format!("{path}.{index}"))).collect()
            }
            (InputTypeReference::List(inner, _), value) => Value::Array(vec![self.coerce_input(inner, value, path)]),
            (InputTypeReference::Base(base, _), value) => self.coerce_base(base, value, path),
        }
    }

    fn coerce_base(&mut self, base: BaseInputTypeReference<Schema>, value: Value, path: &str) -> Value {
        match base {
            BaseInputTypeReference::BuiltinScalar(scalar) => match coerce_scalar(scalar, value) {
                Some(value) => value,
                None => self.add_error(path, scalar_rule(scalar)),
            },
            // The scalar itself checks its value.
            BaseInputTypeReference::CustomScalar(_) => value,
            BaseInputTypeReference::Enum(definition) => {
                let mut names = definition.enum_value_definitions().iter().map(EnumValueDefinition::name);
                if value.as_str().is_some_and(|given| names.any(|name| name == given)) {
                    return value;
                }
                let names = definition.enum_value_definitions().iter().map(EnumValueDefinition::name);
                let names: Vec<&str> = names.collect();
                let some = if names.len() > MAX_NAMES { String::new() } else { format!(": {}", names.join(", ")) };
                self.add_error(path, format_args!("must be a value of the enum {}{some}", definition.name()))
            }
            BaseInputTypeReference::InputObject(definition) => match value {
                Value::Object(members) => self.coerce_object(definition, members, path),
                _ => self.add_error(path, format_args!("must be an object of the type {}", definition.name())),
            },
        }
    }

    fn coerce_object(&mut self, object: &InputObject, members: Map<String, Value>, path: &str) -> Value {
        let fields = object.input_field_definitions();
        if validation::is_one_of(object) && (members.len() != 1 || members.values().any(Value::is_null)) {
            return self.add_error(
                path,
                format_args!("exactly one field of {} must be given, and it must not be null", object.name()),
            );
        }
        for field in fields.iter().filter(|field| field.is_required()) {
            if !members.contains_key(field.name()) {
                let expected = field.r#type().display_name();
                self.add_error(&format!("{path}.{}", field.name()), format_args!("is required (expected {expected})"));
            }
        }
        let mut coerced = Map::new();
        for (name, value) in members {
            let path = format!("{path}.{name}");
            let value = match fields.get(&name) {
                Some(field) => self.coerce_input(field.r#type(), value, &path),
                None => self.add_error(&path, format_args!("{} has no such field", object.name())),
            };
            coerced.insert(name, value);
        }
        Value::Object(coerced)
    }
}

/// Returns a number as an integer. JSON does not distinguish integers from numbers with a point: 20.0 is 20.
fn integer(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
    let of_float = |float: f64| (float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0).then_some(float as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(of_float))
}

fn coerce_scalar(scalar: BuiltinScalarDefinition, value: Value) -> Option<Value> {
    match scalar {
        BuiltinScalarDefinition::Int if value.is_number() => {
            integer(&value).and_then(|number| i32::try_from(number).ok()).map(Value::from)
        }
        BuiltinScalarDefinition::Float => value.as_f64().and_then(Number::from_f64).map(Value::Number),
        BuiltinScalarDefinition::ID if value.is_number() => {
            integer(&value).map(|number| Value::String(number.to_string()))
        }
        BuiltinScalarDefinition::ID | BuiltinScalarDefinition::String => value.is_string().then_some(value),
        BuiltinScalarDefinition::Boolean => value.is_boolean().then_some(value),
        BuiltinScalarDefinition::Int => None,
    }
}

fn scalar_rule(scalar: BuiltinScalarDefinition) -> &'static str {
    match scalar {
        BuiltinScalarDefinition::Int => "must be an Int (an integer from -2147483648 to 2147483647)",
        BuiltinScalarDefinition::Float => "must be a Float (a number)",
        BuiltinScalarDefinition::ID => "must be an ID (a string or an integer)",
        BuiltinScalarDefinition::String => "must be a String",
        BuiltinScalarDefinition::Boolean => "must be a Boolean (true or false)",
    }
}

/// Removes from a document the arguments and input fields that use a variable without a value, so that their defaults apply.
pub fn remove_absent(document: &mut ExecutableDocument, operation: &OperationDefinition, values: &Map<String, Value>) {
    let names = operation.variable_definitions.iter().map(|definition| definition.node.name.node.as_str());
    let absent: HashSet<&str> = names.filter(|name| !values.contains_key(*name)).collect();
    if absent.is_empty() {
        return;
    }
    match &mut document.operations {
        DocumentOperations::Single(operation) => {
            remove_in_selections(&mut operation.node.selection_set.node, &absent);
        }
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                remove_in_selections(&mut operation.node.selection_set.node, &absent);
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        remove_in_selections(&mut fragment.node.selection_set.node, &absent);
    }
}

fn remove_in_selections(set: &mut SelectionSet, absent: &HashSet<&str>) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => {
                remove_in_arguments(&mut field.node.arguments, absent);
                remove_in_directives(&mut field.node.directives, absent);
                remove_in_selections(&mut field.node.selection_set.node, absent);
            }
            Selection::FragmentSpread(spread) => remove_in_directives(&mut spread.node.directives, absent),
            Selection::InlineFragment(fragment) => {
                remove_in_directives(&mut fragment.node.directives, absent);
                remove_in_selections(&mut fragment.node.selection_set.node, absent);
            }
        }
    }
}

fn remove_in_directives(directives: &mut [Positioned<Directive>], absent: &HashSet<&str>) {
    for directive in directives {
        remove_in_arguments(&mut directive.node.arguments, absent);
    }
}

fn remove_in_arguments(arguments: &mut Vec<(Positioned<Name>, Positioned<DocumentValue>)>, absent: &HashSet<&str>) {
    arguments.retain_mut(|(_, value)| has_value(&mut value.node, absent));
}

fn has_value(value: &mut DocumentValue, absent: &HashSet<&str>) -> bool {
    match value {
        DocumentValue::Variable(name) => !absent.contains(name.as_str()),
        DocumentValue::List(items) => {
            for item in items {
                if !has_value(item, absent) {
                    *item = DocumentValue::Null;
                }
            }
            true
        }
        DocumentValue::Object(members) => {
            members.retain(|_, value| has_value(value, absent));
            true
        }
        _ => true,
    }
}
