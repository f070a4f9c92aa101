//! A password in the place of a lost one.

use async_graphql::MaybeUndefined::Value as Given;
use futures_util::future::join_all;
use roster::entity::user::UserFields;
use roster::entity::{license, link, mail};
use roster::scalar::{Date, Id, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use super::{ANOTHER, login, with_token, works};
use crate::app::{App, Mail, PASSWORD, faults_of};

async fn ada(app: &App) -> Id {
    let fields = UserFields { email: Given("Mike.Ada@x.example".to_owned()), ..UserFields::default() };
    app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await.id
}

async fn request(app: &App, email: &str) -> Value {
    app.anonymous().change("requestPasswordReset", "", json!({ "email": email })).await
}

async fn reset(app: &App, token: &str, password: &str) -> Value {
    app.anonymous().change("resetPassword", "", json!({ "token": token, "password": password })).await
}

async fn mail_of(app: &App, email: &str) -> Mail {
    request(app, email).await;
    let [mail] = app.mails().await.try_into().unwrap();
    mail
}

on_every_database! {
    async fn a_lost_password_is_replaced_and_every_session_ends(app: App) {
        ada(&app).await;
        let session = with_token(&app, &login(&app, "mike.ada@x.example", PASSWORD).await["token"]);
        let mail = mail_of(&app, "mike.ada@x.example").await;
        assert!(mail.link.as_ref().unwrap().contains("/reset?lang=en#rol_"), "{:?}", mail.link);
        assert!(works(&session).await, "to ask for it ends nothing");
        assert_eq!(login(&app, "mike.ada@x.example", PASSWORD).await["success"], json!(true));
        assert_eq!(faults_of(&reset(&app, mail.token(), "short").await), ["TOO_SHORT input.password"]);
        let done = reset(&app, mail.token(), ANOTHER).await;
        assert_eq!(done["success"], json!(true), "{done:#}");
        assert!(!works(&session).await);
        assert_eq!(faults_of(&login(&app, "mike.ada@x.example", PASSWORD).await), ["INVALID_CREDENTIALS input"]);
        let signed_in = with_token(&app, &login(&app, "mike.ada@x.example", ANOTHER).await["token"]);
        assert_eq!(signed_in.data("{ viewer { emailVerified } }", json!({})).await["viewer"]["emailVerified"], json!(true));
        assert_eq!(faults_of(&reset(&app, mail.token(), PASSWORD).await), ["EXPIRED input.token"]);
        let [notice] = app.mails().await.try_into().unwrap();
        assert_eq!((notice.to.as_str(), &notice.link), ("Mike.Ada@x.example", &None));
    }

    async fn mail_goes_to_the_address_that_is_stored_however_it_was_spelt(app: App) {
        ada(&app).await;
        for spelling in ["MIKE.ADA@X.EXAMPLE", "mıke.ada@x.example", "ｍｉｋｅ.ada@x.example"] {
            assert_eq!(mail_of(&app, spelling).await.to, "Mike.Ada@x.example", "{spelling}");
        }
    }

    async fn who_is_unknown_inactive_or_of_an_expired_license_gets_the_same_answer_and_no_mail(app: App) {
        ada(&app).await;
        let (chief, inactive) = (app.license_admin().await, app.user().await);
        let address = inactive.data("{ viewer { email } }", json!({})).await["viewer"]["email"].as_str().unwrap().to_owned();
        chief.change("setActive", "", json!({ "id": inactive.id(), "active": false })).await;
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
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0, "the others are forgotten");
        assert_eq!(faults_of(&request(&app, "nobody").await), ["INVALID input.email"]);
    }

    async fn of_many_requests_for_one_address_three_are_heard_whoever_asks(app: App) {
        ada(&app).await;
        for email in ["mike.ada@x.example", "nobody@x.example"] {
            let answers = join_all((0..10).map(|_| request(&app, email))).await;
            assert!(answers.iter().all(|answer| answer["success"] == json!(true)), "{email}");
        }
        let queued = mail::Entity::find().count(app.db.read()).await.unwrap();
        assert_eq!(queued, 6, "three each");
        assert_eq!(app.mails().await.len(), 3);
    }

    async fn of_too_many_requests_from_one_network_address_the_rest_is_refused(app: App) {
        for n in 0..100 {
            request(&app, &format!("nobody{n}@x.example")).await;
        }
        assert_eq!(app.anonymous().change_refused("requestPasswordReset", json!({ "email": "c@x.example" })).await, "RATE_LIMITED");
        let stranger = json!({ "firstName": "Eve", "lastName": "Moss", "email": "d@x.example" });
        assert_eq!(app.anonymous().change_refused("registerUser", stranger).await, "RATE_LIMITED");
        ada(&app).await;
        assert_eq!(login(&app, "mike.ada@x.example", PASSWORD).await["success"], json!(true), "signing in is another matter");
    }

    async fn of_fifty_parallel_uses_of_a_link_one_succeeds(app: App) {
        ada(&app).await;
        let mail = mail_of(&app, "mike.ada@x.example").await;
        let mut tally = (0, 0);
        for round in join_all((0..50).map(|_| async {
            // Those who find too many before them ask again.
            loop {
                let query = "mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { success errors { code path } } }";
                let input = json!({ "token": mail.token(), "password": ANOTHER });
                let answer = app.anonymous().ask(query, json!({ "input": input })).await;
                if answer.get("errors").is_none() {
                    return answer["data"]["resetPassword"].clone();
                }
                assert_eq!(answer["errors"][0]["extensions"]["code"], json!("RATE_LIMITED"), "{answer:#}");
            }
        })).await {
            if round["success"] == json!(true) {
                tally.0 += 1;
            } else {
                assert_eq!(faults_of(&round), ["EXPIRED input.token"]);
                tally.1 += 1;
            }
        }
        assert_eq!(tally, (1, 49));
    }

    async fn who_was_locked_out_by_somebodys_guesses_gets_in_by_the_new_password_at_once(app: App) {
        ada(&app).await;
        for _ in 0..10 {
            login(&app, "mike.ada@x.example", "not-the-password").await;
        }
        assert_eq!(faults_of(&login(&app, "mike.ada@x.example", PASSWORD).await), ["LOCKED input"]);
        let mail = mail_of(&app, "mike.ada@x.example").await;
        reset(&app, mail.token(), ANOTHER).await;
        assert_eq!(login(&app, "mike.ada@x.example", ANOTHER).await["success"], json!(true));
    }

    async fn a_link_is_for_its_purpose_alone_and_ends_with_its_hour_and_a_newer_one(app: App) {
        ada(&app).await;
        let mail = mail_of(&app, "mike.ada@x.example").await;
        let activation = json!({ "token": mail.token(), "password": ANOTHER });
        assert_eq!(app.anonymous().faults("activateAccount", activation).await, ["EXPIRED input.token"]);
        assert_eq!(app.anonymous().faults("confirmEmailChange", json!({ "token": mail.token() })).await, ["EXPIRED input.token"]);
        let newer = mail_of(&app, "mike.ada@x.example").await;
        assert_eq!(faults_of(&reset(&app, mail.token(), ANOTHER).await), ["EXPIRED input.token"]);
        for altered in [
            String::new(), newer.token().replacen('r', "", 1), newer.token().chars().take(40).collect(), format!("{}A", newer.token()),
            newer.token().replace("rol_", "ros_"), newer.token().to_uppercase(), "x".repeat(10_000),
        ] {
            assert_eq!(faults_of(&reset(&app, &altered, ANOTHER).await), ["EXPIRED input.token"], "{altered:.60}");
        }
        let lives = link::Entity::find().one(app.db.read()).await.unwrap().unwrap().expires_at - now();
        assert!(lives.num_minutes() == 59, "{lives}");
        link::Entity::update_many().col_expr(link::Column::ExpiresAt, Expr::value(now())).exec(app.db.write()).await.unwrap();
        assert_eq!(faults_of(&reset(&app, newer.token(), ANOTHER).await), ["EXPIRED input.token"]);
    }

    async fn who_never_used_his_invitation_takes_the_account_into_use_by_a_new_password(app: App) {
        let chief = app.license_admin().await;
        let entered = json!({ "firstName": "Bo", "lastName": "Moss", "email": "bo@x.example" });
        let id = chief.change("createUser", "user { id }", entered).await["user"]["id"].clone();
        app.mails().await;
        let mail = mail_of(&app, "bo@x.example").await;
        reset(&app, mail.token(), ANOTHER).await;
        let query = "query ($id: ID!) { user(by: { id: $id }) { hasActivated emailVerified invitation { state } } }";
        let bo = chief.data(query, json!({ "id": id })).await["user"].clone();
        assert_eq!(bo, json!({ "hasActivated": true, "emailVerified": true, "invitation": { "state": "ACCEPTED" } }));
    }

    async fn only_one_such_mutation_is_in_a_request(app: App) {
        let query = "mutation { a: requestPasswordReset(input: { email: \"a@x.example\" }) { success } b: requestPasswordReset(input: { email: \"b@x.example\" }) { success } }";
        assert_eq!(app.anonymous().refused(query, json!({})).await, "BAD_USER_INPUT");
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0);
    }
}
