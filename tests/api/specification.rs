//! Conformance to the GraphQL specification: rejected documents and variables, defaults, the paths of errors, and
//! introspection. graphql-js is the reference; graphql-http audits the requests and responses of HTTP.

use serde_json::{Value, json};

use crate::app::App;
use crate::node;
use crate::process::Sandbox;
use crate::wire::RawClient;

const POLICY: &str = include_str!("specification/rules.txt");
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");

/// Whether a request is rejected because its document or variables are invalid, rather than for its size.
fn is_rejected(response: &Value) -> bool {
    let code = response["errors"][0]["extensions"]["code"].as_str().unwrap_or_default();
    response.get("data").is_none()
        && ["GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"].contains(&code)
}

/// The kind and the text of each document of the table.
fn documents() -> Vec<(&'static str, &'static str)> {
    let lines = POLICY.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").unwrap()).collect()
}

#[tokio::test]
async fn documents_are_validated_as_the_specification_requires() {
    let app = App::on_sqlite().await;
    let mut wrong = Vec::new();
    for (kind, query) in documents() {
        // Valid documents are not executed, because their variables have no values.
        let operation = (kind == "good").then_some("no_operation_has_this_name");
        let body = json!({ "query": query, "operationName": operation });
        let (status, response) = app.anonymous().post(&body).await;
        let code = response["errors"][0]["extensions"]["code"].as_str().unwrap_or("no error");
        let expected = match kind {
            "bad" => "GRAPHQL_VALIDATION_FAILED",
            "value" => "BAD_USER_INPUT",
            "syntax" => "GRAPHQL_PARSE_FAILED",
            _ => code,
        };
        if code != expected || (kind == "good") == is_rejected(&response) {
            wrong.push(format!("{kind}: {query}\n{response}"));
        } else if kind != "good" {
            let errors = response["errors"].as_array().unwrap();
            assert!(status == 400 && !errors.is_empty() && errors.len() <= 20, "{query}: {response}");
            for error in errors {
                let line = error["locations"][0]["line"].as_u64();
                assert!(line.is_some_and(|line| line > 0) && error.get("path").is_none(), "{query}: {response}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn graphql_js_agrees_with_the_table_of_documents() {
    let lines: Vec<String> = documents().iter().map(|(_, query)| json!(query).to_string()).collect();
    let Some(validated) = node::run("documents.js", &[SCHEMA], &lines.join("\n")) else { return };
    let validated: Vec<Value> = validated.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(validated.len(), lines.len());
    for ((kind, query), validated) in documents().iter().zip(validated) {
        assert_eq!(validated["rejected"], *kind != "good", "{query}: {validated}");
    }
}

#[tokio::test]
async fn requests_are_rejected_exactly_when_graphql_js_rejects_them() {
    let Some(requests) = node::run("documents.js", &[SCHEMA, "20260101", "3600"], "") else { return };
    let app = App::on_sqlite().await;
    let (mut compared, mut rejected, mut too_large, mut skipped) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for request in requests.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let mut body = json!({ "query": request["query"] });
        match request.get("variables") {
            Some(variables) => body["variables"] = variables.clone(),
            // Validated, but not executed.
            None => body["operationName"] = json!("no_operation_has_this_name"),
        }
        let response = app.anonymous().post(&body).await.1;
        let error = &response["errors"][0];
        compared += 1;
        if error["extensions"]["code"] == "DOCUMENT_TOO_LARGE" {
            too_large += 1;
        } else if error["message"]
            .as_str()
            .is_some_and(|message| message.ends_with(": at most one of these mutations is allowed per request."))
        {
            // A rule of Roster, not of the specification.
            skipped += 1;
        } else if request["variables"].to_string().contains("1e+300") {
            // JavaScript takes this for an integer, so that it may be an ID.
            skipped += 1;
        } else if error["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"
            && request["rejected"] == false
            && request["query"]
                .as_str()
                .is_some_and(|query| ["} \"\"\"", "\"\"\" $"].iter().any(|text| query.contains(text)))
        {
            // A description of an operation, a fragment or a variable (September 2025), which no parser of ours reads yet.
            skipped += 1;
        } else if request["query"] == "" {
            assert_eq!((&request["rejected"], &error["extensions"]["code"]), (&json!(true), &json!("BAD_REQUEST")));
            rejected += 1;
        } else if error["message"].as_str().is_some_and(|message| message.ends_with(" where it is used")) {
            // graphql-js finds a null in a non-null position only when it executes the field.
            skipped += 1;
        } else {
            rejected += usize::from(is_rejected(&response));
            if request["rejected"] != is_rejected(&response) {
                wrong.push(format!("{request:#}\n{response}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    assert!(compared >= 3_600 && rejected > compared / 3 && rejected < compared * 9 / 10, "{rejected} of {compared}");
    assert!(too_large + skipped < compared / 10, "not compared: {too_large}, {skipped}");
}

#[tokio::test]
async fn errors_do_not_repeat_rejected_values() {
    let app = App::on_sqlite().await;
    let secret = "seven-brass-otters";
    for query in [
        format!("mutation {{ login(input: {{ login: \"a\", password: [\"{secret}\"] }}) {{ success }} }}"),
        format!("mutation {{ login(input: \"{secret}\") {{ success }} }}"),
        format!("mutation {{ login(input: {{ login: \"a\", password: \"{secret}\", x: 1 }}) {{ success }} }}"),
        format!("query ($a: Int = \"{secret}\") {{ users(first: $a) {{ totalCount }} }}"),
        format!("{{ users(first: \"{secret}\") {{ totalCount }} }}"),
        format!("{{ viewer {{ id(a: \"{secret}\") }} viewer {{ id }} }}"),
    ] {
        let response = app.anonymous().execute(&query, json!({})).await;
        assert!(is_rejected(&response) && !response.to_string().contains(secret), "{query}: {response}");
    }
    let query = "mutation ($i: LoginInput!) { login(input: $i) { success } }";
    for input in [json!(secret), json!({ "login": [secret] }), json!({ "login": { "a": secret }, "password": 1 })] {
        let response = app.anonymous().execute(query, json!({ "i": input })).await;
        assert!(is_rejected(&response) && !response.to_string().contains(secret), "{response}");
    }
}

on_every_database! {
    async fn unknown_input_fields_are_rejected_whatever_the_variables_are(app: App) {
        let license_admin = app.license_admin().await;
        let user = app.user().await;
        let literal = "mutation ($id: ID!, $n: String, $d: String = \"x\") {
            updateUser(input: { id: $id, nickname: \"written\", dryRn: true, position: $n, phone: $d }) { success } }";
        let by_variable = "mutation ($i: UpdateUserInput!) { updateUser(input: $i) { success } }";
        let input = json!({ "id": user.id(), "nickname": "written", "dryRn": true });
        for (query, variables) in [
            (literal, json!({ "id": user.id() })),
            (literal, json!({ "id": user.id(), "n": "x" })),
            (literal, json!({ "id": user.id(), "n": null })),
            (by_variable, json!({ "i": input })),
        ] {
            let response = license_admin.execute(query, variables).await;
            assert!(is_rejected(&response) && response.to_string().contains("dryRn"), "{response}");
        }
        let query = "query ($f: UserFilter, $by: UserBy!) { users(filter: $f) { totalCount } user(by: $by) { id } }";
        for (filter, by) in [
            (json!({ "and": [{ "lastNam": { "eq": "x" } }] }), json!({ "id": user.id() })),
            (json!({ "lastName": { "equals": "x" } }), json!({ "id": user.id() })),
            (json!({}), json!({ "id": user.id(), "username": null })),
            (json!({}), json!({ "id": user.id(), "username": "a" })),
            (json!({}), json!({})),
            (json!("x"), json!({ "id": user.id() })),
        ] {
            let response = license_admin.execute(query, json!({ "f": filter, "by": by })).await;
            assert!(is_rejected(&response), "{filter} {by}: {response}");
        }
        let all = json!({ "f": { "nothing": 1, "role": "NOBODY" }, "by": 7, "more": 1 });
        let response = license_admin.execute(query, all).await;
        assert_eq!(response["errors"].as_array().unwrap().len(), 3, "{response}");
        for by in ["id: $a", "username: $a", "email: $a"] {
            let query = format!("query ($a: {}) {{ user(by: {{ {by} }}) {{ id }} }}", if by == "id: $a" { "ID" } else { "String" });
            for variables in [json!({}), json!({ "a": null })] {
                assert!(is_rejected(&license_admin.execute(&query, variables).await), "{query}");
            }
        }
        let nickname = license_admin.data("query ($id: ID!) { user(by: { id: $id }) { nickname } }", json!({ "id": user.id() })).await;
        assert!(nickname["user"]["nickname"].is_null(), "{nickname}");
    }

    async fn omitted_variables_leave_the_default(app: App) {
        let license_admin = app.license_admin().await;
        let active = license_admin.data("{ users { totalCount } }", json!({})).await["users"]["totalCount"].clone();
        let gone = app.user().await;
        license_admin.mutate("setActive", "", json!({ "id": gone.id(), "active": false })).await;
        for query in [
            "query ($x: Boolean) { users(includeInactive: $x, first: 1) { totalCount } }",
            "query ($x: Boolean, $f: Int, $l: Int) { users(includeInactive: $x, first: $f, last: $l) { totalCount } }",
            "query Q($x: Boolean) { ...A } query R($x: Boolean) { ...A } fragment A on Query { users(includeInactive: $x) { totalCount } }",
            "query ($x: Boolean) { ... on Query { users(includeInactive: $x) { totalCount } } }",
            "query ($x: Boolean, $w: String) { users(includeInactive: $x, filter: { firstName: { contains: $w } }) { totalCount } }",
            "query ($x: Boolean, $w: UserFilter) { users(includeInactive: $x, filter: { and: [{}], not: { id: { eq: \"018f3f3e-0000-7000-8000-000000000000\" } } }) { totalCount } a: users(filter: $w) { totalCount } }",
            "query ($x: Boolean, $s: Boolean = true) { users(includeInactive: $x) { totalCount @include(if: $s) } }",
        ] {
            let body = json!({ "query": query, "operationName": query.contains("query R").then_some("R") });
            let (status, response) = license_admin.post(&body).await;
            assert_eq!((status, &response["data"]["users"]["totalCount"]), (200, &active), "{query}: {response}");
        }
        let search = "query ($x: Boolean, $q: String!) { searchUsers(query: $q, includeInactive: $x) { totalCount } }";
        let found = license_admin.data("{ searchUsers(query: \"tester\") { totalCount } }", json!({})).await;
        assert_eq!(license_admin.data(search, json!({ "q": "tester" })).await, found);
        let skipped = "query ($s: Boolean = true) { viewer { id @skip(if: $s) firstName } }";
        let viewer = license_admin.data(skipped, json!({})).await;
        assert!(viewer["viewer"].get("id").is_none(), "directives use the default of a variable: {viewer}");
        for variables in [json!({}), json!({ "q": null })] {
            assert!(is_rejected(&license_admin.execute("query ($q: String!) { searchUsers(query: $q) { totalCount } }", variables).await));
        }
        let null = license_admin.execute("query ($x: Boolean) { users(includeInactive: $x) { totalCount } }", json!({ "x": null })).await;
        assert!(is_rejected(&null), "{null}");
    }

    async fn whole_numbers_are_ints_in_every_json_notation(app: App) {
        let user = app.user().await;
        let client = RawClient(app.address);
        let token = format!("Authorization: Bearer {}\r\n", user.token.as_ref().unwrap());
        let query = "query($n:Int){users(first:$n){nodes{id}}}";
        for (number, is_good) in [
            ("20", true), ("20.0", true), ("2e1", true), ("20.5", false), ("1e400", false), ("\"20\"", false), ("true", false), ("2147483648", false),
            ("2147483648.0", false), ("-0.0", true), ("[20]", false), ("{}", false),
        ] {
            let body = format!("{{\"query\":{},\"variables\":{{\"n\":{number}}}}}", json!(query));
            let response = client.post(&token, body.as_bytes()).await;
            let is_rejected = is_rejected(&response.json()) || response.status == 400;
            assert_eq!(!is_rejected, is_good, "{number}: {}", response.body);
        }
        let license_admin = app.license_admin().await;
        let token = format!("Authorization: Bearer {}\r\n", license_admin.token.as_ref().unwrap());
        let query = "mutation($i:CreateInstitutionInput!){createInstitution(input:$i){success errors{path} institution{numBeds}}}";
        let body = |beds: &str| format!("{{\"query\":{},\"variables\":{{\"i\":{{\"name\":\"A\",\"kind\":\"HOSPITAL\",\"country\":\"AU\",\"numBeds\":{beds}}}}}}}", json!(query));
        let response = client.post(&token, body("40.0").as_bytes()).await.json();
        assert_eq!(response["data"]["createInstitution"]["institution"]["numBeds"], 40, "{response}");
        assert!(is_rejected(&client.post(&token, body("40.5").as_bytes()).await.json()));
    }

    async fn comparing_with_null_is_an_error_that_names_the_field(app: App) {
        let license_admin = app.license_admin().await;
        let users = "query ($f: UserFilter) { users(filter: $f) { totalCount } }";
        let events = "query ($f: AuditFilter) { auditEvents(filter: $f) { totalCount } }";
        let definition = crate::definition::Definition::of_roster();
        let mut tried = 0;
        for (query, input) in [(users, "UserFilter"), (events, "AuditFilter")] {
            let of = |name: &str| match &definition.0[name].kind {
                async_graphql::parser::types::TypeKind::InputObject(input) => input.fields.clone(),
                _ => Vec::new(),
            };
            for field in of(input) {
                let name = field.node.name.node.to_string();
                let mut cases = vec![(format!("filter.{name}"), json!({ &name: null }))];
                let inner = crate::definition::innermost(&field.node.ty.node);
                if inner.ends_with("Filter") && !["UserFilter", "AttributeFilter", "ExternalReferenceFilter"].contains(&inner) {
                    for compared in of(inner).iter().filter(|compared| compared.node.ty.node.nullable) {
                        let compared = compared.node.name.node.to_string();
                        // Not a comparison: null is its default.
                        if compared == "caseSensitive" {
                            continue;
                        }
                        cases.push((format!("filter.{name}.{compared}"), json!({ &name: { &compared: null } })));
                    }
                }
                for (path, filter) in cases {
                    let response = license_admin.execute(query, json!({ "f": filter })).await;
                    let error = &response["errors"][0];
                    let message = error["message"].as_str().unwrap_or_default();
                    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{filter}: {response}");
                    assert!(message.contains(&path) && message.contains("isNull"), "{filter}: {response}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 120, "{tried}");
        let deep = json!({ "or": [{ "not": { "email": { "eq": null, "contains": null } } }] });
        let response = license_admin.execute(users, json!({ "f": deep })).await.to_string();
        assert!(response.contains("filter.or.0.not.email.eq") && response.contains("filter.or.0.not.email.contains"), "{response}");
        let literal = "query ($e: String) { users(filter: { email: { eq: $e } }) { totalCount } }";
        assert_eq!(license_admin.error_code(literal, json!({ "e": null })).await, "BAD_USER_INPUT");
        assert_eq!(license_admin.error_code("{ users(filter: { email: { eq: null } }) { totalCount } }", json!({})).await, "BAD_USER_INPUT");
        let all = license_admin.data("{ users { totalCount } }", json!({})).await;
        assert_eq!(license_admin.data(literal, json!({})).await, all, "an omitted variable is like an omitted field");
        assert_eq!(license_admin.data(users, json!({ "f": null })).await, all);
    }

    async fn requests_with_an_empty_authorization_header_are_anonymous(app: App) {
        let client = RawClient(app.address);
        let body = br#"{"query":"{ viewer { id } }"}"#;
        for header in ["Authorization:\r\n", "Authorization: \r\n", "Authorization: Bearer\r\n", "authorization: bearer  \r\n"] {
            assert_eq!(client.post(header, body).await.json(), json!({ "data": { "viewer": null } }), "{header}");
        }
        for header in ["Authorization: Bearer x\r\n", "Authorization: Basic\r\n", "Authorization: x\r\n", "Authorization:\r\nAuthorization:\r\n", "Authorization: Bearer Bearer\r\n"] {
            assert_eq!(client.post(header, body).await.status, 401, "{header}");
        }
    }

    async fn the_path_of_an_error_names_the_failed_field(app: App) {
        let license_admin = app.license_admin().await;
        let group = license_admin.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        let member = json!({ "groupId": group, "userId": license_admin.id(), "role": "OWNER" });
        let _ = license_admin.execute("mutation ($i: SetGroupMemberInput!) { setGroupMember(input: $i) { success } }", json!({ "i": member })).await;
        let id = license_admin.id();
        license_admin.mutate("createInstitution", "", json!({ "name": "Clinic", "kind": "HOSPITAL", "country": "AU" })).await;
        for (query, path) in [
            ("{ institutions { nodes { x: users(first: 0) { totalCount } } } }".to_owned(), json!(["institutions", "nodes", 0, "x"])),
            ("{ users(first: 1) { nodes { sites(first: 0) { totalCount } } } }".to_owned(), json!(["users", "nodes", 0, "sites"])),
            ("{ a: users(first: 1) { b: nodes { c: sites(first: 0) { totalCount } } } }".to_owned(), json!(["a", "b", 0, "c"])),
            ("{ users(first: 1) { edges { node { ... on User { x: sites(last: 500) { totalCount } } } } } }".to_owned(), json!(["users", "edges", 0, "node", "x"])),
            ("{ viewer { ...A } } fragment A on User { s: sites(after: \"x\") { totalCount } }".to_owned(), json!(["viewer", "s"])),
            (format!("{{ nodes(ids: [\"018f3f3e-0000-7000-8000-000000000000\", \"{id}\"]) {{ ... on User {{ sites(first: -1) {{ totalCount }} }} }} }}"), json!(["nodes", 1, "sites"])),
            ("{ groups { nodes { m: members(first: 0) { totalCount } } } }".to_owned(), json!(["groups", "nodes", 0, "m"])),
            (format!("mutation {{ u: updateUser(input: {{ id: \"{id}\", nickname: \"x\" }}) {{ user {{ t: sites(first: 0) {{ totalCount }} }} }} }}"), json!(["u", "user", "t"])),
            ("{ users(first: 1, after: \"x\") { totalCount } }".to_owned(), json!(["users"])),
            ("{ u: users(filter: { birthDate: { eq: \"x\" } }) { totalCount } }".to_owned(), json!(["u"])),
            ("{ n: nodes(ids: [\"x\"]) { id } }".to_owned(), json!(["n"])),
        ] {
            let response = license_admin.execute(&query, json!({})).await;
            assert_eq!(response["errors"][0]["path"], path, "{query}: {response}");
            assert_eq!(response["errors"][0]["extensions"], json!({ "code": "BAD_USER_INPUT" }), "{query}: {response}");
        }
    }

    async fn attribute_definitions_are_nodes(app: App) {
        let (license_admin, user, stranger) = (app.license_admin().await, app.user().await, app.other_license_user().await);
        let input = json!({ "name": "birthplace", "label": "Place of birth", "kind": "STRING" });
        let created = license_admin.mutate("defineAttribute", "definition { id name }", input).await["definition"].clone();
        let id = &created["id"];
        let listed = user.data("{ attributeDefinitions { id name } }", json!({})).await;
        assert_eq!(listed["attributeDefinitions"], json!([created]));
        let node = "query ($id: ID!) { node(id: $id) { id __typename ... on AttributeDefinition { name } } nodes(ids: [$id, $id]) { id } }";
        for caller in [&license_admin, &user] {
            let found = caller.data(node, json!({ "id": id })).await;
            assert_eq!(found["node"], json!({ "id": id, "__typename": "AttributeDefinition", "name": "birthplace" }));
            assert_eq!(found["nodes"], json!([{ "id": id }, { "id": id }]));
        }
        let hidden = stranger.data(node, json!({ "id": id })).await;
        assert_eq!(hidden, json!({ "node": null, "nodes": [null, null] }));
        let event = "query ($id: ID!) { auditEvents(filter: { subject: $id }) { nodes { subjectId subject { id ... on AttributeDefinition { name } } } } }";
        let event = license_admin.data(event, json!({ "id": id })).await;
        assert_eq!(event["auditEvents"]["nodes"], json!([{ "subjectId": id, "subject": { "id": id, "name": "birthplace" } }]));
        license_admin.mutate("removeAttribute", "", json!({ "name": "birthplace" })).await;
        assert!(license_admin.data(node, json!({ "id": id })).await["node"].is_null());
    }
}

#[tokio::test]
async fn documents_with_too_many_uses_of_variables_are_rejected() {
    let app = App::on_sqlite().await;
    let operations = |count: usize| (0..count).map(|n| format!("query a{n} {{ ...A }}")).collect::<Vec<_>>().join(" ");
    let uses = |count: usize| "$a ".repeat(count);
    let document = |operations: &str, uses: &str| {
        format!("{operations} fragment A on Query {{ users(filter: {{ role: [{uses}] }}) {{ totalCount }} }}")
    };
    for (count, of_each, code) in [
        (600, 4_500, "DOCUMENT_TOO_LARGE"),
        (100, 501, "DOCUMENT_TOO_LARGE"),
        (100, 400, "GRAPHQL_VALIDATION_FAILED"),
        (1, 8_000, "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let response = app.anonymous().execute(&document(&operations(count), &uses(of_each)), json!({})).await;
        assert_eq!(response["errors"][0]["extensions"]["code"], code, "{count} {of_each}: {response}");
        assert!(response["errors"].as_array().unwrap().len() <= 20);
    }
}

#[tokio::test]
async fn the_endpoint_may_end_with_a_slash() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let response =
        client.send("POST", "/graphql/", "Content-Type: application/json\r\n", br#"{"query":"{ __typename }"}"#).await;
    assert_eq!((response.status, response.json()), (200, json!({ "data": { "__typename": "Query" } })));
    let response = client.get("/graphql/?query=%7B__typename%7D").await;
    assert_eq!((response.status, response.json()), (200, json!({ "data": { "__typename": "Query" } })));
    assert_eq!(client.send("DELETE", "/graphql/", "", b"").await.status, 405);
    assert_eq!(client.get("/graphql//").await.status, 404);
}

#[tokio::test]
async fn introspection_equals_the_committed_schema() {
    let Some(query) = node::run("introspected.js", &["--query"], "") else { return };
    let app = App::on_sqlite().await;
    let response = app.anonymous().execute(&query, json!({})).await;
    assert_eq!(node::run("introspected.js", &[SCHEMA], &response.to_string()).as_deref(), Some(""));
}

#[tokio::test]
async fn aliased_descriptions_of_the_schema_and_its_types_are_kept_apart() {
    let app = App::on_sqlite().await;
    let query = "query A { a: __schema { ...D } } query B { a: __type(name: \"User\") { b: description } }
        fragment D on __Schema { b: description queryType { b: description } }";
    let compared = |name: &str| json!({ "query": query, "operationName": name });
    let of_schema = app.anonymous().post(&compared("A")).await.1["data"]["a"].clone();
    let of_type = app.anonymous().post(&compared("B")).await.1["data"]["a"]["b"].clone();
    assert_eq!(of_schema["b"], roster::http::introspection::DESCRIPTION, "{of_schema}");
    assert!(of_schema["queryType"]["b"].is_string() && of_type.is_string(), "{of_schema} {of_type}");
    assert!(of_schema["queryType"]["b"] != of_schema["b"] && of_type != of_schema["b"], "{of_schema} {of_type}");
}

#[tokio::test]
async fn every_audit_of_graphql_http_passes() {
    if !node::is_installed("tests/clients", "the audits of graphql-http") {
        return;
    }
    let sandbox = Sandbox::on_sqlite();
    let server = sandbox.serve(&[]).await;
    let mut audits = sandbox.start(node::command("tests/clients", "audit.js").env("URL", server.url("")), "");
    assert_eq!(audits.code().await, 0, "{}", audits.err());
    assert_eq!(audits.out(), "", "audits that failed");
}
