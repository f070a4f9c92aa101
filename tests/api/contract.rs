//! The schema fulfills the contract with clients, `contract.graphql`, name by name.

use std::collections::{BTreeSet, HashMap};

use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition,
};

fn types(sdl: &str) -> HashMap<String, TypeDefinition> {
    let definitions = parse_schema(sdl).unwrap().definitions.into_iter();
    let types = definitions.filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some((definition.node.name.node.to_string(), definition.node)),
        _ => None,
    });
    types.collect()
}

/// The differences between the contract and the served schema, each named by its place.
fn violations(
    expected_items: &HashMap<String, TypeDefinition>,
    served: &HashMap<String, TypeDefinition>,
) -> BTreeSet<String> {
    let mut violations = BTreeSet::new();
    for (name, expected) in expected_items {
        let Some(actual) = served.get(name) else {
            violations.insert(name.clone());
            continue;
        };
        match (&expected.kind, &actual.kind) {
            (TypeKind::Scalar, TypeKind::Scalar) => {}
            (TypeKind::Object(expected), TypeKind::Object(actual)) => {
                for interface in &expected.implements {
                    if !actual.implements.iter().any(|one| one.node == interface.node) {
                        violations.insert(format!("{name} implements {}", interface.node));
                    }
                }
                compare_fields(name, &expected.fields, &actual.fields, &mut violations);
            }
            (TypeKind::Interface(expected), TypeKind::Interface(actual)) => {
                compare_fields(name, &expected.fields, &actual.fields, &mut violations);
            }
            (TypeKind::Enum(expected), TypeKind::Enum(actual)) => {
                for value in &expected.values {
                    if !actual.values.iter().any(|one| one.node.value == value.node.value) {
                        violations.insert(format!("{name}.{}", value.node.value.node));
                    }
                }
            }
            (TypeKind::InputObject(expected), TypeKind::InputObject(actual)) => {
                compare_values(name, &expected.fields, &actual.fields, &mut violations);
            }
            _ => drop(violations.insert(format!("{name} is of another kind"))),
        }
    }
    violations
}

fn compare_fields(
    name: &str,
    expected_items: &[Positioned<FieldDefinition>],
    actual_items: &[Positioned<FieldDefinition>],
    violations: &mut BTreeSet<String>,
) {
    for expected in expected_items.iter().map(|expected| &expected.node) {
        let place = format!("{name}.{}", expected.name.node);
        let Some(actual) =
            actual_items.iter().map(|actual| &actual.node).find(|actual| actual.name.node == expected.name.node)
        else {
            violations.insert(place);
            continue;
        };
        if actual.ty.node.to_string() != expected.ty.node.to_string() {
            violations.insert(format!("{place}: {} is {}", expected.ty.node, actual.ty.node));
        }
        compare_values(&place, &expected.arguments, &actual.arguments, violations);
    }
}

/// Compares arguments or input fields. Added ones must be optional.
fn compare_values(
    place: &str,
    expected_items: &[Positioned<InputValueDefinition>],
    actual_items: &[Positioned<InputValueDefinition>],
    violations: &mut BTreeSet<String>,
) {
    for expected in expected_items.iter().map(|expected| &expected.node) {
        let place = format!("{place}({}:)", expected.name.node);
        let Some(actual) =
            actual_items.iter().map(|actual| &actual.node).find(|actual| actual.name.node == expected.name.node)
        else {
            violations.insert(place);
            continue;
        };
        if actual.ty.node.to_string() != expected.ty.node.to_string() {
            violations.insert(format!("{place} {} is {}", expected.ty.node, actual.ty.node));
        }
        let default = |value: &InputValueDefinition| value.default_value.as_ref().map(|value| value.node.to_string());
        if default(actual) != default(expected) {
            violations.insert(format!("{place} has another default"));
        }
    }
    let is_added = |actual: &&InputValueDefinition| {
        expected_items.iter().all(|expected| expected.node.name.node != actual.name.node)
    };
    for actual in actual_items.iter().map(|actual| &actual.node).filter(is_added) {
        if !actual.ty.node.nullable && actual.default_value.is_none() {
            violations.insert(format!("{place}({}:) must be given", actual.name.node));
        }
    }
}

#[test]
fn the_schema_has_everything_in_the_contract() {
    let expected_items = types(include_str!("contract.graphql"));
    let served = types(&roster::schema::sdl());
    let found = violations(&expected_items, &served);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_removal_and_change_is_reported() {
    let expected_items = types(
        "type T implements N { a(x: Int, y: Int! = 1): [String!]! b: Int } interface N { b: Int }
         enum E { P Q } input I { a: String b: Int = 2 } scalar S type Gone { a: Int }",
    );
    let served = types(
        "type T { a(x: Int!, y: Int! = 2, z: Int!): [String]! } interface N { b: Int }
         enum E { P R } input I { a: String! c: Int } type S { a: Int }",
    );
    let found: Vec<String> = violations(&expected_items, &served).into_iter().collect();
    let expected = [
        "E.Q",
        "Gone",
        "I(a:) String is String!",
        "I(b:)",
        "S is of another kind",
        "T implements N",
        "T.a(x:) Int is Int!",
        "T.a(y:) has another default",
        "T.a(z:) must be given",
        "T.a: [String!]! is [String]!",
        "T.b",
    ];
    assert_eq!(found, expected);
    assert!(violations(&expected_items, &expected_items).is_empty());
}
