//! The size of an introspection result, computed before anything is resolved: async-graphql resolves introspection without
//! yielding and counts nothing of it, and the schema is known in advance.

use std::collections::{BTreeMap, HashMap};

use async_graphql::Value;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, FieldDefinition, InputValueDefinition, SelectionSet, Type, TypeDefinition,
    TypeKind, TypeSystemDefinition,
};

use super::MAX_COST;
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
/// The bytes of a field that leads to other elements, without these: null or an empty list.
const EMPTY: usize = 5;
/// The additional bytes of each of these elements: braces, and a comma in a list.
const DELIMITERS: usize = 3;

/// One element of a schema: a type, field, argument, value or directive.
#[derive(Default)]
struct Element {
    /// The elements that each field leads to.
    links: HashMap<&'static str, Vec<usize>>,
    /// The bytes that each field takes in the result.
    texts: HashMap<&'static str, usize>,
}

/// A schema as a graph that an introspection walks through.
pub struct Introspection {
    elements: Vec<Element>,
    types: HashMap<String, usize>,
    root: usize,
}

/// The number of occurrences of each element in the result.
type Counts = BTreeMap<usize, usize>;

impl Introspection {
    /// Reads a schema in the schema definition language.
    ///
    /// # Errors
    /// If the schema cannot be parsed.
    pub fn new(sdl: &str) -> Result<Self, async_graphql::parser::Error> {
        let mut definitions = parse_schema(sdl)?.definitions;
        definitions.extend(parse_schema(introspection::TYPES)?.definitions);
        definitions.extend(parse_schema(SCALARS)?.definitions);
        let mut schema = Self { elements: vec![Element::default()], types: HashMap::new(), root: 0 };
        let mut directives = Vec::new();
        for definition in &definitions {
            if let TypeSystemDefinition::Type(definition) = definition {
                schema.named_type(definition.node.name.node.as_str());
            }
        }
        let types: Vec<usize> = schema.types.values().copied().collect();
        for definition in &definitions {
            match definition {
                TypeSystemDefinition::Type(definition) => schema.define(&definition.node),
                TypeSystemDefinition::Directive(definition) => {
                    let definition = &definition.node;
                    let arguments = definition.arguments.iter();
                    let arguments = arguments.map(|argument| schema.input_value(&argument.node)).collect();
                    let texts = texts(&definition.name.node, definition.description.as_ref().map(|text| &*text.node));
                    let locations = ("locations", SHORT * definition.locations.len());
                    let texts = texts.into_iter().chain([locations]).collect();
                    directives.push(schema.add_element(Element { links: HashMap::from([("args", arguments)]), texts }));
                }
                TypeSystemDefinition::Schema(_) => {}
            }
        }
        let mut links = HashMap::from([("types", types), ("directives", directives)]);
        let roots = [("queryType", "Query"), ("mutationType", "Mutation"), ("subscriptionType", "Subscription")];
        for (field, name) in roots {
            links.insert(field, schema.types.get(name).copied().into_iter().collect());
        }
        schema.root = schema.add_element(Element { links, texts: HashMap::from([("description", 256)]) });
        Ok(schema)
    }

    fn add_element(&mut self, element: Element) -> usize {
        self.elements.push(element);
        self.elements.len() - 1
    }

    fn link(&mut self, element: usize, field: &'static str, targets: Vec<usize>) {
        if let Some(element) = self.elements.get_mut(element) {
            element.links.insert(field, targets);
        }
    }

    fn named_type(&mut self, name: &str) -> usize {
        if let Some(element) = self.types.get(name) {
            return *element;
        }
        let new = self.add_element(Element::default());
        self.types.insert(name.to_owned(), new);
        new
    }

    /// Returns the element of a type. Each list or non-null wrapper is an element of its own.
    fn type_reference(&mut self, of: &Type) -> usize {
        let inner = match &of.base {
            BaseType::Named(name) => self.named_type(name),
            BaseType::List(inner) => {
                let inner = self.type_reference(inner);
                self.add_element(Element { links: HashMap::from([("ofType", vec![inner])]), texts: HashMap::new() })
            }
        };
        if of.nullable {
            inner
        } else {
            self.add_element(Element { links: HashMap::from([("ofType", vec![inner])]), texts: HashMap::new() })
        }
    }

    fn input_value(&mut self, of: &InputValueDefinition) -> usize {
        let ty = self.type_reference(&of.ty.node);
        let mut texts = texts(&of.name.node, of.description.as_ref().map(|text| &*text.node));
        texts.insert("defaultValue", of.default_value.as_ref().map_or(SHORT, |value| value.node.to_string().len() + 2));
        self.add_element(Element { links: HashMap::from([("type", vec![ty])]), texts })
    }

    fn field(&mut self, of: &FieldDefinition) -> usize {
        let ty = self.type_reference(&of.ty.node);
        let arguments = of.arguments.iter().map(|argument| self.input_value(&argument.node)).collect();
        let texts = texts(&of.name.node, of.description.as_ref().map(|text| &*text.node));
        self.add_element(Element { links: HashMap::from([("type", vec![ty]), ("args", arguments)]), texts })
    }

    fn define(&mut self, definition: &TypeDefinition) {
        let element = self.named_type(&definition.name.node);
        let texts = texts(&definition.name.node, definition.description.as_ref().map(|text| &*text.node));
        let (mut fields, mut implemented) = (Vec::new(), Vec::new());
        match &definition.kind {
            TypeKind::Object(object) => {
                fields.extend(object.fields.iter().map(|field| self.field(&field.node)));
                implemented.extend(object.implements.iter().map(|name| self.named_type(&name.node)));
            }
            TypeKind::Interface(interface) => {
                fields.extend(interface.fields.iter().map(|field| self.field(&field.node)));
            }
            TypeKind::Enum(of) => {
                let values = of.values.iter().map(|value| {
                    let description = value.node.description.as_ref().map(|text| &*text.node);
                    let texts = self::texts(&value.node.value.node, description);
                    self.add_element(Element { links: HashMap::new(), texts })
                });
                let values = values.collect();
                self.link(element, "enumValues", values);
            }
            TypeKind::InputObject(input) => {
                let inputs = input.fields.iter().map(|field| self.input_value(&field.node)).collect();
                self.link(element, "inputFields", inputs);
            }
            TypeKind::Scalar | TypeKind::Union(_) => {}
        }
        for interface in &implemented {
            if let Some(interface) = self.elements.get_mut(*interface) {
                interface.links.entry("possibleTypes").or_default().push(element);
            }
        }
        self.link(element, "fields", fields);
        self.link(element, "interfaces", implemented);
        if let Some(element) = self.elements.get_mut(element) {
            element.texts = texts;
        }
    }

    /// Returns the size of the result of a root field, `__schema` or `__type`; `None` if lists are nested too deeply. Nothing is
    /// counted beyond the first field with which the size exceeds the maximum.
    #[must_use]
    pub fn size(&self, document: &ExecutableDocument, field: &Field) -> Option<Size> {
        // A type given by a variable is counted as all types: the result is not larger than that.
        let origins = match field.name.node.as_str() {
            "__type" => self.types_of(field),
            _ => Counts::from([(self.root, 1)]),
        };
        let mut size = Size { fields: 1, bytes: 16 };
        self.walk(document, &field.selection_set.node, &origins, 0, &mut size)?;
        Some(size)
    }

    /// Returns the type with the requested name, or all types if the name is a variable.
    fn types_of(&self, field: &Field) -> Counts {
        match field.get_argument("name").and_then(|name| name.node.clone().into_const()) {
            Some(Value::String(name)) => self.types.get(&name).map(|element| (*element, 1)).into_iter().collect(),
            _ => self.types.values().map(|element| (*element, 1)).collect(),
        }
    }

    fn walk(
        &self,
        document: &ExecutableDocument,
        set: &SelectionSet,
        origins: &Counts,
        lists: usize,
        size: &mut Size,
    ) -> Option<()> {
        for field in selection::fields(document, set) {
            if size.fields > MAX_COST {
                break;
            }
            self.step(document, field, origins, lists, size)?;
        }
        Some(())
    }

    fn step(
        &self,
        document: &ExecutableDocument,
        field: &Field,
        origins: &Counts,
        lists: usize,
        size: &mut Size,
    ) -> Option<()> {
        let name = field.name.node.as_str();
        let lists = lists + usize::from(LISTS.contains(&name));
        if lists > MAX_LISTS {
            return None;
        }
        let has_selection = !field.selection_set.node.items.is_empty();
        let mut targets = Counts::new();
        for (element, count) in origins {
            let Some(element) = self.elements.get(*element) else { continue };
            size.fields = size.fields.saturating_add(*count);
            let key = field.response_key().node.len() + 4;
            let length = key + if has_selection { EMPTY } else { element.texts.get(name).copied().unwrap_or(SHORT) };
            size.bytes = size.bytes.saturating_add(count.saturating_mul(length));
            for next in element.links.get(name).into_iter().flatten() {
                size.bytes = size.bytes.saturating_add(count.saturating_mul(DELIMITERS));
                let total = targets.entry(*next).or_default();
                *total = total.saturating_add(*count);
            }
        }
        self.walk(document, &field.selection_set.node, &targets, lists, size)
    }
}

fn texts(name: &str, description: Option<&str>) -> HashMap<&'static str, usize> {
    HashMap::from([("name", name.len() + 2), ("description", description.map_or(4, str::len) + 8)])
}
