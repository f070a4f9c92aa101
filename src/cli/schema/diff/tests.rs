//! The same cases as in `.ci/schema/classify.test.js`, where graphql-inspector judges them.

use super::*;

/// A change, the schema before and after it, and how each change is judged.
type Case<'a> = (&'a str, &'a str, &'a str, &'a [&'a str]);

#[rustfmt::skip]
const CASES: [Case; 29] = [
    ("a removed field", "type Query { a: Int b: Int }", "type Query { a: Int }", &["breaking Query.b"]),
    ("a removed type", "type A { x: Int } type Query { a: Int b: A }", "type Query { a: Int }", &["breaking A", "breaking Query.b"]),
    ("a removed root", "type Query { a: Int } type Mutation { b: Int }", "type Query { a: Int }", &["breaking Mutation", "breaking Mutation"]),
    ("an added field", "type Query { a: Int }", "type Query { a: Int b: Int }", &["safe Query.b"]),
    ("an output made non-null", "type Query { a: Int }", "type Query { a: Int! }", &["safe Query.a"]),
    ("an output made nullable", "type Query { a: Int! }", "type Query { a: Int }", &["breaking Query.a"]),
    ("a list item made nullable", "type Query { a: [Int!]! }", "type Query { a: [Int]! }", &["breaking Query.a"]),
    ("a new required argument", "type Query { a: Int }", "type Query { a(x: Int!): Int }", &["breaking Query.a(x:)"]),
    ("a new optional argument", "type Query { a: Int }", "type Query { a(x: Int): Int }", &["dangerous Query.a(x:)"]),
    ("a removed argument", "type Query { a(x: Int): Int }", "type Query { a: Int }", &["breaking Query.a(x:)"]),
    ("an argument made required", "type Query { a(x: Int): Int }", "type Query { a(x: Int!): Int }", &["breaking Query.a(x:)"]),
    ("an argument made optional", "type Query { a(x: Int!): Int }", "type Query { a(x: Int): Int }", &["safe Query.a(x:)"]),
    ("an argument made a list", "type Query { a(x: Int): Int }", "type Query { a(x: [Int]): Int }", &["breaking Query.a(x:)"]),
    ("another default", "type Query { a(x: Int = 1): Int }", "type Query { a(x: Int = 2): Int }", &["dangerous Query.a(x:)"]),
    ("a default lost by a required argument", "type Query { a(x: Int! = 1): Int }", "type Query { a(x: Int!): Int }", &["breaking Query.a(x:)"]),
    ("a default lost by a required input field", "input I { x: Int! = 1 } type Query { a(i: I): Int }", "input I { x: Int! } type Query { a(i: I): Int }", &["breaking I.x"]),
    ("a new required input field", "input I { x: Int } type Query { a(i: I): Int }", "input I { x: Int y: Int! } type Query { a(i: I): Int }", &["breaking I.y"]),
    ("a new required input field with a default", "input I { x: Int } type Query { a(i: I): Int }", "input I { x: Int y: Int! = 1 } type Query { a(i: I): Int }", &["dangerous I.y"]),
    ("a new optional input field", "input I { x: Int } type Query { a(i: I): Int }", "input I { x: Int y: Int } type Query { a(i: I): Int }", &["safe I.y"]),
    ("an input that must now be one of", "input I { x: Int } type Query { a(i: I): Int }", "input I @oneOf { x: Int } type Query { a(i: I): Int }", &["breaking I"]),
    ("a new enum value", "enum E { A } type Query { e: E }", "enum E { A B } type Query { e: E }", &["dangerous E.B"]),
    ("a removed enum value", "enum E { A B } type Query { e: E }", "enum E { A } type Query { e: E }", &["breaking E.B"]),
    ("an interface no longer implemented", "interface N { id: ID } type U implements N { id: ID } type Query { u: U n: N }", "interface N { id: ID } type U { id: ID } type Query { u: U n: N }", &["breaking U"]),
    ("an interface newly implemented", "interface N { id: ID } type U { id: ID } type Query { u: U n: N }", "interface N { id: ID } type U implements N { id: ID } type Query { u: U n: N }", &["dangerous U"]),
    ("a new union member", "type A { x: Int } type B { x: Int } union U = A type Query { u: U b: B }", "type A { x: Int } type B { x: Int } union U = A | B type Query { u: U b: B }", &["dangerous U"]),
    ("a deprecation", "type Query { a: Int }", "type Query { a: Int @deprecated(reason: \"b\") }", &["safe Query.a"]),
    ("another description", "type Query { \"one\" a: Int }", "type Query { \"two\" a: Int }", &["safe Query.a"]),
    ("the same in another order", "type Query { a: Int b: Int }", "type Query { b: Int a: Int }", &[]),
    ("another kind of type", "type A { x: Int } type Query { a: A }", "scalar A type Query { a: A }", &["breaking A"]),
];

#[test]
fn changes_are_classified_as_graphql_inspector_does() {
    for (what, before, after, expected) in CASES {
        let changes = diff(before, after).unwrap();
        let found: Vec<String> = changes
            .iter()
            .map(|change| {
                let level = serde_json::to_value(change.level).unwrap();
                format!("{} {}", level.as_str().unwrap(), change.coordinate)
            })
            .collect();
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn directives_of_the_specification_are_in_every_schema() {
    let plain = "directive @own on FIELD type Query { a: Int }";
    let written = format!("directive @skip(if: Boolean!) on FIELD {plain}");
    assert!(diff(plain, &written).unwrap().is_empty() && diff(&written, plain).unwrap().is_empty());
    assert_eq!(diff(&written, "type Query { a: Int }").unwrap()[0].coordinate, "@own");
}

#[test]
fn the_description_of_the_schema_is_accepted_and_a_broken_schema_is_not() {
    let described = "\"\"\"\nThe schema: a \\\"\"\" b.\n\"\"\"\nschema { query: Root }\ntype Root { a: Int }\n";
    assert!(diff(described, described).unwrap().is_empty());
    let change = diff(described, "schema { query: Root } type Root { b: Int }").unwrap().remove(0);
    assert_eq!((change.coordinate.as_str(), change.line), ("Root.a", Some(5)));
    for broken in ["type {", "type Query { a: Int } extend type Query { b: Int }"] {
        assert!(diff(broken, described).is_err(), "{broken}");
    }
}
