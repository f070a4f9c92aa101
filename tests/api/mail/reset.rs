//! Password resets.

use async_graphql::MaybeUndefined::Value as Given;
use futures_util::future::join_all;
use roster::entity::user::UserFields;
use roster::entity::{license, link, mail};
use roster::scalar::{Date, Id, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use super::{ANOTHER, login, with_token, works};
use crate::app::{App, Mail, PASSWORD, payload_errors};

async fn ada(app: &App) -> Id {
    let fields = UserFields { email: Given("Mike.Ada@x.example".to_owned()), ..UserFields::default() };
    app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await.id
}

async fn request(app: &App, email: &str) -> Value {
    app.anonymous().mutate("requestPasswordReset", "", json!({ "email": email })).await
}

async fn reset(app: &App, token: &str, password: &str) -> Value {
    app.anonymous().mutate("resetPassword", "", json!({ "token": token, "password": password })).await
}

async fn mail_of(app: &App, email: &str) -> Mail {
    request(app, email).await;
    let [mail] = app.mails().await.try_into().unwrap();
    mail
}

on_every_database! {
    async fn a_reset_replaces_the_password_and_ends_every_session(app: App) {
        ada(&app).await;
        let session = with_token(&app, &login(&app, "mike.ada@x.example", PASSWORD).await["token"]);
        let mail = mail_of(&app, "mike.ada@x.example").await;
        assert!(mail.link.as_ref().unwrap().contains("/reset?lang=en#rol_"), "{:?}", mail.link);
        assert!(works(&session).await, "a request ends no session");
        assert_eq!(login(&app, "mike.ada@x.example", PASSWORD).await["success"], json!(true));
        assert_eq!(payload_errors(&reset(&app, mail.token(), "short").await), ["TOO_SHORT input.password"]);
        let done = reset(&app, mail.token(), ANOTHER).await;
        assert_eq!(done["success"], json!(true), "{done:#}");
        assert!(!works(&session).await);
        assert_eq!(payload_errors(&login(&app, "mike.ada@x.example", PASSWORD).await), ["INVALID_CREDENTIALS input"]);
        let signed_in = with_token(&app, &login(&app, "mike.ada@x.example", ANOTHER).await["token"]);
        assert_eq!(signed_in.data("{ viewer { emailVerified } }", json!({})).await["viewer"]["emailVerified"], json!(true));
        assert_eq!(payload_errors(&reset(&app, mail.token(), PASSWORD).await), ["EXPIRED input.token"]);
        let [notice] = app.mails().await.try_into().unwrap();
        assert_eq!((notice.to.as_str(), &notice.link), ("Mike.Ada@x.example", &None));
    }

    async fn the_email_goes_to_the_stored_address_regardless_of_spelling(app: App) {
        ada(&app).await;
        for spelling in ["MIKE.ADA@X.EXAMPLE", "mıke.ada@x.example", "ｍｉｋｅ.ada@x.example"] {
            assert_eq!(mail_of(&app, spelling).await.to, "Mike.Ada@x.example", "{spelling}");
        }
    }

    async fn unknown_and_inactive_users_get_the_same_response_and_no_email(app: App) {
        ada(&app).await;
        let (license_admin, inactive) = (app.license_admin().await, app.user().await);
        let address = inactive.data("{ viewer { email } }", json!({})).await["viewer"]["email"].as_str().unwrap().to_owned();
        license_admin.mutate("setActive", "", json!({ "id": inactive.id(), "active": false })).await;
        let fields = UserFields { email: Given("b@x.example".to_owned()), ..UserFields::default() };
        app.create("B", app.other_license, fields, Given(PASSWORD.to_owned())).await;
        let expired = license::Entity::update_many().col_expr(license::Column::ExpiresOn, Expr::value(Some(Date::parse("2026-01-01").unwrap())));
        expired.filter(license::Column::Id.eq(app.other_license)).exec(app.db.write()).await.unwrap();
        let known = request(&app, "mike.ada@x.example").await;
        for email in ["nobody@x.example", &address, "b@x.example"] {
            assert_eq!(request(&app, email).await, known, "{email}");
        }
        let mails = app.mails().await;
        assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["Mike.Ada@x.example"]);
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0, "requests without a user are dropped");
        assert_eq!(payload_errors(&request(&app, "nobody").await), ["INVALID input.email"]);
    }

    async fn at_most_three_requests_per_address_are_handled(app: App) {
        ada(&app).await;
        for email in ["mike.ada@x.example", "nobody@x.example"] {
            let responses = join_all((0..10).map(|_| request(&app, email))).await;
            assert!(responses.iter().all(|response| response["success"] == json!(true)), "{email}");
        }
        let queued = mail::Entity::find().count(app.db.read()).await.unwrap();
        assert_eq!(queued, 6, "three for each address");
        assert_eq!(app.mails().await.len(), 3);
    }

    async fn too_many_requests_from_one_network_are_rate_limited(app: App) {
        for n in 0..100 {
            request(&app, &format!("nobody{n}@x.example")).await;
        }
        assert_eq!(app.anonymous().mutation_error_code("requestPasswordReset", json!({ "email": "c@x.example" })).await, "RATE_LIMITED");
        let stranger = json!({ "firstName": "Eve", "lastName": "Moss", "email": "d@x.example" });
        assert_eq!(app.anonymous().mutation_error_code("registerUser", stranger).await, "RATE_LIMITED");
        ada(&app).await;
        assert_eq!(login(&app, "mike.ada@x.example", PASSWORD).await["success"], json!(true), "sign-ins are not limited");
    }

    async fn a_link_works_once_under_fifty_concurrent_uses(app: App) {
        ada(&app).await;
        let mail = mail_of(&app, "mike.ada@x.example").await;
        let mut summary = (0, 0);
        for round in join_all((0..50).map(|_| async {
            // Retries when too many requests are under way.
            loop {
                let query = "mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { success errors { code path } } }";
                let input = json!({ "token": mail.token(), "password": ANOTHER });
                let response = app.anonymous().execute(query, json!({ "input": input })).await;
                if response.get("errors").is_none() {
                    return response["data"]["resetPassword"].clone();
                }
                assert_eq!(response["errors"][0]["extensions"]["code"], json!("RATE_LIMITED"), "{response:#}");
            }
        })).await {
            if round["success"] == json!(true) {
                summary.0 += 1;
            } else {
                assert_eq!(payload_errors(&round), ["EXPIRED input.token"]);
                summary.1 += 1;
            }
        }
        assert_eq!(summary, (1, 49));
    }

    async fn a_reset_unlocks_an_account_that_was_locked_by_guesses(app: App) {
        ada(&app).await;
        for _ in 0..10 {
            login(&app, "mike.ada@x.example", "not-the-password").await;
        }
        assert_eq!(payload_errors(&login(&app, "mike.ada@x.example", PASSWORD).await), ["LOCKED input"]);
        let mail = mail_of(&app, "mike.ada@x.example").await;
        reset(&app, mail.token(), ANOTHER).await;
        assert_eq!(login(&app, "mike.ada@x.example", ANOTHER).await["success"], json!(true));
    }

    async fn a_link_works_for_its_purpose_within_an_hour_until_a_newer_one(app: App) {
        ada(&app).await;
        let mail = mail_of(&app, "mike.ada@x.example").await;
        let activation = json!({ "token": mail.token(), "password": ANOTHER });
        assert_eq!(app.anonymous().payload_errors("activateAccount", activation).await, ["EXPIRED input.token"]);
        assert_eq!(app.anonymous().payload_errors("confirmEmailChange", json!({ "token": mail.token() })).await, ["EXPIRED input.token"]);
        let newer = mail_of(&app, "mike.ada@x.example").await;
        assert_eq!(payload_errors(&reset(&app, mail.token(), ANOTHER).await), ["EXPIRED input.token"]);
        for altered in [
            String::new(), newer.token().replacen('r', "", 1), newer.token().chars().take(40).collect(), format!("{}A", newer.token()),
            newer.token().replace("rol_", "ros_"), newer.token().to_uppercase(), "x".repeat(10_000),
        ] {
            assert_eq!(payload_errors(&reset(&app, &altered, ANOTHER).await), ["EXPIRED input.token"], "{altered:.60}");
        }
        let lives = link::Entity::find().one(app.db.read()).await.unwrap().unwrap().expires_at - now();
        assert!(lives.num_minutes() == 59, "{lives}");
        link::Entity::update_many().col_expr(link::Column::ExpiresAt, Expr::value(now())).exec(app.db.write()).await.unwrap();
        assert_eq!(payload_errors(&reset(&app, newer.token(), ANOTHER).await), ["EXPIRED input.token"]);
    }

    async fn an_invited_user_activates_their_account_by_a_password_reset(app: App) {
        let license_admin = app.license_admin().await;
        let new_user = json!({ "firstName": "Bo", "lastName": "Moss", "email": "bo@x.example" });
        let id = license_admin.mutate("createUser", "user { id }", new_user).await["user"]["id"].clone();
        app.mails().await;
        let mail = mail_of(&app, "bo@x.example").await;
        reset(&app, mail.token(), ANOTHER).await;
        let query = "query ($id: ID!) { user(by: { id: $id }) { hasActivated emailVerified invitation { state } } }";
        let bo = license_admin.data(query, json!({ "id": id })).await["user"].clone();
        assert_eq!(bo, json!({ "hasActivated": true, "emailVerified": true, "invitation": { "state": "ACCEPTED" } }));
    }

    async fn a_request_contains_at_most_one_such_mutation(app: App) {
        let query = "mutation { a: requestPasswordReset(input: { email: \"a@x.example\" }) { success } b: requestPasswordReset(input: { email: \"b@x.example\" }) { success } }";
        assert_eq!(app.anonymous().error_code(query, json!({})).await, "BAD_USER_INPUT");
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0);
    }
}
