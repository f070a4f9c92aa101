//! The schema fulfills the contract with clients, `contract.graphql`, name by name.

use std::collections::{BTreeSet, HashMap};

use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition,
};

/// Types of the contract that are not implemented yet: the subscription and its payload.
const TO_COME: [&str; 3] = ["ChangeKind", "Subscription", "UserChange"];

fn types(sdl: &str) -> HashMap<String, TypeDefinition> {
    let definitions = parse_schema(sdl).unwrap().definitions.into_iter();
    let types = definitions.filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some((definition.node.name.node.to_string(), definition.node)),
        _ => None,
    });
    types.collect()
}

/// The differences between the contract and the served schema, each named by its place.
fn broken(promised: &HashMap<String, TypeDefinition>, served: &HashMap<String, TypeDefinition>) -> BTreeSet<String> {
    let mut broken = BTreeSet::new();
    for (name, promise) in promised {
        let Some(offer) = served.get(name) else {
            broken.insert(name.clone());
            continue;
        };
        match (&promise.kind, &offer.kind) {
            (TypeKind::Scalar, TypeKind::Scalar) => {}
            (TypeKind::Object(promise), TypeKind::Object(offer)) => {
                for interface in &promise.implements {
                    if !offer.implements.iter().any(|offered| offered.node == interface.node) {
                        broken.insert(format!("{name} implements {}", interface.node));
                    }
                }
                compare_fields(name, &promise.fields, &offer.fields, &mut broken);
            }
            (TypeKind::Interface(promise), TypeKind::Interface(offer)) => {
                compare_fields(name, &promise.fields, &offer.fields, &mut broken);
            }
            (TypeKind::Enum(promise), TypeKind::Enum(offer)) => {
                for value in &promise.values {
                    if !offer.values.iter().any(|offered| offered.node.value == value.node.value) {
                        broken.insert(format!("{name}.{}", value.node.value.node));
                    }
                }
            }
            (TypeKind::InputObject(promise), TypeKind::InputObject(offer)) => {
                compare_values(name, &promise.fields, &offer.fields, &mut broken);
            }
            _ => drop(broken.insert(format!("{name} is of another kind"))),
        }
    }
    broken
}

fn compare_fields(
    name: &str,
    promised: &[Positioned<FieldDefinition>],
    offered: &[Positioned<FieldDefinition>],
    broken: &mut BTreeSet<String>,
) {
    for promise in promised.iter().map(|promise| &promise.node) {
        let place = format!("{name}.{}", promise.name.node);
        let Some(offer) = offered.iter().map(|offer| &offer.node).find(|offer| offer.name.node == promise.name.node)
        else {
            broken.insert(place);
            continue;
        };
        if offer.ty.node.to_string() != promise.ty.node.to_string() {
            broken.insert(format!("{place}: {} is {}", promise.ty.node, offer.ty.node));
        }
        compare_values(&place, &promise.arguments, &offer.arguments, broken);
    }
}

/// Compares arguments or input fields. Added ones must be optional.
fn compare_values(
    place: &str,
    promised: &[Positioned<InputValueDefinition>],
    offered: &[Positioned<InputValueDefinition>],
    broken: &mut BTreeSet<String>,
) {
    for promise in promised.iter().map(|promise| &promise.node) {
        let place = format!("{place}({}:)", promise.name.node);
        let Some(offer) = offered.iter().map(|offer| &offer.node).find(|offer| offer.name.node == promise.name.node)
        else {
            broken.insert(place);
            continue;
        };
        if offer.ty.node.to_string() != promise.ty.node.to_string() {
            broken.insert(format!("{place} {} is {}", promise.ty.node, offer.ty.node));
        }
        let default = |value: &InputValueDefinition| value.default_value.as_ref().map(|value| value.node.to_string());
        if default(offer) != default(promise) {
            broken.insert(format!("{place} has another default"));
        }
    }
    let is_added =
        |offer: &&InputValueDefinition| promised.iter().all(|promise| promise.node.name.node != offer.name.node);
    for offer in offered.iter().map(|offer| &offer.node).filter(is_added) {
        if !offer.ty.node.nullable && offer.default_value.is_none() {
            broken.insert(format!("{place}({}:) must be given", offer.name.node));
        }
    }
}

#[test]
fn the_schema_has_everything_in_the_contract() {
    let promised = types(include_str!("contract.graphql"));
    let served = types(&roster::schema::sdl());
    let to_come: BTreeSet<String> = TO_COME.iter().map(|place| (*place).to_owned()).collect();
    assert_eq!(broken(&promised, &served), to_come);
}

#[test]
fn every_removal_and_change_is_reported() {
    let promised = types(
        "type T implements N { a(x: Int, y: Int! = 1): [String!]! b: Int } interface N { b: Int }
         enum E { P Q } input I { a: String b: Int = 2 } scalar S type Gone { a: Int }",
    );
    let served = types(
        "type T { a(x: Int!, y: Int! = 2, z: Int!): [String]! } interface N { b: Int }
         enum E { P R } input I { a: String! c: Int } type S { a: Int }",
    );
    let told: Vec<String> = broken(&promised, &served).into_iter().collect();
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
    assert_eq!(told, expected);
    assert!(broken(&promised, &promised).is_empty());
}
