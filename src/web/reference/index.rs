//! The elements of a schema, and where they are used.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::types::{
    BaseType, InterfaceType, ObjectType, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};

/// The elements to which a description may refer by their name alone: types, mutations and error codes.
const PREFIXES: [&str; 3] = ["", "Mutation.", "ErrorCode."];

/// The elements of a schema, and where they are used.
#[derive(Default)]
pub struct Index {
    /// The anchors of all types and of their elements.
    pub anchors: BTreeSet<String>,
    /// The fields and arguments of each type.
    pub uses: BTreeMap<String, Vec<String>>,
    /// The types that implement each interface.
    pub implementors: BTreeMap<String, Vec<String>>,
}

impl Index {
    /// Collects the elements of a schema.
    pub fn of(definitions: &[TypeSystemDefinition]) -> Self {
        let mut index = Self::default();
        for definition in definitions {
            if let TypeSystemDefinition::Type(definition) = definition {
                index.add(&definition.node);
            }
        }
        index
    }

    fn add(&mut self, definition: &TypeDefinition) {
        let name = definition.name.node.as_str();
        self.anchors.insert(name.to_owned());
        match &definition.kind {
            TypeKind::Object(ObjectType { implements, fields })
            | TypeKind::Interface(InterfaceType { implements, fields }) => {
                for interface in implements {
                    self.implementors.entry(interface.node.to_string()).or_default().push(name.to_owned());
                }
                for field in fields.iter().map(|field| &field.node) {
                    self.add_use(&field.ty.node, format!("{name}.{}", field.name.node));
                    for argument in field.arguments.iter().map(|argument| &argument.node) {
                        self.add_use(&argument.ty.node, format!("{name}.{}({}:)", field.name.node, argument.name.node));
                    }
                }
            }
            TypeKind::InputObject(input) => {
                for field in input.fields.iter().map(|field| &field.node) {
                    self.add_use(&field.ty.node, format!("{name}.{}", field.name.node));
                }
            }
            TypeKind::Enum(of) => {
                self.anchors.extend(of.values.iter().map(|value| format!("{name}.{}", value.node.value.node)));
            }
            TypeKind::Union(_) | TypeKind::Scalar => {}
        }
    }

    fn add_use(&mut self, ty: &Type, anchor: String) {
        self.uses.entry(innermost(ty).to_owned()).or_default().push(anchor.clone());
        self.anchors.insert(anchor);
    }

    /// Returns the anchor of the element that a code in a description names.
    pub fn anchor_of(&self, code: &str) -> Option<String> {
        let mut anchors = PREFIXES.iter().map(|prefix| format!("{prefix}{code}"));
        anchors.find(|anchor| self.anchors.contains(anchor))
    }
}

/// Returns the name of a type without lists.
pub fn innermost(ty: &Type) -> &str {
    match &ty.base {
        BaseType::List(inner) => innermost(inner),
        BaseType::Named(name) => name.as_str(),
    }
}
