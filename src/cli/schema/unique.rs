//! The rule that a schema defines each name once. Schemas are compared by names, so that all but one would be ignored.

use std::collections::BTreeMap;

use async_graphql::parser::types::{
    ConstDirective, FieldDefinition, InputValueDefinition, InterfaceType, ObjectType, TypeKind,
};
use async_graphql::{Name, Pos, Positioned};

use super::definition::{Definition, SPECIFIED_DIRECTIVES};

/// Describes what is in a schema twice, with both positions.
pub fn repeated(problem: &str, first: Pos, second: Pos) -> String {
    format!("{second}: {problem} (first at {first})")
}

/// Checks that the parts of each type and directive have different names.
///
/// # Errors
/// The first name that is there twice, with both positions.
pub fn check_names(definition: &Definition) -> Result<(), String> {
    for (name, of) in &definition.directives {
        check_inputs("argument", &of.node.arguments, |argument| format!("@{name}({argument}:)"))?;
    }
    for (name, of) in &definition.types {
        check_usages(name, &of.node.directives)?;
        check_members(name, &of.node.kind)?;
    }
    Ok(())
}

fn check_members(owner: &str, kind: &TypeKind) -> Result<(), String> {
    match kind {
        TypeKind::Scalar => Ok(()),
        TypeKind::Object(ObjectType { implements, fields })
        | TypeKind::Interface(InterfaceType { implements, fields }) => {
            check_unique(implements, |interface| format!("the type {owner} implements {interface} twice"))?;
            check_fields(owner, fields)
        }
        TypeKind::Union(of) => {
            check_unique(&of.members, |member| format!("the union {owner} has the member {member} twice"))
        }
        TypeKind::Enum(of) => {
            let names = of.values.iter().map(|value| &value.node.value);
            check_unique(names, |value| format!("the value {owner}.{value} is defined twice"))?;
            of.values
                .iter()
                .try_for_each(|value| check_usages(&format!("{owner}.{}", value.node.value), &value.node.directives))
        }
        TypeKind::InputObject(of) => check_inputs("input field", &of.fields, |field| format!("{owner}.{field}")),
    }
}

fn check_fields(owner: &str, fields: &[Positioned<FieldDefinition>]) -> Result<(), String> {
    let names = fields.iter().map(|field| &field.node.name);
    check_unique(names, |field| format!("the field {owner}.{field} is defined twice"))?;
    for field in fields {
        let coordinate = format!("{owner}.{}", field.node.name);
        check_usages(&coordinate, &field.node.directives)?;
        check_inputs("argument", &field.node.arguments, |argument| format!("{coordinate}({argument}:)"))?;
    }
    Ok(())
}

/// Checks arguments, or the fields of an input object.
fn check_inputs(
    kind: &str,
    inputs: &[Positioned<InputValueDefinition>],
    coordinate: impl Fn(&Name) -> String,
) -> Result<(), String> {
    let names = inputs.iter().map(|input| &input.node.name);
    check_unique(names, |name| format!("the {kind} {} is defined twice", coordinate(name)))?;
    inputs.iter().try_for_each(|input| check_usages(&coordinate(&input.node.name.node), &input.node.directives))
}

/// Checks the directives of an element. The parser does not tell which others may be repeated.
fn check_usages(coordinate: &str, directives: &[Positioned<ConstDirective>]) -> Result<(), String> {
    let names = directives.iter().map(|directive| &directive.node.name);
    let specified = names.filter(|name| SPECIFIED_DIRECTIVES.contains(&name.node.as_str()));
    check_unique(specified, |directive| format!("{coordinate} has the directive @{directive} twice"))
}

fn check_unique<'a>(
    names: impl IntoIterator<Item = &'a Positioned<Name>>,
    problem: impl Fn(&Name) -> String,
) -> Result<(), String> {
    let mut positions = BTreeMap::new();
    for name in names {
        if let Some(first) = positions.insert(&name.node, name.pos) {
            return Err(repeated(&problem(&name.node), first, name.pos));
        }
    }
    Ok(())
}
