//! Self-registration.

use async_graphql::MaybeUndefined::Value as Given;
use roster::entity::user::UserFields;
use roster::entity::{license, registration, user};
use roster::scalar::{Date, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use super::{ANOTHER, activate, login, with_token};
use crate::app::{App, PASSWORD, payload_errors};

async fn register(app: &App, first_name: &str, email: &str) -> Value {
    let input = json!({ "firstName": first_name, "lastName": "Moss", "email": email, "nextUrl": "https://app.example.org/welcome" });
    app.anonymous().mutate("registerUser", "", input).await
}

on_every_database! {
    async fn a_registered_user_is_created_once_the_address_is_confirmed(app: App) {
        let license_admin = app.license_admin().await;
        let before = user::Entity::find().count(app.db.read()).await.unwrap();
        assert_eq!(register(&app, "Eve", "Eve@X.example").await["success"], json!(true));
        let [mail] = app.mails().await.try_into().unwrap();
        assert_eq!((mail.to.as_str(), user::Entity::find().count(app.db.read()).await.unwrap()), ("Eve@x.example", before));
        assert!(mail.link.as_ref().unwrap().contains("/activate?lang=en#rol_"));
        assert!(!mail.text.contains("Eve") && !mail.html.contains("Eve"), "the email contains no name chosen by a stranger");
        assert_eq!(payload_errors(&activate(&app, mail.token(), "eve-moss").await), ["TOO_SHORT input.password"]);
        let opened = activate(&app, mail.token(), PASSWORD).await;
        assert_eq!((&opened["nextUrl"], &opened["user"]["emailVerified"], &opened["user"]["hasActivated"]), (&json!("https://app.example.org/welcome"), &json!(true), &json!(true)));
        let eve = with_token(&app, &opened["token"]);
        let seen = eve.data("{ viewer { fullName role license { id } viewerCan { setActive } } }", json!({})).await["viewer"].clone();
        assert_eq!(seen, json!({ "fullName": "Eve Moss", "role": "USER", "license": { "id": app.license.0 }, "viewerCan": { "setActive": false } }));
        assert_eq!(login(&app, "eve@x.example", PASSWORD).await["success"], json!(true));
        assert_eq!(payload_errors(&activate(&app, mail.token(), ANOTHER).await), ["EXPIRED input.token"]);
        assert_eq!(registration::Entity::find().count(app.db.read()).await.unwrap(), 0);
        let found = license_admin.data("{ user(by: { email: \"eve@x.example\" }) { fullName } }", json!({})).await;
        assert_eq!(found["user"]["fullName"], json!("Eve Moss"));
    }

    async fn a_taken_address_gets_the_same_response_and_its_owner_is_notified(app: App) {
        let fields = UserFields { email: Given("bo@x.example".to_owned()), ..UserFields::default() };
        app.create("Bo", app.other_license, fields, Given(PASSWORD.to_owned())).await;
        let fresh = register(&app, "Eve", "fresh@x.example").await;
        app.mails().await;
        assert_eq!(register(&app, "Eve", "BO@x.example").await, fresh);
        let [mail] = app.mails().await.try_into().unwrap();
        assert_eq!((mail.to.as_str(), &mail.link), ("bo@x.example", &None));
    }

    async fn a_newer_registration_replaces_the_older_one(app: App) {
        register(&app, "Eve", "eve@x.example").await;
        let [older] = app.mails().await.try_into().unwrap();
        register(&app, "Eva", "EVE@x.example").await;
        let [newer] = app.mails().await.try_into().unwrap();
        assert_eq!(payload_errors(&activate(&app, older.token(), PASSWORD).await), ["EXPIRED input.token"]);
        assert_eq!(activate(&app, newer.token(), PASSWORD).await["success"], json!(true));
    }

    async fn an_address_that_is_a_username_is_rejected(app: App) {
        let fields = UserFields { username: Given("eve@x.example".to_owned()), ..UserFields::default() };
        let owner = app.create("Bo", app.other_license, fields, Given(PASSWORD.to_owned())).await;
        let fresh = register(&app, "Eve", "fresh@x.example").await;
        app.mails().await;
        assert_eq!(register(&app, "Eve", "EVE@x.example").await, fresh);
        let [mail] = app.mails().await.try_into().unwrap();
        assert_eq!(mail.to, "EVE@x.example", "only the reader of the address learns of it");
        assert_eq!(payload_errors(&activate(&app, mail.token(), ANOTHER).await), ["TAKEN input.token"]);
        let signed_in = with_token(&app, &login(&app, "eve@x.example", PASSWORD).await["token"]);
        assert_eq!(signed_in.data("{ viewer { id } }", json!({})).await["viewer"]["id"], json!(owner.id.0.to_string()));
    }

    async fn a_registration_ends_with_time_license_or_a_taken_address(app: App) {
        register(&app, "Eve", "eve@x.example").await;
        let [mail] = app.mails().await.try_into().unwrap();
        let fields = UserFields { email: Given("eve@x.example".to_owned()), ..UserFields::default() };
        app.create("Another", app.license, fields, Given(PASSWORD.to_owned())).await;
        assert_eq!(payload_errors(&activate(&app, mail.token(), ANOTHER).await), ["TAKEN input.token"]);

        register(&app, "Bo", "bo@x.example").await;
        let [mail] = app.mails().await.try_into().unwrap();
        let expire = registration::Entity::update_many().col_expr(registration::Column::ExpiresAt, Expr::value(now()));
        expire.exec(app.db.write()).await.unwrap();
        assert_eq!(payload_errors(&activate(&app, mail.token(), ANOTHER).await), ["EXPIRED input.token"]);

        register(&app, "Cy", "cy@x.example").await;
        let [mail] = app.mails().await.try_into().unwrap();
        let over = license::Entity::update_many().col_expr(license::Column::ExpiresOn, Expr::value(Some(Date::parse("2026-01-01").unwrap())));
        over.filter(license::Column::Id.eq(app.license)).exec(app.db.write()).await.unwrap();
        assert_eq!(payload_errors(&activate(&app, mail.token(), ANOTHER).await), ["EXPIRED input.token"]);
        let input = json!({ "firstName": "Di", "lastName": "Moss", "email": "di@x.example" });
        assert_eq!(app.anonymous().mutation_error_code("registerUser", input).await, "FORBIDDEN");
    }

    async fn repeated_registrations_do_not_block_a_password_reset(app: App) {
        let fields = UserFields { email: Given("bo@x.example".to_owned()), ..UserFields::default() };
        app.create("Bo", app.license, fields, Given(PASSWORD.to_owned())).await;
        for _ in 0..10 {
            register(&app, "Eve", "bo@x.example").await;
        }
        assert!(app.mails().await.iter().all(|mail| mail.link.is_none()));
        app.anonymous().mutate("requestPasswordReset", "", json!({ "email": "bo@x.example" })).await;
        let [mail] = app.mails().await.try_into().unwrap();
        assert!(mail.link.unwrap().contains("/reset"));
    }

    async fn invalid_input_is_reported_at_once(app: App) {
        let input = json!({ "firstName": " ", "lastName": "x".repeat(51), "email": "nobody", "nextUrl": "javascript:alert(1)" });
        let errors = ["INVALID input.email", "INVALID input.nextUrl", "REQUIRED input.firstName", "TOO_LONG input.lastName"];
        assert_eq!(app.anonymous().payload_errors("registerUser", input).await, errors);
        assert_eq!(app.anonymous().payload_errors("registerUser", json!({ "firstName": "E", "lastName": "M", "email": "" })).await, ["REQUIRED input.email"]);
        assert_eq!(app.mails().await.len(), 0);
    }
}
