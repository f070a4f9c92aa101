//! The schema as a product: its file over HTTP, who may read it, its changes, and the check of a client's operations.

use std::fs;

use async_graphql::parser::types::TypeKind;
use chrono::{Months, NaiveDate};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD};
use crate::compression::decoded;
use crate::definition::Definition;
use crate::process::{ADMIN, Sandbox};
use crate::wire::RawClient;

const COMMITTED: &str = include_str!("../../schema.graphql");
const DESCRIPTION: &str = "{ __schema { description } }";

#[tokio::test]
async fn the_schema_is_served_as_a_file_with_an_entity_tag() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let response = client.get("/schema.graphql").await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert!(response.body == COMMITTED, "the served schema differs from schema.graphql");
    assert_eq!(response.header("content-encoding"), None);
    let etag = response.header("etag").unwrap().to_owned();
    let strong = etag.strip_prefix("W/").expect("the file is sent in several encodings");
    for encoding in ["br", "gzip", "zstd"] {
        let request = reqwest::Client::new().get(format!("{}/schema.graphql", app.url()));
        let response = request.header("accept-encoding", encoding).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("content-encoding").as_str(), header("etag")), (encoding, etag.clone()));
        let body = response.bytes().await.unwrap();
        assert!(body.len() < COMMITTED.len() / 2, "{encoding}: {} of {} bytes", body.len(), COMMITTED.len());
        assert!(decoded(encoding, &body) == COMMITTED.as_bytes(), "{encoding}");
    }
    for tags in [etag.clone(), strong.to_owned(), format!("\"x\", {etag}"), "*".to_owned()] {
        let cached = client.send("GET", "/schema.graphql", &format!("If-None-Match: {tags}\r\n"), b"").await;
        assert_eq!(
            (cached.status, cached.body.as_str(), cached.header("etag")),
            (304, "", Some(etag.as_str())),
            "{tags}"
        );
    }
    assert_eq!(client.send("GET", "/schema.graphql", "If-None-Match: \"x\"\r\n", b"").await.status, 200);
    let head = client.raw(b"HEAD /schema.graphql HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((head.status, head.header("etag")), (200, Some(etag.as_str())));
    assert_eq!(client.send("POST", "/schema.graphql", "", b"").await.status, 405);
}

in_every_sandbox! {
    async fn the_schema_can_be_reserved_to_administrators_or_to_nobody(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        for (readers, may_read) in [("administrators", true), ("nobody", false)] {
            let server = sandbox.serve(&["--introspection", readers]).await;
            let (root, anonymous) = (server.sign_in(ADMIN).await, server.caller(None));
            let input = json!({ "firstName": "Ann", "lastName": "Moss", "username": readers, "password": PASSWORD });
            let create = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success } }";
            assert_eq!(root.data(create, json!({ "input": input })).await["createUser"]["success"], true);
            let ann = server.sign_in(readers).await;
            for (caller, expected) in [(&root, may_read), (&ann, false), (&anonymous, false)] {
                for document in [DESCRIPTION, "query A { viewer { id } } query B { __type(name: \"User\") { name } }"] {
                    let body = json!({ "query": document, "operationName": document.starts_with("query").then_some("B") });
                    let request = reqwest::Client::new().post(server.url("/graphql")).json(&body);
                    let request = caller.token.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
                    let response: Value = request.send().await.unwrap().json().await.unwrap();
                    let code = response.pointer("/errors/0/extensions/code").and_then(Value::as_str);
                    assert_eq!(code, (!expected).then_some("FORBIDDEN"), "{readers}: {response:#}");
                }
                let file = reqwest::Client::new().get(server.url("/schema.graphql"));
                let file = caller.token.iter().fold(file, reqwest::RequestBuilder::bearer_auth);
                assert_eq!(file.send().await.unwrap().status().as_u16(), if expected { 200 } else { 403 }, "{readers}");
                caller.data("{ __typename viewer { __typename id } }", json!({})).await;
                let misspelled = caller.try_execute("{ viewer { fristName } }", &json!({})).await.unwrap();
                let message = misspelled.pointer("/errors/0/message").and_then(Value::as_str).unwrap();
                assert!(message.contains("fristName") && !message.contains("Did you mean"), "{readers}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn changes_since_an_older_schema_are_listed_with_an_exit_code() {
    let sandbox = Sandbox::on_sqlite();
    let run = async |old: String, format: &str| {
        fs::write(sandbox.path("old.graphql"), old).unwrap();
        sandbox.run(&["schema", "--diff", "old.graphql", "--format", format]).await
    };
    let same = run(COMMITTED.to_owned(), "text").await;
    assert_eq!((same.code, same.out.as_str(), same.err.as_str()), (0, "The schema has not changed.\n", ""));
    assert_eq!(run(COMMITTED.to_owned(), "json").await.out, "[]\n");
    // graphql-js prints a schema without the directives of the specification.
    let (printed, _) =
        COMMITTED.split_once("\"\"\"\nMarks an element of a GraphQL schema as no longer supported.").unwrap();
    assert_eq!(run(printed.to_owned(), "text").await.out, "The schema has not changed.\n");

    let without_role =
        COMMITTED.replacen("type ApiKey implements Node {", "type ApiKey implements Node {\n\told: Int", 1);
    let breaking = run(without_role.clone(), "text").await;
    assert_eq!(
        (breaking.code, breaking.out.as_str()),
        (1, "breaking   ApiKey.old  The field was removed\n"),
        "{breaking:?}"
    );
    let line = without_role.lines().position(|line| line == "\told: Int").unwrap() + 1;
    let github = run(without_role.clone(), "github").await;
    let annotation = format!(
        "::error file=old.graphql,line={line},title=Breaking change of the schema::ApiKey.old: The field was removed\n"
    );
    assert_eq!((github.code, github.out), (1, annotation));
    let json = run(without_role, "json").await;
    let expected =
        json!([{ "level": "breaking", "coordinate": "ApiKey.old", "message": "The field was removed", "line": line }]);
    assert_eq!((json.code, serde_json::from_str::<Value>(&json.out).unwrap()), (1, expected));

    let without_enum_value = COMMITTED.replacen("\tDOCUMENTS_PUBLISHED\n", "\tDOCUMENTS_PUBLISHED_OLD\n", 1);
    let several = run(without_enum_value, "text").await;
    let levels: Vec<&str> = several.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!((several.code, levels), (1, vec!["breaking", "dangerous"]), "{several:?}");
    assert_eq!(run("type Query {".to_owned(), "text").await.code, 2);
    for usage in [
        &["schema", "--diff", "missing.graphql"][..],
        &["schema", "--diff"],
        &["schema", "--format", "xml"],
        &["schema", "--format", "github"],
        &["schema", "--diff", "old.graphql", "--check-operations", "."],
        &["schema", "--check-operations", "missing"],
    ] {
        let wrong = sandbox.run(usage).await;
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{usage:?}: {wrong:?}");
    }
    assert!(!sandbox.path("roster-data").exists());
}

#[tokio::test]
async fn a_schema_that_has_a_name_twice_is_refused_with_both_places() {
    let sandbox = Sandbox::on_sqlite();
    let run = async |old: String| {
        fs::write(sandbox.path("old.graphql"), old).unwrap();
        sandbox.run(&["schema", "--diff", "old.graphql"]).await
    };
    for (second, what) in [
        ("type User { id: ID! }", "the type User"),
        ("directive @specifiedBy(url: String!) on SCALAR", "the directive @specifiedBy"),
        ("schema { query: Query }", "the schema"),
    ] {
        let twice = run(format!("{COMMITTED}\n{second}\n")).await;
        assert_eq!((twice.code, twice.out.as_str()), (2, ""), "{twice:?}");
        assert!(twice.err.contains(&format!("{what} is defined twice (first at ")), "{twice:?}");
    }
    for (old, problem) in [
        ("schema {\n query: A }\nschema { query: A }", "3:1: the schema is defined twice (first at 1:1)"),
        ("\"One.\"\ntype A { a: Int }\ntype A { b: Int }", "3:6: the type A is defined twice (first at 2:6)"),
        ("type A {\n a: Int\n a: ID }", "3:2: the field A.a is defined twice (first at 2:2)"),
        ("interface A {\n a: Int\n a: ID }", "3:2: the field A.a is defined twice (first at 2:2)"),
        ("type A { a(b: Int\n b: ID): Int }", "2:2: the argument A.a(b:) is defined twice (first at 1:12)"),
        ("directive @a(b: Int\n b: ID) on FIELD", "2:2: the argument @a(b:) is defined twice (first at 1:14)"),
        ("input A {\n \"One.\"\n a: Int\n a: ID }", "4:2: the input field A.a is defined twice (first at 3:2)"),
        ("enum A {\n B\n B }", "3:2: the value A.B is defined twice (first at 2:2)"),
        ("union A =\n | B\n | B", "3:4: the union A has the member B twice (first at 2:4)"),
        ("type A implements B &\n B { a: Int }", "2:2: the type A implements B twice (first at 1:19)"),
        ("interface A implements B &\n B { a: Int }", "2:2: the type A implements B twice (first at 1:24)"),
        ("enum A { B @deprecated\n @deprecated }", "2:3: A.B has the directive @deprecated twice (first at 1:13)"),
        ("input A @oneOf\n @oneOf { a: Int }", "2:3: A has the directive @oneOf twice (first at 1:10)"),
    ] {
        let twice = run(old.to_owned()).await;
        assert_eq!((twice.code, twice.out.as_str()), (2, ""), "{old}: {twice:?}");
        assert!(twice.err.contains(problem), "{problem}: {twice:?}");
    }
    let repeatable = "directive @own repeatable on OBJECT\ntype A @own @own @foreign @foreign { a: Int }\n";
    assert_eq!(run(repeatable.to_owned()).await.code, 1, "it is compared");
}

#[tokio::test]
async fn operations_of_a_client_are_checked_with_their_places() {
    let sandbox = Sandbox::on_sqlite();
    for folder in ["client/users", "client/node_modules/other", "client/.cache"] {
        fs::create_dir_all(sandbox.path(folder)).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(sandbox.path(name), text).unwrap();
    write("client/me.graphql", "query Me {\n  viewer { ...Name }\n}\n\nfragment Unused on Group { name }\n");
    write("client/users/name.gql", "# A name.\nfragment Name on User { ...Role fullName }\n");
    write("client/users/role.graphql", "fragment Role on User { role }\n");
    write("client/node_modules/other/broken.graphql", "query {");
    write("client/.cache/broken.graphql", "query {");
    write("client/readme.md", "query {");
    let check =
        async |path: &str, format: &str| sandbox.run(&["schema", "--check-operations", path, "--format", format]).await;
    let valid = check("client", "text").await;
    assert_eq!((valid.code, valid.out.as_str()), (0, "1 operation is valid.\n"), "{valid:?}");

    write("client/users/role.graphql", "\n  fragment Role on User { role\n  nothing }\n");
    write("client/two.graphql", "query One { viewer { id } }\nquery Two($id: ID!) { node(id: $nothing) { id } }\n");
    write("client/zbroken.graphql", "query Broken {\n  viewer {\n");
    let invalid = check("client", "text").await;
    assert_eq!(invalid.code, 1, "{invalid:?}");
    let places: Vec<&str> = invalid.out.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert!(places.contains(&"client/users/role.graphql:3:3"), "{}", invalid.out);
    assert!(places.iter().any(|place| place.starts_with("client/two.graphql:2:")), "{}", invalid.out);
    assert!(places.iter().any(|place| place.starts_with("client/zbroken.graphql:")), "{}", invalid.out);
    assert!(!invalid.out.contains("One") && !invalid.out.contains("node_modules"), "{}", invalid.out);
    let github = check("client", "github").await;
    let annotation = "::error file=client/users/role.graphql,line=3,col=3,title=Invalid operation::Me: ";
    assert!(github.code == 1 && github.out.contains(annotation), "{github:?}");
    let listed: Value = serde_json::from_str(&check("client", "json").await.out).unwrap();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|problem| problem["file"] == "client/users/role.graphql" && problem["line"] == 3),
        "{listed:#}"
    );

    write("manifest.json", &json!({ "1f": "query Me { viewer { id } }", "2f": "query Bad { nothing }" }).to_string());
    let manifest = check("manifest.json", "text").await;
    assert!(manifest.code == 1 && manifest.out.starts_with("manifest.json:1:13: 2f (Bad): "), "{manifest:?}");
    write("manifest.json", &json!({ "1f": "query Me { viewer { id } }" }).to_string());
    assert_eq!(check("manifest.json", "text").await.code, 0);
    assert_eq!(check("client/users/name.gql", "text").await.code, 2, "a file without operations");
}

#[tokio::test]
async fn the_schema_is_printed_as_an_introspection_for_code_generators() {
    let sandbox = Sandbox::on_sqlite();
    let printed = sandbox.run(&["schema", "--format", "json"]).await;
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let printed: Value = serde_json::from_str(&printed.out).unwrap();
    let app = App::on_sqlite().await;
    let query = include_str!("../../src/graphql/cost/full_introspection.graphql");
    assert_eq!(printed, app.anonymous().data(query, json!({})).await);
    assert_eq!(printed["__schema"]["description"], roster::http::introspection::DESCRIPTION);
}

/// The problem with the reason of a deprecation, if any.
fn fault_of_reason(reason: &str) -> Option<&'static str> {
    let Some((date, rest)) = reason.strip_prefix("Since ").and_then(|rest| rest.split_once(": ")) else {
        return Some("must begin with `Since YYYY-MM-DD: `");
    };
    let Ok(since) = NaiveDate::parse_from_str(date, "%Y-%m-%d") else {
        return Some("must have a date such as 2027-01-31");
    };
    if let Some((_, removed)) = rest.split_once("Removed on ") {
        let removed = removed.strip_suffix('.').and_then(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").ok());
        if removed.is_none_or(|removed| removed < since + Months::new(6)) {
            return Some("must end with `Removed on YYYY-MM-DD.`, at least six months later");
        }
    }
    let names_other = rest.contains('`') || rest.contains("no replacement");
    (!names_other || !rest.ends_with('.')).then_some("must name the replacement in backticks, or say `no replacement`")
}

#[test]
fn deprecations_have_a_date_and_a_reason() {
    let definition = Definition::of_roster();
    let mut wrong = Vec::new();
    let mut check =
        |place: String, directives: &[async_graphql::Positioned<async_graphql::parser::types::ConstDirective>]| {
            for directive in directives.iter().filter(|directive| directive.node.name.node == "deprecated") {
                let reason = directive.node.arguments.iter().find(|(name, _)| name.node == "reason");
                let reason = reason.and_then(|(_, reason)| reason.node.clone().into_json().ok());
                let reason = reason.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                wrong.extend(fault_of_reason(&reason).map(|fault| format!("{place}: {fault} (got {reason:?})")));
            }
        };
    for (name, of) in &definition.0 {
        for field in definition.fields(name) {
            check(format!("{name}.{}", field.name.node), &field.directives);
            for argument in &field.arguments {
                check(format!("{name}.{}({}:)", field.name.node, argument.node.name.node), &argument.node.directives);
            }
        }
        for field in definition.input_fields(name) {
            check(format!("{name}.{}", field.name.node), &field.directives);
        }
        if let TypeKind::Enum(values) = &of.kind {
            for value in &values.values {
                check(format!("{name}.{}", value.node.value.node), &value.node.directives);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (reason, is_right) in [
        ("Since 2027-01-31: use `User.fullName`. Removed in 2.0.", true),
        ("Since 2027-01-31: no replacement, because nobody used it.", true),
        ("Since 2027-01-31: use `User.fullName`. Removed on 2027-07-31.", true),
        ("Since 2027-01-31: use `User.fullName`. Removed on 2027-07-30.", false),
        ("Since 2027-01-31: use `User.fullName`. Removed on July 31.", false),
        ("Since 2027-01-31: not used.", false),
        ("Since January: use `User.fullName`.", false),
        ("Use `User.fullName`.", false),
        ("", false),
    ] {
        assert_eq!(fault_of_reason(reason).is_none(), is_right, "{reason}");
    }
}
