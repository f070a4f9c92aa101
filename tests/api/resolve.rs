//! resolveUsers: resolving the keys of other systems to users.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::entity::user::UserFields;
use roster::scalar::Id;
use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::crowd;

const QUERY: &str = "query ($keys: [String!]!) { resolveUsers(keys: $keys) { key status user { id } } }";

/// The result of each key: the user's id or the status.
async fn resolved(caller: &Caller<'_>, keys: &[&str]) -> Vec<String> {
    let data = caller.data(QUERY, json!({ "keys": keys })).await;
    let responses = data["resolveUsers"].as_array().unwrap();
    let given: Vec<&str> = responses.iter().map(|response| response["key"].as_str().unwrap()).collect();
    assert_eq!(given, keys);
    let text = |response: &Value| match response["user"]["id"].as_str() {
        Some(id) => {
            assert_eq!(response["status"], "MATCHED");
            id.to_owned()
        }
        None => response["status"].as_str().unwrap().to_owned(),
    };
    responses.iter().map(text).collect()
}

fn fields(username: &str, email: &str, external_id: &str) -> UserFields {
    let given = |text: &str| if text.is_empty() { Undefined } else { Given(text.to_owned()) };
    UserFields {
        username: given(username),
        email: given(email),
        external_id: given(external_id),
        ..UserFields::default()
    }
}

on_every_database! {
    async fn keys_of_every_kind_are_resolved_in_their_order(app: App) {
        let license_admin = app.license_admin().await;
        let ann = app.create("Ann", app.license, fields("Ann.Berg", "ann@MÜNCHEN.example", "001"), Undefined).await.id.0.to_string();
        let bob = app.create("Bob", app.license, fields("1", "", "EX-2"), Undefined).await.id.0.to_string();
        let cid = app.create("Cid", app.license, fields("", "cid@x.example", "ann.berg"), Undefined).await.id.0.to_string();
        app.create("Far", app.other_license, fields("far", "far@x.example", "Z-9"), Undefined).await;
        let upper = ann.to_uppercase();
        let keys = [
            &bob, &upper, "ANN@xn--mnchen-3ya.example", " cid@x.example ", "EX-2", "ex-2", "001", "1", "Ann.Berg", "ann.berg", "far", "Z-9", "far@x.example", "", "nobody", &bob,
        ];
        let expected = [
            &bob, &ann, &ann, &cid, &bob, "MISSING", &ann, &bob, &ann, "AMBIGUOUS", "MISSING", "MISSING", "MISSING", "MISSING", "MISSING", &bob,
        ];
        assert_eq!(resolved(&license_admin, &keys).await, expected);
        // External IDs are private: other users cannot resolve them.
        let user = app.user().await;
        assert_eq!(resolved(&user, &["ex-2", "EX-2", "ann.berg", "001", "1", &cid]).await, ["MISSING", "MISSING", &ann, "MISSING", &bob, &cid]);
        let found = resolved(&app.superuser().await, &["far", "Z-9", "EX-2"]).await;
        assert_ne!(found[0], "MISSING");
        assert_eq!(found[1..], ["MISSING".to_owned(), bob]);
        assert!(resolved(&license_admin, &[]).await.is_empty());
    }

    async fn only_administrators_resolve_inactive_users(app: App) {
        let (user, admin) = (app.user().await, app.admin().await);
        let gone = app.create("Gone", app.license, fields("gone", "", ""), Undefined).await.id.0.to_string();
        admin.mutate("setActive", "", json!({ "id": gone, "active": false })).await;
        assert_eq!(resolved(&user, &["gone", &gone]).await, ["MISSING", "MISSING"]);
        assert_eq!(resolved(&admin, &["gone", &gone]).await, [gone.clone(), gone.clone()]);
    }

    async fn a_thousand_keys_cost_as_many_statements_as_one(app: App) {
        let license_admin = app.license_admin().await;
        let users: Vec<_> = (0..1_000).map(|n| crowd::model(app.license, "Ann", &format!("Aa {n}"))).collect();
        let emails: Vec<String> = users.iter().map(|user| user.email.clone().unwrap()).collect();
        let ids = crowd::store(&app, users).await;
        let keys: Vec<&str> = emails.iter().map(String::as_str).collect();
        let mut costs = Vec::new();
        for some in [&keys[..1], &keys[..2], &keys] {
            let before = app.db.statements();
            let found = resolved(&license_admin, some).await;
            costs.push(app.db.statements() - before);
            let expected: Vec<String> = ids.iter().take(some.len()).map(|id| id.0.to_string()).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(costs, [2, 2, 2], "one for the token and one for the users");
    }

    async fn the_number_and_length_of_keys_are_limited(app: App) {
        let user = app.user().await;
        let id = Id::new().0.to_string();
        let response = user.execute(QUERY, json!({ "keys": vec![id; 1_001] })).await;
        assert_eq!(response["errors"][0]["message"], "keys: must contain at most 1000 keys.");
        let response = user.execute(QUERY, json!({ "keys": ["a", "b".repeat(251)] })).await;
        assert_eq!(response["errors"][0]["message"], "keys.1: must be at most 250 characters.");
        assert_eq!(app.anonymous().error_code(QUERY, json!({ "keys": ["a"] })).await, "UNAUTHENTICATED");
    }
}
