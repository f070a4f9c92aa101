//! The types of the served schema, and a valid request for each of its root fields.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, ObjectType, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};
use serde_json::{Map, Value, json};

use crate::user_fields::{UserField, user_field};

/// The types of the served schema.
pub static SCHEMA: LazyLock<Definition> = LazyLock::new(Definition::of_roster);

/// The types of the schema by name.
pub struct Definition(pub HashMap<String, TypeDefinition>);

/// A valid request for one root field.
#[derive(Clone, Debug)]
pub struct Operation {
    pub field: String,
    pub query: String,
    pub variables: Value,
}

/// The path of a text in the variables of a request.
pub type Place = Vec<String>;

impl Definition {
    pub fn of_roster() -> Self {
        let definitions = parse_schema(roster::schema::sdl()).unwrap().definitions;
        let types = definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some((definition.node.name.node.to_string(), definition.node)),
            _ => None,
        });
        Self(types.collect())
    }

    pub fn object(&self, name: &str) -> &ObjectType {
        match &self.0[name].kind {
            TypeKind::Object(object) => object,
            other => panic!("{name} is not an object: {other:?}"),
        }
    }

    /// The fields of an object or interface. Empty for other types.
    pub fn fields(&self, name: &str) -> Vec<&FieldDefinition> {
        match self.0.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::Object(object)) => object.fields.iter().map(|field| &field.node).collect(),
            Some(TypeKind::Interface(interface)) => interface.fields.iter().map(|field| &field.node).collect(),
            _ => Vec::new(),
        }
    }

    /// The fields of an input object. Empty for other types.
    pub fn input_fields(&self, name: &str) -> Vec<&InputValueDefinition> {
        match self.0.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::InputObject(input)) => input.fields.iter().map(|field| &field.node).collect(),
            _ => Vec::new(),
        }
    }

    /// The values of an enum. Empty for other types.
    pub fn enum_values(&self, name: &str) -> Vec<&str> {
        match self.0.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::Enum(values)) => values.values.iter().map(|value| value.node.value.node.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// The fields of an object that are scalars or enums.
    pub fn leaf_fields(&self, name: &str) -> Vec<&str> {
        let fields = self.fields(name).into_iter().filter(|field| self.fields(innermost(&field.ty.node)).is_empty());
        fields.map(|field| field.name.node.as_str()).collect()
    }

    /// The fields of Query, then those of Mutation, each with whether it is a mutation.
    pub fn root_fields(&self) -> Vec<(bool, &FieldDefinition)> {
        let queries = self.fields("Query").into_iter().map(|field| (false, field));
        queries.chain(self.fields("Mutation").into_iter().map(|field| (true, field))).collect()
    }

    /// A valid request for each root field, with all arguments that are compatible with each other and a selection down
    /// to `depth`. `ids` returns the id for an argument or input field of a root field.
    pub fn operations(&self, depth: usize, ids: &dyn Fn(&str, &str) -> Option<String>) -> Vec<Operation> {
        let fields = self.root_fields().into_iter();
        fields.map(|(is_mutation, field)| self.operation(is_mutation, field, depth, ids)).collect()
    }

    fn operation(
        &self,
        is_mutation: bool,
        field: &FieldDefinition,
        depth: usize,
        ids: &dyn Fn(&str, &str) -> Option<String>,
    ) -> Operation {
        let name = field.name.node.to_string();
        let (mut declared, mut given, mut variables) = (Vec::new(), Vec::new(), Map::new());
        for argument in &field.arguments {
            let InputValueDefinition { name: argument, ty, .. } = &argument.node;
            let value = self.value(&name, &argument.node, &ty.node, ids);
            if value.is_null() && ty.node.nullable {
                continue;
            }
            declared.push(format!("${}: {}", argument.node, ty.node));
            given.push(format!("{0}: ${0}", argument.node));
            variables.insert(argument.node.to_string(), value);
        }
        let in_brackets =
            |texts: &[String]| if texts.is_empty() { String::new() } else { format!("({})", texts.join(", ")) };
        let query = format!(
            "{} A{} {{ {name}{} {} }}",
            if is_mutation { "mutation" } else { "query" },
            in_brackets(&declared),
            in_brackets(&given),
            self.selection(innermost(&field.ty.node), depth),
        );
        Operation { field: name, query, variables: Value::Object(variables) }
    }

    /// A selection of every field that needs no arguments, down to a depth.
    fn selection(&self, name: &str, depth: usize) -> String {
        let fields = self.fields(name);
        if fields.is_empty() {
            return String::new();
        }
        let mut texts = vec!["__typename".to_owned()];
        for field in fields {
            let inner = innermost(&field.ty.node);
            let is_leaf = self.fields(inner).is_empty();
            if is_leaf {
                texts.push(field.name.node.to_string());
            } else if depth > 0 && field.arguments.iter().all(|argument| argument.node.ty.node.nullable) {
                let is_page = field.arguments.iter().any(|argument| argument.node.name.node == "first");
                let first = if is_page { "(first: 2)" } else { "" };
                texts.push(format!("{}{first} {}", field.name.node, self.selection(inner, depth - 1)));
            }
        }
        format!("{{ {} }}", texts.join(" "))
    }

    /// A value that fits a type and, as far as names tell, the rules of its field.
    fn value(&self, of: &str, name: &str, ty: &Type, ids: &dyn Fn(&str, &str) -> Option<String>) -> Value {
        let inner = match &ty.base {
            BaseType::List(inner) => return json!([self.value(of, name, inner, ids)]),
            BaseType::Named(inner) => inner.as_str(),
        };
        match inner {
            "ID" => ids(of, name).map_or(Value::Null, Value::String),
            "Int" => match name {
                "last" => Value::Null,
                _ => json!(2),
            },
            "Float" => json!(1.5),
            "Boolean" => json!(false),
            "Date" => json!("1980-07-08"),
            "DateTime" if name == "until" => json!("2126-01-02T03:04:05Z"),
            "DateTime" => json!("2026-01-02T03:04:05Z"),
            "JSON" => json!("Ann Other"),
            "URL" => json!("https://www.example.org/"),
            "Upload" => Value::Null,
            "String" => text(name).map_or(Value::Null, Value::from),
            _ => match &self.0[inner].kind {
                TypeKind::Enum(values) => json!(values.values.last().unwrap().node.value.node.as_str()),
                TypeKind::InputObject(input) => {
                    let mut members = Map::new();
                    // Fields with the type of their own input, such as nested filters, are omitted.
                    let others = input.fields.iter().filter(|field| innermost(&field.node.ty.node) != inner);
                    for field in others {
                        let field = &field.node;
                        let value = self.value(of, &field.name.node, &field.ty.node, ids);
                        if !(value.is_null() && field.ty.node.nullable) {
                            members.insert(field.name.node.to_string(), value);
                        }
                    }
                    if self.is_one_of(inner) {
                        members.retain(|name, _| name == "id");
                    }
                    // Values of custom attributes would need a defined attribute.
                    members.remove("attribute");
                    // Each field of a filter takes one comparison.
                    if members.contains_key("eq") {
                        members.retain(|name, _| name == "eq");
                    }
                    Value::Object(members)
                }
                other => panic!("no value for {name}: {other:?}"),
            },
        }
    }

    fn is_one_of(&self, name: &str) -> bool {
        self.0[name].directives.iter().any(|directive| directive.node.name.node == "oneOf")
    }

    /// Each request once for each of its texts and ids, with the path of the text. For a oneOf input, each field is set
    /// in turn.
    pub fn texts(&self, operations: &[Operation]) -> Vec<(Operation, Place)> {
        let mut found = Vec::new();
        for operation in operations {
            let root = self
                .root_fields()
                .into_iter()
                .find(|(_, field)| field.name.node == operation.field.as_str())
                .unwrap()
                .1;
            for argument in &root.arguments {
                let (name, ty) = (argument.node.name.node.to_string(), &argument.node.ty.node);
                let BaseType::Named(inner) = &ty.base else {
                    found.push((operation.clone(), vec![name, "0".to_owned()]));
                    continue;
                };
                match self.0.get(inner.as_str()).map(|definition| &definition.kind) {
                    Some(TypeKind::InputObject(input)) => {
                        for field in input.fields.iter().filter(|field| self.is_text(&field.node.ty.node)) {
                            let mut operation = operation.clone();
                            if self.is_one_of(inner) {
                                operation.variables[&name] = json!({});
                            }
                            found.push((operation, vec![name.clone(), field.node.name.node.to_string()]));
                        }
                    }
                    _ if self.is_text(ty) => {
                        let mut operation = operation.clone();
                        if operation.variables.get(&name).is_none() {
                            let field = &operation.field;
                            let declared = if operation.query.starts_with("query A(") {
                                operation.query.replacen("query A(", &format!("query A(${name}: {ty}, "), 1)
                            } else {
                                operation.query.replacen("query A", &format!("query A(${name}: {ty})"), 1)
                            };
                            operation.query =
                                declared.replacen(&format!("{field}("), &format!("{field}({name}: ${name}, "), 1);
                        }
                        found.push((operation, vec![name]));
                    }
                    _ => {}
                }
            }
        }
        found
    }

    fn is_text(&self, ty: &Type) -> bool {
        let name = innermost(ty);
        matches!(name, "String" | "ID") || matches!(self.0.get(name).map(|of| &of.kind), Some(TypeKind::Scalar))
    }
}

/// A valid text for a field of this name. None if the field is better omitted.
fn text(name: &str) -> Option<String> {
    let text = match name {
        "after" | "before" | "username" => return None,
        "email" | "login" => "ann.other@example.org",
        "password" => "seven-brass-otters-waltz",
        "country" => "AU",
        "query" => "tester",
        "nameContains" => "a",
        _ => user_field(name).and_then(UserField::example).and_then(Value::as_str).unwrap_or("Ann Other"),
    };
    Some(text.to_owned())
}

/// The name of the innermost type.
pub fn innermost(ty: &Type) -> &str {
    match &ty.base {
        BaseType::List(inner) => innermost(inner),
        BaseType::Named(name) => name,
    }
}
