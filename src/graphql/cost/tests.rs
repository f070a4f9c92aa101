use async_graphql::parser::parse_query;

use super::*;

/// The standard introspection query, with every option of graphql-js.
const FULL: &str = include_str!("full_introspection.graphql");

fn costs() -> Costs {
    Costs::new(&crate::schema::sdl()).ok().unwrap()
}

fn introspection(text: &str) -> Result<Size, String> {
    costs().introspection(&parse_query(text).unwrap()).map_err(|error| format!("{error:?}"))
}

fn cost(text: &str, variables: serde_json::Value) -> usize {
    let document = parse_query(text).unwrap();
    let (_, operation) = document.operations.iter().next().unwrap();
    costs().cost(&document, &operation.node, &Variables::from_json(variables))
}

#[tokio::test]
async fn the_size_of_an_introspection_is_computed_before_execution() {
    for text in [
        FULL,
        "{ __schema { types { name fields { name type { name fields { name } } } } } }",
        "{ __schema { types { interfaces { possibleTypes { name } } } } }",
        "{ __type(name: \"User\") { fields { args { name } type { kind ofType { name } } } } }",
        "{ __schema { directives { name locations args { name } } } }",
    ] {
        let schema = crate::schema::build().finish();
        let answer = schema.execute(text).await;
        assert!(answer.is_ok(), "{:?}", answer.errors);
        let (real, computed) = (Size::of(&answer.data), introspection(text).unwrap());
        // A few of the types that every schema has differ.
        assert!(
            (real.fields * 99 / 100..=real.fields * 5 / 4 + 10).contains(&computed.fields),
            "{real:?} {computed:?} {text}"
        );
        assert!((real.bytes..=real.bytes * 3 / 2 + 500).contains(&computed.bytes), "{real:?} {computed:?} {text}");
    }
}

#[test]
fn nested_lists_of_the_schema_are_rejected() {
    let rejected = [
        "{ __schema { types { interfaces { possibleTypes { interfaces { name } } } } } }",
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        "{ __type(name: \"User\") { ...A } } fragment A on __Type { fields { type { ...B } } } \
            fragment B on __Type { fields { type { inputFields { name } } interfaces { fields { name } } } }",
        "query A { viewer { id } } query B { __schema { queryType { fields { type { fields { type { possibleTypes { name } } } } } } } }",
    ];
    for text in rejected {
        assert!(introspection(text).is_err(), "{text}");
    }
    let aliases = (0..30).map(|n| format!("a{n}: types {{ ...T }}")).collect::<Vec<_>>().join(" ");
    let text = format!(
        "{{ __schema {{ {aliases} }} }} fragment T on __Type {{ name fields {{ name args {{ name }} type {{ name }} }} }}"
    );
    assert!(introspection(&text).is_err());
}

#[test]
fn nothing_is_counted_beyond_the_maximum() {
    let document = parse_query(format!("{{ __schema {{ {} }} }}", "types { name } ".repeat(900))).unwrap();
    let (_, operation) = document.operations.iter().next().unwrap();
    let root = selection::fields(&document, &operation.node.selection_set.node);
    let [schema] = root.as_slice() else { panic!("one root field") };
    let counted = costs().introspection.size(&document, schema).unwrap().fields;
    assert!((MAX_COST..MAX_COST * 11 / 10).contains(&counted), "{counted}");
}

#[test]
fn the_cost_counts_each_field_as_often_as_it_can_occur() {
    let of = |text: &str| cost(text, serde_json::json!({}));
    let page = |first: i32| {
        let text = "query ($first: Int = 7) { users(first: $first) { nodes { id } } }";
        cost(text, serde_json::json!({ "first": first }))
    };
    assert_eq!(page(100) - page(99), 1);
    let by_default = of("query ($first: Int = 7) { users(first: $first) { nodes { id } } }");
    assert_eq!(by_default, page(7), "the default of the variable");
    assert_eq!(
        of("query ($first: Int) { users(first: $first) { nodes { id } } }"),
        page(50),
        "the default of the field"
    );
    let members = |pages: &str| of(&format!("{{ groups(first: 100) {{ nodes {{ {pages} }} }} }}"));
    let second_page = members("a: members(first: 1) { nodes { id } } b: members(first: 2) { nodes { id } }")
        - members("a: members(first: 1) { nodes { id } }");
    assert_eq!(second_page, 100 * (1 + PER_PARENT + 1 + 2) + STATEMENT);
    let count =
        members("members(first: 1) { totalCount nodes { id } }") - members("members(first: 1) { nodes { id } }");
    assert_eq!(count, 100 * (1 + PER_PARENT) + SCAN);
}

#[test]
fn the_words_of_a_search_count() {
    let search = |query: &str| {
        let text = "query ($query: String!) { searchUsers(query: $query) { totalCount } }";
        cost(text, serde_json::json!({ "query": query }))
    };
    let usual = search("Anna");
    for query in ["anna meier", "Anna-Lise O'Hara meier", "Zoe\u{308} शर्मा", "greta.ahrens@field.example.org"]
    {
        assert_eq!(search(query), usual, "{query}");
    }
    assert_eq!(search("a,b、c d"), usual + search::WORD);
    assert_eq!(search(&"a b ".repeat(50)), usual + 7 * search::WORD);
}

#[test]
fn a_page_of_changes_counts_like_other_pages() {
    let page = |first: i32| {
        let text = "query ($first: Int) { changes(first: $first) { position changes { nodeId node { id } } } }";
        cost(text, serde_json::json!({ "first": first }))
    };
    assert_eq!(page(100) - page(99), 3, "the ID of the change, the object and its ID");
    assert_eq!(cost("{ changes { position } }", serde_json::json!({})), 2 + CHANGES);
}

#[test]
fn a_change_of_a_user_costs_the_same_in_both_subscriptions() {
    let of = |text: &str| cost(text, serde_json::json!({}));
    let of_any = of("subscription { changes { kind node { ... on User { fullName groups { name } } } } }");
    let of_user = of("subscription { userChanged { kind user { fullName groups { name } } } }");
    assert_eq!(of_user, of_any);
    assert!(of_user > 2 * STATEMENT, "{of_user}");
}

#[test]
fn an_export_of_a_user_costs_more_than_other_mutations() {
    let export = cost("mutation { exportUser(input: { id: \"x\" }) { export } }", serde_json::json!({}));
    assert_eq!(export, 2 + EXPORT, "the payload and the file");
    assert!(export > 2 * CHANGES, "events about the user, and of what the user did");
}

#[test]
fn arguments_that_determine_the_length_of_a_list_count() {
    let nodes = |count: usize| {
        cost("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", serde_json::json!({ "ids": vec!["x"; count] }))
    };
    assert_eq!(nodes(100) - nodes(1), 99);
    let keys = |count: usize| {
        let text = "query ($keys: [String!]!) { ... on Query { ...A } } fragment A on Query { resolveUsers(keys: $keys) { key user { id } } }";
        cost(text, serde_json::json!({ "keys": vec!["x"; count] }))
    };
    assert_eq!(keys(1_000) - keys(1), 999 * (KEY + 3));
    let rows = |count: usize| {
        let text =
            "mutation ($input: ImportUsersInput!) { importUsers(input: $input) { results { outcome user { id } } } }";
        cost(text, serde_json::json!({ "input": { "rows": vec![serde_json::json!({}); count] } }))
    };
    assert_eq!(rows(1_000) - rows(1), 999 * (ROW + 3));
    assert!(rows(1_000) < MAX_COST);
}

#[test]
fn every_node_type_is_counted() {
    let schema = parse_schema(crate::schema::sdl()).unwrap();
    let implements_node = |definition: &&TypeSystemDefinition| match definition {
        TypeSystemDefinition::Type(definition) => match &definition.node.kind {
            TypeKind::Object(object) => object.implements.iter().any(|interface| interface.node == "Node"),
            _ => false,
        },
        _ => false,
    };
    assert_eq!(schema.definitions.iter().filter(implements_node).count(), NODE_TYPES);
}
