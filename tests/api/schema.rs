//! The schema: the committed file is current, everything is described, lists are bounded, and anonymous callers have no
//! access.

mod descriptions;

use async_graphql::Positioned;
use async_graphql::parser::types::{BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind};
use serde_json::{Value, json};

use crate::app::App;
use crate::definition::{Definition, innermost};

/// The root fields that anonymous callers may use.
const OPEN: [&str; 7] = [
    "viewer",
    "login",
    "activateAccount",
    "requestPasswordReset",
    "resetPassword",
    "confirmEmailChange",
    "registerUser",
];

#[test]
fn the_committed_schema_is_the_served_one() {
    let committed = include_str!("../../schema.graphql");
    let served = roster::schema::described_sdl();
    let differing = committed.lines().zip(served.lines()).enumerate().find(|(_, (old, new))| old != new);
    assert!(
        committed == served,
        "schema.graphql is not the served schema; `cargo run -- schema > schema.graphql` updates it. \
         The first difference: {differing:?}"
    );
}

/// Words that descriptions must not contain, because a plainer one exists.
const AVOIDED: [&str; 14] = [
    "he",
    "him",
    "his",
    "she",
    "her",
    "person",
    "people",
    "persons",
    "somebody",
    "everybody",
    "whoever",
    "e-mail",
    "slip",
    "faults",
];
/// Words that must not start a sentence.
const QUESTIONS: [&str; 6] = ["What ", "Who ", "Which ", "By what ", "How ", "Where "];
/// The limit for the words of a sentence.
const MAX_SENTENCE_LENGTH: usize = 40;

/// The problem with the English of a description, if any.
fn fault_of(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && !"-'`".contains(c)).collect();
    if let Some(word) = words.iter().find(|word| AVOIDED.contains(&word.to_lowercase().as_str())) {
        return Some(format!("says `{word}`"));
    }
    let sentences: Vec<&str> = text.split(['.', ';', ':']).map(str::trim).collect();
    if let Some(word) = QUESTIONS.iter().find(|word| sentences.iter().any(|one| one.starts_with(*word))) {
        return Some(format!("begins a sentence with `{word}`"));
    }
    if sentences.iter().any(|one| one.split_whitespace().count() > MAX_SENTENCE_LENGTH) {
        return Some("has a long sentence".to_owned());
    }
    if text.contains("where nothing is said") || text.contains("where none") {
        return Some("says `by default` or `null if` in other words".to_owned());
    }
    (!text.trim_end().ends_with(['.', ':', '`'])).then(|| "has no full stop".to_owned())
}

#[test]
fn descriptions_are_plain_sentences() {
    let text = roster::schema::sdl();
    let descriptions =
        text.split("\"\"\"").skip(1).step_by(2).map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "));
    // Written by async-graphql.
    let foreign = [
        "A cursor for use in pagination",
        "The item at the end of the edge",
        "Information about pagination in a connection",
        "When paginating forwards, are there more items?",
        "When paginating backwards, are there more items?",
        "When paginating backwards, the cursor to continue.",
        "When paginating forwards, the cursor to continue.",
    ];
    let of_directives = roster::http::introspection::DIRECTIVES;
    let errors: Vec<String> = descriptions
        .filter(|one| !foreign.contains(&one.as_str()) && !of_directives.contains(one.as_str()))
        .filter_map(|one| fault_of(&one).map(|error| format!("{error}: {one}")))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    for bad in ["What the person does.", "The user's e-mail.", "No stop", "Null where none is."] {
        assert!(fault_of(bad).is_some(), "{bad}");
    }
}

#[test]
fn everything_in_the_schema_is_described() {
    let definition = Definition::of_roster();
    let mut bare = Vec::new();
    let mut check = |place: String, description: &Option<Positioned<String>>| {
        if description.as_ref().is_none_or(|text| text.node.trim().len() < 3) {
            bare.push(place);
        }
    };
    let in_brackets = |owner: &str, value: &InputValueDefinition| format!("{owner}({}:)", value.name.node);
    for (name, of) in &definition.0 {
        check(name.clone(), &of.description);
        for field in definition.fields(name) {
            let place = format!("{name}.{}", field.name.node);
            check(place.clone(), &field.description);
            for argument in &field.arguments {
                check(in_brackets(&place, &argument.node), &argument.node.description);
            }
        }
        match &of.kind {
            TypeKind::Enum(values) => {
                for value in &values.values {
                    check(format!("{name}.{}", value.node.value.node), &value.node.description);
                }
            }
            TypeKind::InputObject(input) => {
                for field in &input.fields {
                    check(in_brackets(name, &field.node), &field.node.description);
                }
            }
            _ => {}
        }
    }
    bare.sort();
    assert!(bare.is_empty(), "without a description: {bare:#?}");
}

#[test]
fn every_list_of_objects_is_a_connection_or_names_its_limit() {
    let definition = Definition::of_roster();
    let mut boundless = Vec::new();
    for name in definition.0.keys() {
        for field in definition.fields(name) {
            let of_objects = is_list(&field.ty.node) && !definition.fields(innermost(&field.ty.node)).is_empty();
            let of_connection = name.ends_with("Connection") && matches!(field.name.node.as_str(), "edges" | "nodes");
            if of_objects && !of_connection && !names_bound(field) {
                boundless.push(format!("{name}.{}", field.name.node));
            }
        }
    }
    boundless.sort();
    assert!(boundless.is_empty(), "neither a connection nor described with \"at most N\": {boundless:#?}");
}

#[test]
fn every_list_argument_names_its_limit() {
    let definition = Definition::of_roster();
    let mut boundless = Vec::new();
    let mut check = |owner: &str, value: &InputValueDefinition| {
        if is_list(&value.ty.node) && !says_at_most(value.description.as_ref()) {
            boundless.push(format!("{owner}({}:)", value.name.node));
        }
    };
    for (name, of) in &definition.0 {
        for field in definition.fields(name) {
            field.arguments.iter().for_each(|argument| check(&field.name.node, &argument.node));
        }
        if let TypeKind::InputObject(input) = &of.kind {
            input.fields.iter().for_each(|field| check(name, &field.node));
        }
    }
    assert!(boundless.is_empty(), "not described with \"at most N\": {boundless:#?}");
}

#[test]
fn every_connection_has_edges_nodes_page_info_and_a_total_count() {
    let definition = Definition::of_roster();
    for name in definition.0.keys().filter(|name| name.ends_with("Connection")) {
        let mut fields: Vec<String> =
            definition.fields(name).iter().map(|field| format!("{}: {}", field.name.node, field.ty.node)).collect();
        fields.sort();
        let edge = name.replace("Connection", "Edge");
        assert_eq!(fields[0], format!("edges: [{edge}!]!"), "{name}");
        assert!(fields[1].starts_with("nodes: ["), "{name}: {fields:?}");
        fields.retain(|field| name != "UserConnection" || field != "position: String!");
        assert_eq!(&fields[2..], ["pageInfo: PageInfo!", "totalCount: Int!", "totalCountIsExact: Boolean!"], "{name}");
    }
}

#[test]
fn every_mutation_is_nullable_and_returns_a_mutation_payload() {
    let definition = Definition::of_roster();
    for field in definition.fields("Mutation") {
        assert!(
            field.ty.node.nullable,
            "Mutation.{} is not nullable, so its error would discard the others",
            field.name.node
        );
        let payload = innermost(&field.ty.node);
        let interfaces: Vec<&str> =
            definition.object(payload).implements.iter().map(|name| name.node.as_str()).collect();
        assert_eq!(interfaces, ["MutationPayload"], "{payload} of Mutation.{}", field.name.node);
    }
}

on_every_database! {
    async fn anonymous_callers_can_only_query_the_viewer_and_sign_in(app: App) {
        let user = app.user().await;
        let operations = Definition::of_roster().operations(1, &|_, _| Some(user.id()));
        assert!(operations.len() >= 19, "{}", operations.len());
        for operation in operations {
            let body = json!({ "query": operation.query, "variables": operation.variables });
            let (status, response) = app.anonymous().post(&body).await;
            let codes: Vec<&Value> = response["errors"]
                .as_array()
                .map(|errors| errors.iter().map(|error| &error["extensions"]["code"]).collect())
                .unwrap_or_default();
            if OPEN.contains(&operation.field.as_str()) {
                assert!(status == 200 && codes.is_empty(), "{}: {response:#}", operation.field);
            } else {
                assert_eq!(codes, ["UNAUTHENTICATED"], "{}: {response:#}", operation.query);
                assert!(response["data"].is_null() || response["data"][&operation.field].is_null(), "{}: {response:#}", operation.field);
            }
        }
    }

    async fn every_root_field_works_for_an_administrator(app: App) {
        let superuser = app.superuser().await;
        let target = app.user().await;
        let group = superuser.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await;
        let institution = json!({ "name": "Site", "kind": "HOSPITAL", "country": "AU" });
        let institution = superuser.mutate("createInstitution", "institution { id }", institution).await;
        let ids = |of: &str, name: &str| {
            let id = match (of, name) {
                ("group", _) | (_, "groupId") => group["group"]["id"].as_str().unwrap().to_owned(),
                ("institution", _) | (_, "institutionId") => institution["institution"]["id"].as_str().unwrap().to_owned(),
                ("license", _) => app.license.0.to_string(),
                _ => target.id(),
            };
            Some(id)
        };
        let definition = Definition::of_roster();
        for (deep, flat) in definition.operations(3, &ids).into_iter().zip(definition.operations(2, &ids)) {
            if deep.field == "logout" {
                continue; // the others still need the session
            }
            let mut operation = deep;
            let mut response = superuser.execute(&operation.query, operation.variables.clone()).await;
            if response["errors"][0]["extensions"]["code"] == "DOCUMENT_TOO_LARGE" {
                operation = flat;
                response = superuser.execute(&operation.query, operation.variables.clone()).await;
            }
            assert!(response.get("errors").is_none(), "{}\n{:#}\n{response:#}", operation.query, operation.variables);
            assert!(!response["data"][&operation.field].is_null(), "{}\n{response:#}", operation.query);
        }
    }
}

fn is_list(ty: &Type) -> bool {
    matches!(ty.base, BaseType::List(_))
}

fn names_bound(field: &FieldDefinition) -> bool {
    says_at_most(field.description.as_ref())
}

/// A description in one line.
fn text_of(description: Option<&Positioned<String>>) -> String {
    let words: Vec<&str> = description.iter().flat_map(|text| text.node.split_whitespace()).collect();
    words.join(" ")
}

/// Whether a description contains "at most" and a number.
fn says_at_most(description: Option<&Positioned<String>>) -> bool {
    let text = text_of(description).to_lowercase();
    text.split("at most ").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
