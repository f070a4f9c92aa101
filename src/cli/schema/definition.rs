//! A schema, parsed from the schema definition language and indexed by name.

use std::collections::BTreeMap;

use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{DirectiveDefinition, SchemaDefinition, TypeDefinition, TypeSystemDefinition};

use crate::http;

/// The types and directives of a schema by name.
#[derive(Default)]
pub struct Definition {
    pub types: BTreeMap<String, Positioned<TypeDefinition>>,
    pub directives: BTreeMap<String, Positioned<DirectiveDefinition>>,
    schema: Option<SchemaDefinition>,
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
                    if definition.schema.replace(of.node).is_some() {
                        return Err(format!("{}: the schema is defined twice", of.pos));
                    }
                }
                TypeSystemDefinition::Type(of) if of.node.extend => {
                    return Err(format!("{}: `extend` is not supported; merge the schema first", of.pos));
                }
                TypeSystemDefinition::Type(of) => {
                    let (pos, name) = (of.pos, of.node.name.node.to_string());
                    if definition.types.insert(name.clone(), of).is_some() {
                        return Err(format!("{pos}: the type {name} is defined twice"));
                    }
                }
                TypeSystemDefinition::Directive(of) => {
                    let (pos, name) = (of.pos, of.node.name.node.to_string());
                    if definition.directives.insert(name.clone(), of).is_some() {
                        return Err(format!("{pos}: the directive @{name} is defined twice"));
                    }
                }
            }
        }
        Ok(definition)
    }

    /// Returns the name of each root type, with the kind of its operations; `None` if there is none.
    pub fn roots(&self) -> [(&'static str, Option<&str>); 3] {
        let Some(schema) = &self.schema else {
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
