//! A schema, parsed from the schema definition language and indexed by name.

use std::collections::BTreeMap;

use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{DirectiveDefinition, SchemaDefinition, TypeDefinition, TypeSystemDefinition};

use super::unique::{check_names, repeated};
use crate::http;

/// The directives that the specification defines. Every schema has them, but many tools do not write them.
pub const SPECIFIED_DIRECTIVES: [&str; 5] = ["deprecated", "include", "oneOf", "skip", "specifiedBy"];

/// The types and directives of a schema by name.
#[derive(Default)]
pub struct Definition {
    pub types: BTreeMap<String, Positioned<TypeDefinition>>,
    pub directives: BTreeMap<String, Positioned<DirectiveDefinition>>,
    schema: Option<Positioned<SchemaDefinition>>,
}

/// The kinds of operations, with the default name of their root type.
const ROOTS: [(&str, &str); 3] = [("query", "Query"), ("mutation", "Mutation"), ("subscription", "Subscription")];

impl Definition {
    /// Parses a schema.
    ///
    /// # Errors
    /// The reason and the position.
    pub fn parse(sdl: &str) -> Result<Self, String> {
        // The parser does not know the description of the schema.
        let document = parse_schema(http::without_descriptions(sdl)).map_err(|error| error.to_string())?;
        let mut definition = Self::default();
        for one in document.definitions {
            match one {
                TypeSystemDefinition::Schema(of) => {
                    let pos = of.pos;
                    if let Some(first) = definition.schema.replace(of) {
                        return Err(repeated("the schema is defined twice", first.pos, pos));
                    }
                }
                TypeSystemDefinition::Type(of) if of.node.extend => {
                    return Err(format!("{}: `extend` is not supported; merge the schema first", of.pos));
                }
                TypeSystemDefinition::Type(of) => {
                    let (pos, name) = (of.node.name.pos, of.node.name.node.to_string());
                    if let Some(first) = definition.types.insert(name.clone(), of) {
                        let problem = format!("the type {name} is defined twice");
                        return Err(repeated(&problem, first.node.name.pos, pos));
                    }
                }
                TypeSystemDefinition::Directive(of) => {
                    let (pos, name) = (of.node.name.pos, of.node.name.node.to_string());
                    if let Some(first) = definition.directives.insert(name.clone(), of) {
                        let problem = format!("the directive @{name} is defined twice");
                        return Err(repeated(&problem, first.node.name.pos, pos));
                    }
                }
            }
        }
        check_names(&definition)?;
        Ok(definition)
    }

    /// Returns the name of each root type, with the kind of its operations; `None` if there is none.
    pub fn roots(&self) -> [(&'static str, Option<&str>); 3] {
        let Some(Positioned { node: schema, .. }) = &self.schema else {
            return ROOTS.map(|(kind, name)| (kind, self.types.contains_key(name).then_some(name)));
        };
        let given = |kind: &str| match kind {
            "query" => schema.query.as_ref(),
            "mutation" => schema.mutation.as_ref(),
            _ => schema.subscription.as_ref(),
        };
        ROOTS.map(|(kind, _)| (kind, given(kind).map(|name| name.node.as_str())))
    }
}
