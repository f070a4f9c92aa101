//! The parts of the page, made from the definitions of a schema.

use std::collections::BTreeMap;

use async_graphql::parser::types::{
    ConstDirective, DirectiveDefinition, EnumValueDefinition, FieldDefinition, InputValueDefinition, InterfaceType,
    ObjectType, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Positioned, Value};

use super::index::{Index, innermost};
use super::{Element, Relation, RichText, SchemaEntry, Section, Span, TITLES, TypeLink};

impl Index {
    pub(super) fn sections(&self, definitions: &[TypeSystemDefinition]) -> Vec<Section> {
        let section = |title: &'static str| {
            let of_section = definitions.iter().filter(|definition| title_of(definition) == Some(title));
            Section { title, entries: of_section.filter_map(|definition| self.entry(definition)).collect() }
        };
        TITLES.into_iter().map(section).filter(|section| !section.entries.is_empty()).collect()
    }

    fn entry(&self, definition: &TypeSystemDefinition) -> Option<SchemaEntry> {
        match definition {
            TypeSystemDefinition::Schema(_) => None,
            TypeSystemDefinition::Type(definition) => Some(self.type_entry(&definition.node)),
            TypeSystemDefinition::Directive(directive) => Some(self.directive_entry(&directive.node)),
        }
    }

    fn type_entry(&self, definition: &TypeDefinition) -> SchemaEntry {
        let name = definition.name.node.as_str();
        let elements = match &definition.kind {
            TypeKind::Object(ObjectType { fields, .. }) | TypeKind::Interface(InterfaceType { fields, .. }) => {
                fields.iter().map(|field| self.field(name, &field.node)).collect()
            }
            TypeKind::InputObject(input) => {
                let anchor = |field: &InputValueDefinition| format!("{name}.{}", field.name.node);
                input.fields.iter().map(|field| self.input_value(anchor(&field.node), &field.node)).collect()
            }
            TypeKind::Enum(of) => of.values.iter().map(|value| self.enum_value(name, &value.node)).collect(),
            TypeKind::Union(_) | TypeKind::Scalar => Vec::new(),
        };
        SchemaEntry {
            anchor: name.to_owned(),
            description: self.description(definition.description.as_ref()),
            specification: directive_text(&definition.directives, "specifiedBy", "url"),
            elements,
            relations: self.relations(definition),
        }
    }

    fn directive_entry(&self, directive: &DirectiveDefinition) -> SchemaEntry {
        let anchor = format!("@{}", directive.name.node);
        let elements = directive.arguments.iter().map(|argument| self.argument(&anchor, &argument.node)).collect();
        let description = self.description(directive.description.as_ref());
        SchemaEntry { anchor, description, specification: None, elements, relations: Vec::new() }
    }

    fn relations(&self, definition: &TypeDefinition) -> Vec<Relation> {
        let name = definition.name.node.as_str();
        let (implements, members) = match &definition.kind {
            TypeKind::Object(ObjectType { implements, .. }) | TypeKind::Interface(InterfaceType { implements, .. }) => {
                (names(implements), Vec::new())
            }
            TypeKind::Union(of) => (Vec::new(), names(&of.members)),
            TypeKind::InputObject(_) | TypeKind::Enum(_) | TypeKind::Scalar => (Vec::new(), Vec::new()),
        };
        let related = |map: &BTreeMap<String, Vec<String>>| map.get(name).cloned().unwrap_or_default();
        let relations = [
            ("Implements", implements),
            ("Possible types:", members),
            ("Implemented by", related(&self.implementors)),
            ("Used by", related(&self.uses)),
        ];
        let relations = relations.into_iter().filter(|(_, anchors)| !anchors.is_empty());
        relations.map(|(label, anchors)| Relation { label, anchors }).collect()
    }

    fn field(&self, of: &str, field: &FieldDefinition) -> Element {
        let anchor = format!("{of}.{}", field.name.node);
        let arguments = field.arguments.iter().map(|argument| self.argument(&anchor, &argument.node)).collect();
        let type_link = Some(self.type_link(&field.ty.node));
        let element = self.element(anchor, &field.name.node, field.description.as_ref(), &field.directives);
        Element { type_link, arguments, ..element }
    }

    fn argument(&self, of: &str, argument: &InputValueDefinition) -> Element {
        self.input_value(format!("{of}({}:)", argument.name.node), argument)
    }

    fn input_value(&self, anchor: String, value: &InputValueDefinition) -> Element {
        let type_link = Some(self.type_link(&value.ty.node));
        let default_value = value.default_value.as_ref().map(|default| default.node.to_string());
        let element = self.element(anchor, &value.name.node, value.description.as_ref(), &value.directives);
        Element { type_link, default_value, ..element }
    }

    fn enum_value(&self, of: &str, value: &EnumValueDefinition) -> Element {
        let anchor = format!("{of}.{}", value.value.node);
        self.element(anchor, &value.value.node, value.description.as_ref(), &value.directives)
    }

    fn element(
        &self,
        anchor: String,
        name: &Name,
        description: Option<&Positioned<String>>,
        directives: &[Positioned<ConstDirective>],
    ) -> Element {
        let deprecation = directive_text(directives, "deprecated", "reason").map(|reason| self.text(&reason));
        Element {
            anchor,
            name: name.to_string(),
            type_link: None,
            default_value: None,
            deprecation,
            description: self.description(description),
            arguments: Vec::new(),
        }
    }

    fn type_link(&self, ty: &Type) -> TypeLink {
        let (text, name) = (ty.to_string(), innermost(ty));
        let (before, after) = text.split_once(name).unwrap_or_default();
        let is_defined = self.anchors.contains(name);
        TypeLink { before: before.to_owned(), name: name.to_owned(), after: after.to_owned(), is_defined }
    }

    fn description(&self, description: Option<&Positioned<String>>) -> RichText {
        self.text(description.map_or("", |description| description.node.as_str()))
    }

    /// Returns a text whose code is between backticks.
    pub(super) fn text(&self, text: &str) -> RichText {
        let span = |(nth, text): (usize, &str)| {
            let is_code = nth % 2 == 1;
            Span { text: text.to_owned(), is_code, anchor: if is_code { self.anchor_of(text) } else { None } }
        };
        RichText { spans: text.split('`').enumerate().map(span).collect() }
    }
}

/// Returns the title of the section of a definition.
fn title_of(definition: &TypeSystemDefinition) -> Option<&'static str> {
    let definition = match definition {
        TypeSystemDefinition::Schema(_) => return None,
        TypeSystemDefinition::Directive(_) => return Some("Directives"),
        TypeSystemDefinition::Type(definition) => &definition.node,
    };
    Some(match (definition.name.node.as_str(), &definition.kind) {
        ("Query", _) => "Queries",
        ("Mutation", _) => "Mutations",
        ("Subscription", _) => "Subscriptions",
        (_, TypeKind::Object(_)) => "Objects",
        (_, TypeKind::Interface(_)) => "Interfaces",
        (_, TypeKind::Union(_)) => "Unions",
        (_, TypeKind::InputObject(_)) => "Input objects",
        (_, TypeKind::Enum(_)) => "Enums",
        (_, TypeKind::Scalar) => "Scalars",
    })
}

/// Returns the text of an argument of a directive; empty if it is absent, `None` without the directive.
fn directive_text(directives: &[Positioned<ConstDirective>], name: &str, argument: &str) -> Option<String> {
    let directive = directives.iter().find(|directive| directive.node.name.node == name)?;
    match directive.node.get_argument(argument).map(|value| &value.node) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => Some(String::new()),
    }
}

fn names(names: &[Positioned<Name>]) -> Vec<String> {
    names.iter().map(|name| name.node.to_string()).collect()
}
