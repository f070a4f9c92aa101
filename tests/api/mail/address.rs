//! Changing one's own email address.

use async_graphql::MaybeUndefined::Value as Given;
use roster::entity::user::UserFields;
use roster::entity::{link, user};
use roster::scalar::now;
use sea_orm::EntityTrait;
use sea_orm::sea_query::Expr;
use serde_json::{Value, json};

use super::{ANOTHER, login, summary, with_token, works};
use crate::accounts::ada;
use crate::app::{App, Caller, Mail, PASSWORD, payload_errors};

async fn signed_in(app: &App) -> Caller<'_> {
    with_token(app, &login(app, "ada", PASSWORD).await["token"])
}

async fn request(me: &Caller<'_>, new_email: &str) -> Value {
    me.mutate("requestEmailChange", "", json!({ "newEmail": new_email, "currentPassword": PASSWORD })).await
}

async fn confirm(caller: &Caller<'_>, token: &str) -> Value {
    caller.mutate("confirmEmailChange", "user { email emailVerified }", json!({ "token": token })).await
}

/// The email with a link.
fn leading(mails: &[Mail]) -> &Mail {
    let mut leading = mails.iter().filter(|mail| mail.link.is_some());
    let first = leading.next().unwrap();
    assert!(leading.next().is_none());
    first
}

on_every_database! {
    async fn a_new_address_is_confirmed_by_link_and_the_old_one_is_notified(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        assert_eq!(request(&me, "Ada.New@Y.example").await["success"], json!(true));
        let mails = app.mails().await;
        assert_eq!(summary(&mails).iter().map(|(to, _)| *to).collect::<Vec<_>>(), ["Ada.New@y.example", "ada@x.example"]);
        let mail = leading(&mails);
        assert_eq!(mail.to, "Ada.New@y.example");
        assert!(mail.link.as_ref().unwrap().contains("/confirm-email?lang=en#rol_"));
        assert_eq!(me.data("{ viewer { email } }", json!({})).await["viewer"]["email"], json!("ada@x.example"), "the address has not changed yet");

        let done = confirm(&app.anonymous(), mail.token()).await;
        assert_eq!((&done["success"], &done["user"]), (&json!(true), &json!(null)), "anonymous callers see no user: {done:#}");
        assert_eq!(me.data("{ viewer { email emailVerified } }", json!({})).await["viewer"], json!({ "email": "Ada.New@Y.example", "emailVerified": true }));
        assert!(works(&me).await, "sessions stay valid");
        assert_eq!(login(&app, "ada.new@y.example", PASSWORD).await["success"], json!(true));
        assert_eq!(payload_errors(&login(&app, "ada@x.example", PASSWORD).await), ["INVALID_CREDENTIALS input"]);
        let [notice] = app.mails().await.try_into().unwrap();
        assert_eq!((notice.to.as_str(), &notice.link), ("ada@x.example", &None));
        assert_eq!(payload_errors(&confirm(&app.anonymous(), mail.token()).await), ["EXPIRED input.token"]);
    }

    async fn a_signed_in_user_sees_themselves_in_the_response(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        request(&me, "new@y.example").await;
        let token = leading(&app.mails().await).token().to_owned();
        assert_eq!(confirm(&me, &token).await["user"], json!({ "email": "new@y.example", "emailVerified": true }));
        request(&me, "newer@y.example").await;
        let token = leading(&app.mails().await[1..]).token().to_owned();
        assert_eq!(confirm(&app.other_license_user().await, &token).await["user"], json!(null), "other licenses see no user");
    }

    async fn a_change_requires_the_current_password_and_a_different_address(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        for (email, password, error) in [
            ("new@y.example", "not-the-password", "INVALID_CREDENTIALS input.currentPassword"),
            ("nobody", PASSWORD, "INVALID input.newEmail"),
            ("ada@x.example", PASSWORD, "INVALID input.newEmail"),
            ("a@y.example, b@y.example", PASSWORD, "INVALID input.newEmail"),
            ("a@y.example\r\nBcc: b@y.example", PASSWORD, "INVALID input.newEmail"),
            ("", PASSWORD, "INVALID input.newEmail"),
        ] {
            let input = json!({ "newEmail": email, "currentPassword": password });
            assert_eq!(me.payload_errors("requestEmailChange", input).await, [error], "{email}");
        }
        assert_eq!(app.anonymous().mutation_error_code("requestEmailChange", json!({ "newEmail": "n@y.example", "currentPassword": PASSWORD })).await, "UNAUTHENTICATED");
        assert_eq!(app.mails().await.len(), 0);
    }

    async fn a_taken_address_gets_the_same_response_and_its_owner_is_notified(app: App) {
        ada(&app).await;
        let fields = UserFields { email: Given("Bo@y.example".to_owned()), ..UserFields::default() };
        app.create("Bo", app.other_license, fields, Given(PASSWORD.to_owned())).await;
        let me = signed_in(&app).await;
        let free = request(&me, "free@y.example").await;
        app.mails().await;
        assert_eq!(request(&me, "BO@y.example").await, free);
        let mails = app.mails().await;
        assert_eq!(summary(&mails).iter().map(|(to, _)| *to).collect::<Vec<_>>(), ["Bo@y.example", "ada@x.example"]);
        assert!(mails.iter().all(|mail| mail.link.is_none()));
        assert_eq!(link::Entity::find().all(app.db.read()).await.unwrap(), []);
    }

    async fn repeated_requests_do_not_flood_the_new_address(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        for _ in 0..5 {
            assert_eq!(request(&me, "victim@y.example").await["success"], json!(true));
        }
        let mails = app.mails().await;
        assert_eq!(mails.iter().filter(|mail| mail.to == "victim@y.example").count(), 1, "only the newest of three is sent");
        assert_eq!(mails.iter().filter(|mail| mail.to == "ada@x.example").count(), 3);
    }

    async fn an_address_taken_in_the_meantime_stays_with_its_owner(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        request(&me, "bo@y.example").await;
        let token = leading(&app.mails().await).token().to_owned();
        let fields = UserFields { email: Given("bo@y.example".to_owned()), ..UserFields::default() };
        let bo = app.create("Bo", app.license, fields, Given(PASSWORD.to_owned())).await;
        assert_eq!(payload_errors(&confirm(&app.anonymous(), &token).await), ["TAKEN input.token"]);
        let owner = user::Entity::find_by_id(bo.id).one(app.db.read()).await.unwrap().unwrap();
        assert_eq!(owner.email.as_deref(), Some("bo@y.example"));
    }

    async fn an_address_that_is_the_username_of_another_user_is_rejected(app: App) {
        ada(&app).await;
        let fields = UserFields { username: Given("bo@y.example".to_owned()), ..UserFields::default() };
        let bo = app.create("Bo", app.other_license, fields, Given(PASSWORD.to_owned())).await;
        let me = signed_in(&app).await;
        assert_eq!(request(&me, "BO@y.example").await["success"], json!(true));
        let token = leading(&app.mails().await).token().to_owned();
        assert_eq!(payload_errors(&confirm(&app.anonymous(), &token).await), ["TAKEN input.token"]);
        let signed_in = with_token(&app, &login(&app, "bo@y.example", PASSWORD).await["token"]);
        assert_eq!(signed_in.data("{ viewer { id } }", json!({})).await["viewer"]["id"], json!(bo.id.0.to_string()));
        assert_eq!(login(&app, "ada@x.example", PASSWORD).await["success"], json!(true));
    }

    async fn users_can_change_the_case_of_their_address(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        request(&me, "Ada@x.example").await;
        let token = leading(&app.mails().await).token().to_owned();
        assert_eq!(confirm(&me, &token).await["user"]["email"], json!("Ada@x.example"));
    }

    async fn a_new_password_cancels_a_change_of_address(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        request(&me, "new@y.example").await;
        let token = leading(&app.mails().await).token().to_owned();
        me.mutate("changePassword", "", json!({ "currentPassword": PASSWORD, "newPassword": ANOTHER })).await;
        assert_eq!(payload_errors(&confirm(&app.anonymous(), &token).await), ["EXPIRED input.token"]);
        let [notice] = app.mails().await.try_into().unwrap();
        assert_eq!(notice.to, "ada@x.example");
    }

    async fn a_link_expires_after_two_hours_and_ends_all_other_links(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        app.anonymous().mutate("requestPasswordReset", "", json!({ "email": "ada@x.example" })).await;
        let lost = leading(&app.mails().await).token().to_owned();
        request(&me, "new@y.example").await;
        let token = leading(&app.mails().await).token().to_owned();
        let links = link::Entity::find().all(app.db.read()).await.unwrap();
        let lives = links.iter().map(|link| (link.expires_at - now()).num_minutes()).max().unwrap();
        assert_eq!(lives, 119);
        assert_eq!(confirm(&app.anonymous(), &token).await["success"], json!(true));
        let input = json!({ "token": lost, "password": ANOTHER });
        assert_eq!(app.anonymous().payload_errors("resetPassword", input).await, ["EXPIRED input.token"], "the link was sent to the old address");
        request(&me, "newer@y.example").await;
        let token = leading(&app.mails().await[1..]).token().to_owned();
        link::Entity::update_many().col_expr(link::Column::ExpiresAt, Expr::value(now())).exec(app.db.write()).await.unwrap();
        assert_eq!(payload_errors(&confirm(&app.anonymous(), &token).await), ["EXPIRED input.token"]);
    }

    async fn users_are_notified_when_password_pin_or_address_change(app: App) {
        let id = ada(&app).await;
        let (me, license_admin) = (signed_in(&app).await, app.license_admin().await);
        me.mutate("setPin", "", json!({ "pin": "0417" })).await;
        me.mutate("setPin", "", json!({ "pin": null })).await;
        me.mutate("setPin", "", json!({ "pin": null })).await;
        assert_eq!(app.mails().await.len(), 2, "the second removal changes nothing");
        for (change, expected) in [
            (json!({ "password": ANOTHER }), 1),
            (json!({ "pin": "0417" }), 1),
            (json!({ "nickname": "A" }), 0),
            (json!({ "email": "ADA@x.example" }), 0),
            (json!({ "email": "elsewhere@x.example", "password": PASSWORD, "pin": null }), 3),
            (json!({ "email": "elsewhere2@x.example", "dryRun": true }), 0),
        ] {
            let mut input = change;
            input["id"] = json!(id.0);
            assert_eq!(license_admin.mutate("updateUser", "", input.clone()).await["success"], json!(true));
            let mails = app.mails().await;
            assert_eq!(mails.len(), expected, "{input}");
            assert!(mails.iter().all(|mail| mail.to.eq_ignore_ascii_case("ada@x.example") && mail.link.is_none()), "notices go to the old address");
        }
    }
}
