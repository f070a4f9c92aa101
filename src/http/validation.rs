//! Validation of documents by chapter 5 of the GraphQL specification, once for each document. async-graphql's own rules leave
//! some of it out, so it runs without them.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use async_graphql::Pos;
use bluejay_core::definition::{BaseInputTypeReference, TypeDefinitionReference};
use bluejay_core::definition::{
    DirectiveLocation, HasDirectives, InputFieldsDefinition, InputObjectTypeDefinition, InputType, InputTypeReference,
    InputValueDefinition, SchemaDefinition,
};
use bluejay_core::{AsIter, Directive, Value as _, ValueReference};
use bluejay_parser::ast::Parse;
use bluejay_parser::ast::definition::{self, DefinitionDocument};
use bluejay_parser::ast::executable::ExecutableDocument;
use bluejay_parser::{Error as DocumentError, HasSpan, ast};
use bluejay_validator::executable::Cache;
use bluejay_validator::executable::document::{Analyzer, BuiltinRules, Error, Orchestrator, Path, Visitor};
use bluejay_validator::value::input_coercion::Error as CoercionError;

use super::error::{HttpError, MAX_ERRORS};
use super::suggestion;
use crate::error::TopLevelCode;
use crate::http::introspection;

/// The types of a schema.
pub type Schema = definition::SchemaDefinition<'static>;
/// An input object of a schema.
pub type InputObject = <Schema as SchemaDefinition>::InputObjectTypeDefinition;

/// A variable whose type is nullable, used where null is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct NonNullUse {
    pub variable: String,
    /// Whether the variable must also have a value, because no default applies.
    pub is_required: bool,
}

/// Parses a schema. The result is kept until the process ends, once for each schema.
///
/// # Errors
/// If the schema is not well formed.
pub fn schema(sdl: &str) -> io::Result<&'static Schema> {
    static PARSED: Mutex<Option<HashMap<String, &'static Schema>>> = Mutex::new(None);
    let mut schemas = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
    let schemas = schemas.get_or_insert_default();
    if let Some(schema) = schemas.get(sdl) {
        return Ok(schema);
    }
    let text: &'static str = Box::leak(with_introspection(sdl).into_boxed_str());
    let parsed = DefinitionDocument::parse(text).result;
    let document: &'static DefinitionDocument =
        Box::leak(Box::new(parsed.map_err(|errors| io::Error::other(format!("{errors:?}")))?));
    let schema = Schema::try_from(document).map_err(|errors| io::Error::other(format!("{errors:?}")))?;
    let schema: &'static Schema = Box::leak(Box::new(schema));
    schemas.insert(sdl.to_owned(), schema);
    Ok(schema)
}

/// Returns a schema with the types of introspection. bluejay has its own, which lack the newest fields; so these have other
/// names, and documents are parsed with the names exchanged.
fn with_introspection(sdl: &str) -> String {
    let fields = exchanged("type Query {\n__schema: __Schema!\n__type(name: String!): __Type\n");
    format!("{}\n{}", sdl.replacen("type Query {", &fields, 1), exchanged(introspection::TYPES))
}

/// Returns a text of the same length in which names such as `__Type` and `_0Type` are exchanged.
fn exchanged(text: &str) -> String {
    let mut exchanged = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('_') {
        exchanged.push_str(before);
        let is_type = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
        let (mark, tail) = match (after.strip_prefix('_'), after.strip_prefix('0')) {
            (Some(name), _) if is_type(name) => ("_0", name),
            (_, Some(name)) if is_type(name) => ("__", name),
            _ => ("_", after),
        };
        exchanged.push_str(mark);
        rest = tail;
    }
    exchanged.push_str(rest);
    exchanged
}

/// Validates a document, which must be small. Returns the variables that must not be null. If it `suggests`, the errors name the
/// fields that were probably meant.
///
/// # Errors
/// All errors of the document.
pub fn check(schema: &Schema, text: &str, suggests: bool) -> Result<Vec<NonNullUse>, HttpError> {
    let text = exchanged(text);
    let text = text.as_str();
    let parsed = ExecutableDocument::parse(text).result;
    let document = parsed.map_err(|errors| {
        http_error(text, errors.into_iter().map(|error| (TopLevelCode::GraphqlParseFailed, error, None)))
    })?;
    let cache = Cache::new(&document, schema);
    let (errors, findings) =
        Orchestrator::<_, _, (BuiltinRules<_, _>, Findings)>::validate_and_analyze(&document, schema, &cache);
    // Whether such a variable is null is checked together with its value.
    let errors = errors.filter(|error| !matches!(error, Error::InvalidOneOfVariableUsage { .. }));
    let errors = errors.take(MAX_ERRORS).map(|error| {
        let suggestion = if suggests { suggestion::of_error(&error) } else { None };
        let code = findings.code(&error);
        (code, DocumentError::from(error), suggestion)
    });
    let errors: Vec<_> = errors.collect();
    if errors.is_empty() { Ok(findings.non_null_uses) } else { Err(http_error(text, errors)) }
}

/// Returns the HTTP error for errors of a document with exchanged names, each with its code and a suggestion. bluejay reports some
/// errors twice.
fn http_error(
    text: &str,
    errors: impl IntoIterator<Item = (TopLevelCode, DocumentError, Option<String>)>,
) -> HttpError {
    let mut distinct: Vec<HttpError> = Vec::new();
    for (code, error, suggestion) in errors {
        let message = exchanged(&format!("{}{}", error.message(), suggestion.unwrap_or_default()));
        let graphql_errors = DocumentError::into_graphql_errors(text, [error]);
        let locations = graphql_errors.into_iter().flat_map(|error| error.locations);
        let locations = locations.map(|at| Pos { line: at.line, column: at.col }).collect();
        let error = HttpError { locations, ..HttpError::bad_document(code, message) };
        if !distinct.contains(&error) {
            distinct.push(error);
        }
    }
    HttpError::of_all(distinct).unwrap_or_else(HttpError::internal)
}

/// The findings in a document besides its errors.
struct Findings<'a> {
    schema: &'a Schema,
    non_null_uses: Vec<NonNullUse>,
    /// The positions of the values of arguments of directives.
    directive_values: Vec<Range<usize>>,
}

impl<'a> Findings<'a> {
    /// Returns the code of an error. A single value of an argument with the wrong type has the same code as in a variable.
    fn code(&self, error: &Error<'a, ExecutableDocument<'a>, Schema>) -> TopLevelCode {
        let is_single = match error {
            Error::InvalidVariableValue(CoercionError::NoImplicitConversion { value, input_type_name, .. }) => {
                let base = input_type(self.schema, input_type_name.trim_matches(['[', ']', '!']));
                let is_object = matches!(base, Some(BaseInputTypeReference::InputObject(_)));
                !is_object && !self.directive_values.contains(&value.span().byte_range())
            }
            Error::InvalidVariableValue(
                CoercionError::IntegerOutOfRange { .. }
                | CoercionError::NonFiniteFloat { .. }
                | CoercionError::NoEnumMemberWithName { .. },
            ) => true,
            _ => false,
        };
        if is_single { TopLevelCode::BadUserInput } else { TopLevelCode::GraphqlValidationFailed }
    }

    fn visit_value(
        &mut self,
        value: &'a ast::VariableValue<'a>,
        expected: InputTypeReference<'a, Schema>,
        is_list_item: bool,
    ) {
        match (value.as_ref(), expected) {
            (ValueReference::Variable(variable), expected) if expected.is_required() => {
                self.non_null_uses.push(NonNullUse { variable: variable.name().to_owned(), is_required: is_list_item });
            }
            (ValueReference::List(items), InputTypeReference::List(inner, _)) => {
                for item in items.iter() {
                    self.visit_value(item, inner.as_ref(self.schema), true);
                }
            }
            (ValueReference::Object(members), expected) => {
                for (name, value) in AsIter::iter(members) {
                    self.visit_member(name.as_ref(), value, expected);
                }
            }
            _ => {}
        }
    }

    fn visit_member(
        &mut self,
        name: &str,
        value: &'a ast::VariableValue<'a>,
        expected: InputTypeReference<'a, Schema>,
    ) {
        let BaseInputTypeReference::InputObject(object) = expected.base(self.schema) else { return };
        let Some(field) = object.input_field_definitions().get(name) else { return };
        match value.as_ref() {
            ValueReference::Variable(variable) if is_one_of(object) => {
                self.non_null_uses.push(NonNullUse { variable: variable.name().to_owned(), is_required: true });
            }
            _ => self.visit_value(value, field.r#type().as_ref(self.schema), false),
        }
    }
}

impl<'a> Visitor<'a, ExecutableDocument<'a>, Schema> for Findings<'a> {
    fn new(
        _: &'a ExecutableDocument<'a>,
        schema: &'a Schema,
        _: &'a Cache<'a, ExecutableDocument<'a>, Schema>,
    ) -> Self {
        Self { schema, non_null_uses: Vec::new(), directive_values: Vec::new() }
    }

    fn visit_variable_directive(&mut self, directive: &'a ast::VariableDirective<'a>, _: DirectiveLocation) {
        let Some(arguments) = directive.arguments() else { return };
        for argument in AsIter::iter(arguments) {
            self.directive_values.push(argument.value().span().byte_range());
        }
    }

    fn visit_variable_argument(
        &mut self,
        argument: &'a ast::VariableArgument<'a>,
        definition: &'a <Schema as SchemaDefinition>::InputValueDefinition,
        _: &Path<'a, ExecutableDocument<'a>>,
    ) {
        self.visit_value(argument.value(), definition.r#type().as_ref(self.schema), false);
    }
}

impl<'a> Analyzer<'a, ExecutableDocument<'a>, Schema> for Findings<'a> {
    type Output = Self;

    fn into_output(self) -> Self {
        self
    }
}

/// Returns whether exactly one field of an input object must be given (`@oneOf`).
pub fn is_one_of(object: &InputObject) -> bool {
    object.directives().is_some_and(|directives| directives.iter().any(|directive| directive.name() == "oneOf"))
}

/// Returns the input type with this name.
pub fn input_type<'a>(schema: &'a Schema, name: &str) -> Option<BaseInputTypeReference<'a, Schema>> {
    schema.get_type_definition(name).and_then(|of: TypeDefinitionReference<'a, Schema>| of.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_introspection_are_exchanged() {
        for (text, expected) in [
            ("... on __Type { __typename }", "... on _0Type { __typename }"),
            ("_0Type __TypeKind __ _ _0 ___A a__B \u{e9}__C", "__Type _0TypeKind __ _ _0 __0A a_0B \u{e9}_0C"),
        ] {
            assert_eq!(exchanged(text), expected);
            assert_eq!(exchanged(&exchanged(text)), text);
        }
    }
}
