//! Mutations that need no session, sent with a token that has ended.

use async_graphql::MaybeUndefined::Value as Given;
use roster::entity::user::UserFields;
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD};

const LOGIN: &str = "login(input: $input) { token user { firstName } }";

/// A caller with a token that has ended, and the variables with which Ada signs in.
async fn with_ended_token(app: &App) -> (Caller<'_>, Value) {
    let fields = UserFields { username: Given("ada".to_owned()), ..UserFields::default() };
    app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await;
    let caller = app.user().await;
    caller.data("mutation { logout { success } }", json!({})).await;
    (caller, json!({ "input": { "login": "ada", "password": PASSWORD } }))
}

on_every_database! {
    async fn public_mutations_ignore_a_token_that_is_not_valid(app: App) {
        let (ended, variables) = with_ended_token(&app).await;
        let unknown = Caller { token: Some("null".to_owned()), ..ended.clone() };
        let documents = [
            format!("mutation ($input: LoginInput!) {{ __typename {LOGIN} }}"),
            format!("mutation ($input: LoginInput!) {{ ...F }} fragment F on Mutation {{ ... {{ {LOGIN} }} }}"),
        ];
        for caller in [&ended, &unknown] {
            for document in &documents {
                let data = caller.data(document, variables.clone()).await;
                assert!(data["login"]["token"].is_string() && data["login"]["user"]["firstName"] == "Ada", "{data}");
            }
        }
        let input = json!({ "email": "nobody@example.org" });
        assert_eq!(ended.mutate("requestPasswordReset", "", input).await["success"], true);
        assert!(!ended.payload_errors("resetPassword", json!({ "token": "rol_x", "password": PASSWORD })).await.is_empty());
        let both = format!("mutation A($input: LoginInput!) {{ {LOGIN} }} query B {{ viewer {{ id }} }}");
        for (name, status) in [("A", 200), ("B", 401)] {
            let body = json!({ "query": both, "operationName": name, "variables": variables });
            assert_eq!(ended.post(&body).await.0, status, "{name}");
        }
    }

    async fn everything_else_is_401_and_nothing_of_it_runs(app: App) {
        let (ended, variables) = with_ended_token(&app).await;
        let admin = app.license_admin().await;
        let create = "createGroup(input: { name: \"Ward 7\" }) { success }";
        let documents = [
            "{ viewer { id } }".to_owned(),
            "{ __typename }".to_owned(),
            "mutation { logout { success } }".to_owned(),
            format!("mutation ($input: LoginInput!) {{ {LOGIN} {create} }}"),
            format!("mutation ($input: LoginInput!) {{ {create} {LOGIN} }}"),
            format!("mutation ($input: LoginInput!) {{ {LOGIN} ... {{ ...F }} }} fragment F on Mutation {{ {create} }}"),
        ];
        let sessions = "{ user(by: { username: \"ada\" }) { sessions { id } } }";
        for document in documents {
            let variables = if document.contains("$input") { variables.clone() } else { json!({}) };
            let (status, response) = ended.post(&json!({ "query": document, "variables": variables })).await;
            assert_eq!((status, &response["errors"][0]["extensions"]["code"]), (401, &json!("UNAUTHENTICATED")), "{document}");
        }
        let data = admin.data(sessions, json!({})).await;
        assert_eq!(data["user"]["sessions"], json!([]), "a part of a refused document ran");
        let data = admin.data("{ groups { totalCount } }", json!({})).await;
        assert_eq!(data["groups"]["totalCount"], 0);
    }

    async fn a_valid_token_still_counts_for_public_mutations(app: App) {
        let (_, variables) = with_ended_token(&app).await;
        let user = app.user().await;
        let document = format!("mutation ($input: LoginInput!) {{ {LOGIN} createGroup(input: {{ name: \"Ward 7\" }}) {{ success }} }}");
        let data = user.data(&document, variables).await;
        assert_eq!((&data["login"]["user"]["firstName"], &data["createGroup"]["success"]), (&json!("Ada"), &json!(true)), "{data}");
    }
}
