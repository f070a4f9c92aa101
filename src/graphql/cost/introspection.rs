//! The size of an introspection result, computed before anything is resolved: async-graphql resolves introspection without
//! yielding and counts nothing of it, and the schema is known in advance.

use std::collections::{BTreeMap, HashMap};

use async_graphql::Value;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, FieldDefinition, InputValueDefinition, SelectionSet, Type, TypeDefinition,
    TypeKind, TypeSystemDefinition,
};

use crate::budget::Size;
use crate::http::{introspection, selection};

/// The scalars that every schema has although its definition does not name them.
const SCALARS: &str = include_str!("scalars.graphql");
/// The fields that return lists from which types can be reached again.
const LISTS: [&str; 4] = ["fields", "interfaces", "possibleTypes", "inputFields"];
/// Maximum nesting of [`LISTS`]; graphql-js (`MaxIntrospectionDepthRule`) and apollo-compiler have the same limit. The
/// introspection queries of `GraphiQL`, Relay, Apollo and code generators have a nesting of one.
pub const MAX_LISTS: usize = 2;
/// The bytes of a value that is not a text: `false`, a kind or null.
const SHORT: usize = 18;
/// The bytes of a field that leads to other parts, without these: null or an empty list.
const NOTHING: usize = 5;
/// The additional bytes of each of these parts: braces, and a comma in a list.
const AROUND: usize = 3;

/// One part of a schema: a type, field, argument, value or directive.
#[derive(Default)]
struct Part {
    /// The parts that each field leads to.
    links: HashMap<&'static str, Vec<usize>>,
    /// The bytes that each field takes in the result.
    texts: HashMap<&'static str, usize>,
}

/// A schema as a graph that an introspection walks through.
pub struct Introspection {
    parts: Vec<Part>,
    types: HashMap<String, usize>,
    root: usize,
}

/// The number of occurrences of each part in the result.
type Counts = BTreeMap<usize, usize>;

impl Introspection {
    /// Reads a schema in the schema definition language.
    ///
    /// # Errors
    /// If the schema cannot be parsed.
    pub fn of(sdl: &str) -> Result<Self, async_graphql::parser::Error> {
        let mut definitions = parse_schema(sdl)?.definitions;
        definitions.extend(parse_schema(introspection::TYPES)?.definitions);
        definitions.extend(parse_schema(SCALARS)?.definitions);
        let mut schema = Self { parts: vec![Part::default()], types: HashMap::new(), root: 0 };
        let mut directives = Vec::new();
        for definition in &definitions {
            if let TypeSystemDefinition::Type(definition) = definition {
                schema.named(definition.node.name.node.as_str());
            }
        }
        let types: Vec<usize> = schema.types.values().copied().collect();
        for definition in &definitions {
            match definition {
                TypeSystemDefinition::Type(definition) => schema.define(&definition.node),
                TypeSystemDefinition::Directive(definition) => {
                    let definition = &definition.node;
                    let arguments = definition.arguments.iter().map(|argument| schema.input(&argument.node)).collect();
                    let texts = texts(&definition.name.node, definition.description.as_ref().map(|text| &*text.node));
                    let locations = ("locations", SHORT * definition.locations.len());
                    let texts = texts.into_iter().chain([locations]).collect();
                    directives.push(schema.part(Part { links: HashMap::from([("args", arguments)]), texts }));
                }
                TypeSystemDefinition::Schema(_) => {}
            }
        }
        let mut links = HashMap::from([("types", types), ("directives", directives)]);
        for (field, name) in [("queryType", "Query"), ("mutationType", "Mutation")] {
            links.insert(field, schema.types.get(name).copied().into_iter().collect());
        }
        schema.root = schema.part(Part { links, texts: HashMap::from([("description", 256)]) });
        Ok(schema)
    }

    fn part(&mut self, part: Part) -> usize {
        self.parts.push(part);
        self.parts.len() - 1
    }

    fn link(&mut self, part: usize, field: &'static str, to: Vec<usize>) {
        if let Some(part) = self.parts.get_mut(part) {
            part.links.insert(field, to);
        }
    }

    fn named(&mut self, name: &str) -> usize {
        if let Some(known) = self.types.get(name) {
            return *known;
        }
        let new = self.part(Part::default());
        self.types.insert(name.to_owned(), new);
        new
    }

    /// Returns the part of a type. Each list or non-null wrapper is a part of its own.
    fn referred(&mut self, of: &Type) -> usize {
        let inner = match &of.base {
            BaseType::Named(name) => self.named(name),
            BaseType::List(inner) => {
                let inner = self.referred(inner);
                self.part(Part { links: HashMap::from([("ofType", vec![inner])]), texts: HashMap::new() })
            }
        };
        if of.nullable {
            inner
        } else {
            self.part(Part { links: HashMap::from([("ofType", vec![inner])]), texts: HashMap::new() })
        }
    }

    fn input(&mut self, of: &InputValueDefinition) -> usize {
        let ty = self.referred(&of.ty.node);
        let mut texts = texts(&of.name.node, of.description.as_ref().map(|text| &*text.node));
        texts.insert("defaultValue", of.default_value.as_ref().map_or(SHORT, |value| value.node.to_string().len() + 2));
        self.part(Part { links: HashMap::from([("type", vec![ty])]), texts })
    }

    fn field(&mut self, of: &FieldDefinition) -> usize {
        let ty = self.referred(&of.ty.node);
        let arguments = of.arguments.iter().map(|argument| self.input(&argument.node)).collect();
        let texts = texts(&of.name.node, of.description.as_ref().map(|text| &*text.node));
        self.part(Part { links: HashMap::from([("type", vec![ty]), ("args", arguments)]), texts })
    }

    fn define(&mut self, definition: &TypeDefinition) {
        let part = self.named(&definition.name.node);
        let texts = texts(&definition.name.node, definition.description.as_ref().map(|text| &*text.node));
        let (mut fields, mut implemented) = (Vec::new(), Vec::new());
        match &definition.kind {
            TypeKind::Object(object) => {
                fields.extend(object.fields.iter().map(|field| self.field(&field.node)));
                implemented.extend(object.implements.iter().map(|name| self.named(&name.node)));
            }
            TypeKind::Interface(interface) => {
                fields.extend(interface.fields.iter().map(|field| self.field(&field.node)));
            }
            TypeKind::Enum(of) => {
                let values = of.values.iter().map(|value| {
                    let description = value.node.description.as_ref().map(|text| &*text.node);
                    self.part(Part { links: HashMap::new(), texts: self::texts(&value.node.value.node, description) })
                });
                let values = values.collect();
                self.link(part, "enumValues", values);
            }
            TypeKind::InputObject(input) => {
                let inputs = input.fields.iter().map(|field| self.input(&field.node)).collect();
                self.link(part, "inputFields", inputs);
            }
            TypeKind::Scalar | TypeKind::Union(_) => {}
        }
        for interface in &implemented {
            if let Some(interface) = self.parts.get_mut(*interface) {
                interface.links.entry("possibleTypes").or_default().push(part);
            }
        }
        self.link(part, "fields", fields);
        self.link(part, "interfaces", implemented);
        if let Some(part) = self.parts.get_mut(part) {
            part.texts = texts;
        }
    }

    /// Returns the size of the result of a root field, `__schema` or `__type`; `None` if lists are nested too deeply.
    #[must_use]
    pub fn size(&self, document: &ExecutableDocument, field: &Field) -> Option<Size> {
        // A type given by a variable is counted as all types: the result is not larger than that.
        let from = match field.name.node.as_str() {
            "__type" => self.types_of(field),
            _ => Counts::from([(self.root, 1)]),
        };
        let mut size = Size { fields: 1, bytes: 16 };
        self.walk(document, &field.selection_set.node, &from, 0, &mut size)?;
        Some(size)
    }

    /// Returns the type with the requested name, or all types if the name is a variable.
    fn types_of(&self, field: &Field) -> Counts {
        match field.get_argument("name").and_then(|name| name.node.clone().into_const()) {
            Some(Value::String(name)) => self.types.get(&name).map(|part| (*part, 1)).into_iter().collect(),
            _ => self.types.values().map(|part| (*part, 1)).collect(),
        }
    }

    fn walk(
        &self,
        document: &ExecutableDocument,
        set: &SelectionSet,
        from: &Counts,
        lists: usize,
        size: &mut Size,
    ) -> Option<()> {
        for field in selection::fields(document, set) {
            self.step(document, field, from, lists, size)?;
        }
        Some(())
    }

    fn step(
        &self,
        document: &ExecutableDocument,
        field: &Field,
        from: &Counts,
        lists: usize,
        size: &mut Size,
    ) -> Option<()> {
        let name = field.name.node.as_str();
        let lists = lists + usize::from(LISTS.contains(&name));
        if lists > MAX_LISTS {
            return None;
        }
        let leads_on = !field.selection_set.node.items.is_empty();
        let mut to = Counts::new();
        for (part, count) in from {
            let Some(part) = self.parts.get(*part) else { continue };
            size.fields = size.fields.saturating_add(*count);
            let key = field.response_key().node.len() + 4;
            let shown = key + if leads_on { NOTHING } else { part.texts.get(name).copied().unwrap_or(SHORT) };
            size.bytes = size.bytes.saturating_add(count.saturating_mul(shown));
            for next in part.links.get(name).into_iter().flatten() {
                size.bytes = size.bytes.saturating_add(count.saturating_mul(AROUND));
                let known = to.entry(*next).or_default();
                *known = known.saturating_add(*count);
            }
        }
        self.walk(document, &field.selection_set.node, &to, lists, size)
    }
}

fn texts(name: &str, description: Option<&str>) -> HashMap<&'static str, usize> {
    HashMap::from([("name", name.len() + 2), ("description", description.map_or(4, str::len) + 8)])
}
