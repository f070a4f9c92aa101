//! Invitations: the email by which a user activates their account.

use async_graphql::MaybeUndefined::Value as Given;
use chrono::TimeDelta;
use roster::entity::user::{AdminRightsInput, Role, UserFields};
use roster::entity::{invitation, link, mail};
use roster::scalar::now;
use sea_orm::sea_query::Expr;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use super::{ANOTHER, activate, login, with_token, works};
use crate::app::{App, Caller, PASSWORD, PUBLIC_URL, payload_errors};

/// Creates a user; `more` holds the invitation options.
async fn create_user(admin: &Caller<'_>, email: &str, more: Value) -> Value {
    let mut input = json!({ "firstName": "Ada", "lastName": "Byron", "email": email });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let payload = admin.mutate("createUser", "user { id }", input).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["user"]["id"].clone()
}

async fn state(admin: &Caller<'_>, id: &Value) -> Value {
    let query = "query ($id: ID!) { user(by: { id: $id }) { invitation { state sentAt lastError expiresAt } } }";
    admin.data(query, json!({ "id": id })).await["user"]["invitation"].clone()
}

on_every_database! {
    async fn a_new_user_with_address_and_without_password_is_invited_by_default(app: App) {
        let admin = app.admin().await;
        for (more, mails) in [
            (json!({}), 1),
            (json!({ "sendRegistrationEmail": true }), 1),
            (json!({ "sendRegistrationEmail": false }), 0),
            (json!({ "password": PASSWORD }), 0),
            (json!({ "password": PASSWORD, "sendRegistrationEmail": true }), 1),
            (json!({ "isActive": false }), 0),
        ] {
            create_user(&admin, &format!("{}@x.example", roster::scalar::Id::new().0), more.clone()).await;
            assert_eq!(app.mails().await.len(), mails, "{more}");
        }
        let bare = json!({ "firstName": "Ada", "lastName": "Byron", "username": "ada" });
        admin.mutate("createUser", "", bare).await;
        let tried = json!({ "firstName": "Ada", "lastName": "Byron", "email": "a@x.example", "dryRun": true });
        assert_eq!(admin.mutate("createUser", "", tried).await["success"], json!(true));
        let taken = json!({ "firstName": "Ada", "lastName": "Byron", "email": "b@x.example", "username": "ada" });
        assert_eq!(admin.payload_errors("createUser", taken).await, ["TAKEN input.username"]);
        assert_eq!(app.mails().await.len(), 0);
    }

    async fn invalid_invitation_options_are_rejected(app: App) {
        let admin = app.admin().await;
        for (input, errors) in [
            (json!({ "username": "ada", "sendRegistrationEmail": true }), ["NOT_ALLOWED input.sendRegistrationEmail"].as_slice()),
            (json!({ "email": "a@x.example", "isActive": false, "sendRegistrationEmail": true }), &["NOT_ALLOWED input.sendRegistrationEmail"]),
            (json!({ "email": "a@x.example", "sendRegistrationEmail": null }), &["NULL_NOT_ALLOWED input.sendRegistrationEmail"]),
            (json!({ "email": "nobody", "sendRegistrationEmail": true }), &["INVALID input.email"]),
            (json!({ "email": "a@x.example", "registrationEmailNextUrl": null }), &["NULL_NOT_ALLOWED input.registrationEmailNextUrl"]),
            (json!({ "email": "a@x.example", "sendRegistrationEmail": false, "registrationEmailNextUrl": "https://app.example.org/welcome" }),
             &["NOT_ALLOWED input.registrationEmailNextUrl"]),
            (json!({ "email": "a@x.example", "password": PASSWORD, "registrationEmailNextUrl": "https://app.example.org/welcome" }),
             &["NOT_ALLOWED input.registrationEmailNextUrl"]),
            (json!({ "username": "a", "registrationEmailNextUrl": "https://evil.example/" }), &["INVALID input.registrationEmailNextUrl"]),
            (json!({ "email": "a@x.example", "registrationEmailNextUrl": format!("https://app.example.org/welcome/{}", "x".repeat(1_000)) }),
             &["TOO_LONG input.registrationEmailNextUrl"]),
        ] {
            let mut input = input;
            input.as_object_mut().unwrap().extend(json!({ "firstName": "Ada", "lastName": "Byron" }).as_object().unwrap().clone());
            assert_eq!(admin.payload_errors("createUser", input.clone()).await, errors, "{input}");
        }
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0);
    }

    async fn a_foreign_next_url_is_rejected_before_any_email_is_queued(app: App) {
        let admin = app.admin().await;
        let id = create_user(&admin, "ada@x.example", json!({ "sendRegistrationEmail": false })).await;
        for hostile in [
            "//app.example.org/welcome", "\\\\app.example.org/welcome", "https:app.example.org/welcome", "https:\\\\app.example.org\\welcome",
            "https://app.example.org@evil.example/welcome", "https://app.example.org.evil.example/welcome", "https://evil.example/https://app.example.org/welcome",
            "https://app.example.org%2eevil.example/welcome", "https://app.example.org/welcome%2f..%2fadmin", "https://app.example.org/welcomes",
            "https://app.example.org/\twelcome", "https://app.example.org/wel\ncome", "javascript:alert(1)", "data:text/html,x", "http://app.example.org/welcome",
            "https://app.example.org:8443/welcome", "https://app.example.org/welcome#x", "https://app.example.org/welcome/../admin", "/welcome", "welcome",
        ] {
            let user = json!({ "firstName": "Ada", "lastName": "Byron", "email": "b@x.example", "registrationEmailNextUrl": hostile });
            assert_eq!(admin.payload_errors("createUser", user).await, ["INVALID input.registrationEmailNextUrl"], "{hostile}");
            assert_eq!(admin.payload_errors("resendActivation", json!({ "id": id, "nextUrl": hostile })).await, ["INVALID input.nextUrl"], "{hostile}");
            let stranger = json!({ "firstName": "Eve", "lastName": "Moss", "email": "eve@x.example", "nextUrl": hostile });
            assert_eq!(app.anonymous().payload_errors("registerUser", stranger).await, ["INVALID input.nextUrl"], "{hostile}");
        }
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0);
    }

    async fn the_link_activates_the_account_and_returns_the_next_url(app: App) {
        let admin = app.admin().await;
        let next = "https://app.example.org/welcome/staff?from=mail";
        let id = create_user(&admin, "Ada@X.example", json!({ "registrationEmailNextUrl": next })).await;
        assert_eq!(state(&admin, &id).await["state"], json!("QUEUED"));
        let [mail] = app.mails().await.try_into().unwrap();
        assert_eq!(mail.to, "Ada@x.example");
        assert!(mail.link.as_ref().unwrap().starts_with(&format!("{PUBLIC_URL}activate?lang=en#rol_")), "{:?}", mail.link);
        let queued = state(&admin, &id).await;
        assert_eq!((&queued["state"], queued["sentAt"].is_string(), &queued["lastError"]), (&json!("SENT"), true, &json!(null)));

        assert_eq!(payload_errors(&activate(&app, mail.token(), "short").await), ["TOO_SHORT input.password"]);
        assert_eq!(payload_errors(&activate(&app, mail.token(), "ada@x.example").await), ["INVALID input.password"]);
        let opened = activate(&app, mail.token(), PASSWORD).await;
        assert_eq!(opened["nextUrl"], json!(next), "{opened:#}");
        assert_eq!(opened["user"], json!({ "id": id, "email": "Ada@X.example", "emailVerified": true, "hasActivated": true }));
        assert!(works(&with_token(&app, &opened["token"])).await);
        assert_eq!(state(&admin, &id).await["state"], json!("ACCEPTED"));
        assert_eq!(payload_errors(&activate(&app, mail.token(), ANOTHER).await), ["EXPIRED input.token"]);
        assert_eq!(login(&app, "ada@x.example", PASSWORD).await["success"], json!(true));
        assert_eq!(app.mails().await.len(), 0, "the first password sends no notice");
    }

    async fn a_link_ends_with_a_newer_one_deactivation_new_credentials_or_time(app: App) {
        let (admin, license_admin) = (app.admin().await, app.license_admin().await);
        for (what, mutation, change) in [
            ("a newer one", "resendActivation", json!({})),
            ("a deactivation", "setActive", json!({ "active": false })),
            ("a new password", "updateUser", json!({ "password": ANOTHER })),
            ("a new address", "updateUser", json!({ "email": "elsewhere@x.example" })),
        ] {
            let id = create_user(&admin, &format!("{}@x.example", roster::scalar::Id::new().0), json!({})).await;
            let [mail] = app.mails().await.try_into().unwrap();
            let mut input = change;
            input["id"] = id.clone();
            assert_eq!(license_admin.mutate(mutation, "", input).await["success"], json!(true), "{what}");
            if what == "a deactivation" {
                assert_eq!(license_admin.mutate("setActive", "", json!({ "id": id, "active": true })).await["success"], json!(true));
            }
            assert_eq!(payload_errors(&activate(&app, mail.token(), PASSWORD).await), ["EXPIRED input.token"], "{what}");
            let expected = if what == "a newer one" { "QUEUED" } else { "EXPIRED" };
            assert_eq!(state(&admin, &id).await["state"], json!(expected), "{what}");
            app.mails().await;
        }
        let id = create_user(&admin, "late@x.example", json!({})).await;
        let [mail] = app.mails().await.try_into().unwrap();
        link::Entity::update_many().col_expr(link::Column::ExpiresAt, Expr::value(now())).exec(app.db.write()).await.unwrap();
        invitation::Entity::update_many().col_expr(invitation::Column::ExpiresAt, Expr::value(now())).exec(app.db.write()).await.unwrap();
        assert_eq!(payload_errors(&activate(&app, mail.token(), PASSWORD).await), ["EXPIRED input.token"]);
        assert_eq!(state(&admin, &id).await["state"], json!("EXPIRED"));
    }

    async fn a_link_is_valid_for_fourteen_days_after_it_is_sent(app: App) {
        let admin = app.admin().await;
        let id = create_user(&admin, "ada@x.example", json!({})).await;
        // The email was delayed for a day.
        let before = now() + TimeDelta::days(13);
        link::Entity::update_many().col_expr(link::Column::ExpiresAt, Expr::value(before)).exec(app.db.write()).await.unwrap();
        let [_mail] = app.mails().await.try_into().unwrap();
        let link = link::Entity::find().one(app.db.read()).await.unwrap().unwrap();
        let lives = link.expires_at - now();
        assert!(lives <= TimeDelta::days(14) && lives > TimeDelta::days(14) - TimeDelta::minutes(1), "{lives}");
        let expires_at: chrono::DateTime<chrono::Utc> = state(&admin, &id).await["expiresAt"].as_str().unwrap().parse().unwrap();
        assert!((expires_at - link.expires_at).abs() < TimeDelta::minutes(1));
    }

    async fn an_invitation_cancelled_before_it_is_sent_is_not_sent(app: App) {
        let license_admin = app.license_admin().await;
        let id = create_user(&license_admin, "ada@x.example", json!({})).await;
        license_admin.mutate("resendActivation", "", json!({ "id": id })).await;
        assert_eq!(app.mails().await.len(), 1, "only the newer email is sent");
        let id = create_user(&license_admin, "bob@x.example", json!({})).await;
        license_admin.mutate("setActive", "", json!({ "id": id, "active": false })).await;
        let id = create_user(&license_admin, "cyd@x.example", json!({})).await;
        license_admin.mutate("deleteUser", "", json!({ "id": id })).await;
        assert_eq!(app.mails().await.len(), 0);
    }

    async fn a_resent_invitation_keeps_the_next_url_by_default(app: App) {
        let license_admin = app.license_admin().await;
        let (first, second) = ("https://app.example.org/welcome/a", "https://app.example.org/welcome/b");
        let id = create_user(&license_admin, "ada@x.example", json!({ "registrationEmailNextUrl": first })).await;
        app.mails().await;
        for (input, expected) in [
            (json!({}), json!(first)),
            (json!({ "nextUrl": second }), json!(second)),
            (json!({}), json!(second)),
            (json!({ "nextUrl": null }), json!(null)),
            (json!({}), json!(null)),
        ] {
            let mut input = input;
            input["id"] = id.clone();
            assert_eq!(license_admin.mutate("resendActivation", "", input).await["success"], json!(true));
            let [_mail] = app.mails().await.try_into().unwrap();
            let link = link::Entity::find().one(app.db.read()).await.unwrap().unwrap();
            assert_eq!(json!(link.next_url.map(|url| url.0)), expected);
        }
    }

    async fn invitations_are_resent_only_to_users_who_can_use_them(app: App) {
        let (license_admin, admin) = (app.license_admin().await, app.admin().await);
        let active = create_user(&license_admin, "a@x.example", json!({ "password": PASSWORD })).await;
        assert_eq!(license_admin.payload_errors("resendActivation", json!({ "id": active })).await, ["NOT_ALLOWED input.id"]);
        let inactive = create_user(&license_admin, "b@x.example", json!({ "isActive": false })).await;
        assert_eq!(license_admin.payload_errors("resendActivation", json!({ "id": inactive })).await, ["INACTIVE input.id"]);
        let nameless = app.create("C", app.license, UserFields { username: Given("c".to_owned()), ..UserFields::default() }, Given(PASSWORD.to_owned())).await;
        assert_eq!(license_admin.payload_errors("resendActivation", json!({ "id": nameless.id.0 })).await, ["NOT_ALLOWED input.id"]);
        assert_eq!(license_admin.payload_errors("resendActivation", json!({ "id": "x", "nextUrl": "x" })).await, ["INVALID input.id", "INVALID input.nextUrl"]);
        let above = app.create("D", app.license, UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() }, async_graphql::MaybeUndefined::Undefined).await;
        assert_eq!(admin.mutation_error_code("resendActivation", json!({ "id": above.id.0 })).await, "FORBIDDEN");
        assert_eq!(app.mails().await.len(), 0);
    }

    async fn administrators_see_the_invitation_state_and_filter_by_it(app: App) {
        let (license_admin, user, stranger) = (app.license_admin().await, app.user().await, app.other_license_user().await);
        let ids = [create_user(&license_admin, "a@x.example", json!({})).await, create_user(&license_admin, "b@x.example", json!({})).await];
        let [first, _] = app.mails().await.try_into().unwrap();
        let queued = create_user(&license_admin, "c@x.example", json!({})).await;
        // It has a password: it is in no state.
        create_user(&license_admin, "d@x.example", json!({ "password": PASSWORD })).await;
        let never = create_user(&license_admin, "e@x.example", json!({ "sendRegistrationEmail": false })).await;
        activate(&app, first.token(), PASSWORD).await;
        let query = "query ($states: [InvitationState!]) { users(filter: { invitation: $states }) { totalCount nodes { id invitation { state } } } }";
        for (states, expected) in [
            (json!(["QUEUED"]), vec![&queued]),
            (json!(["SENT"]), vec![&ids[1]]),
            (json!(["ACCEPTED"]), vec![&ids[0]]),
            (json!(["EXPIRED", "FAILED"]), vec![]),
            (json!(["NOT_INVITED"]), vec![&never]),
            (json!([]), vec![]),
        ] {
            let page = license_admin.data(query, json!({ "states": states })).await["users"].clone();
            let found: Vec<&Value> = page["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
            assert_eq!(found, expected, "{states}");
            assert_eq!(page["totalCount"], json!(expected.len()));
        }
        let data = license_admin.data(query, json!({ "states": ["QUEUED", "SENT", "ACCEPTED"] })).await;
        assert_eq!(data["users"]["totalCount"], json!(3));
        assert_eq!(user.error_code(query, json!({ "states": ["SENT"] })).await, "FORBIDDEN");
        assert_eq!(state(&user, &queued).await, json!(null));
        let invited = with_token(&app, &login(&app, "a@x.example", PASSWORD).await["token"]);
        assert_eq!(invited.data("{ viewer { invitation { state } } }", json!({})).await["viewer"]["invitation"], json!(null));
        let rights = AdminRightsInput { is_admin: Given(true), ..AdminRightsInput::default() };
        let elsewhere = app.create("E", app.other_license, UserFields { admin_rights: Given(rights), ..UserFields::default() }, Given(PASSWORD.to_owned())).await;
        let elsewhere = app.sign_in(elsewhere).await;
        assert_eq!(elsewhere.data(query, json!({ "states": ["SENT", "QUEUED"] })).await["users"]["totalCount"], json!(0));
        assert_eq!(stranger.mutation_error_code("resendActivation", json!({ "id": queued })).await, "FORBIDDEN");
        assert_eq!(elsewhere.payload_errors("resendActivation", json!({ "id": queued })).await, ["NOT_FOUND input.id"]);
    }
}
