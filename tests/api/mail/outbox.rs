//! Queued emails: the stored data, the time of sending, retries and giving up.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::TimeDelta;
use roster::auth::server_key::Key;
use roster::auth::token;
use roster::entity::audit_event::AuditAction;
use roster::entity::user::UserFields;
use roster::entity::{audit_event, link, mail};
use roster::scalar::now;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller, KEY, PASSWORD};

async fn create_user(admin: &Caller<'_>, email: &str) -> Value {
    let input = json!({ "firstName": "Ada", "lastName": "Byron", "email": email });
    admin.mutate("createUser", "user { id }", input).await["user"]["id"].clone()
}

async fn invitation(admin: &Caller<'_>, id: &Value) -> Value {
    let query = "query ($id: ID!) { user(by: { id: $id }) { invitation { state sentAt lastError } } }";
    admin.data(query, json!({ "id": id })).await["user"]["invitation"].clone()
}

/// Moves the queued emails back in time and adds `tries` attempts.
async fn wait(app: &App, time: TimeDelta, tries: i32) {
    for mail in mail::Entity::find().all(app.db.read()).await.unwrap() {
        mail::Entity::update_many()
            .col_expr(mail::Column::NextTryAt, Expr::value(mail.next_try_at - time))
            .col_expr(mail::Column::CreatedAt, Expr::value(mail.created_at - time))
            .col_expr(mail::Column::Tries, Expr::value(mail.tries + tries))
            .filter(mail::Column::Id.eq(mail.id))
            .exec(app.db.write())
            .await
            .unwrap();
    }
}

on_every_database! {
    async fn the_stored_data_of_an_email_does_not_contain_its_token(app: App) {
        let admin = app.admin().await;
        create_user(&admin, "ada@x.example").await;
        let waiting = mail::Entity::find().one(app.db.read()).await.unwrap().unwrap();
        let seed = waiting.seed.clone().unwrap();
        let [mail] = app.mails().await.try_into().unwrap();
        assert!(!format!("{waiting:?}").contains(mail.token()));
        assert_eq!(token::from_seed(&Key::from(KEY), &seed), mail.token(), "the token depends on the server key");
        assert_ne!(token::from_seed(&Key::from([0; 32]), &seed), mail.token());
        let stored = link::Entity::find().one(app.db.read()).await.unwrap().unwrap();
        assert_eq!(stored.token_hash, token::hash(mail.token()));
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0, "no queued email remains");
    }

    async fn a_failed_email_is_retried_and_administrators_see_the_reason(app: App) {
        let admin = app.admin().await;
        let id = create_user(&admin, "ada@x.example").await;
        app.break_mail();
        let mut pauses = Vec::new();
        for tries in 1..=13 {
            app.send_mail().await;
            let waiting = mail::Entity::find().one(app.db.read()).await.unwrap().unwrap();
            assert_eq!(waiting.tries, tries);
            pauses.push(((waiting.next_try_at - now()).num_milliseconds() + 500) / 1000);
            let status = invitation(&admin, &id).await;
            assert_eq!((&status["state"], status["lastError"].is_string(), &status["sentAt"]), (&json!("QUEUED"), true, &json!(null)));
            app.send_mail().await;
            let later = mail::Entity::find().one(app.db.read()).await.unwrap().unwrap();
            assert_eq!(later.tries, tries, "no retry before its time");
            wait(&app, later.next_try_at - now(), 0).await;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        app.mend_mail();
        assert_eq!(app.mails().await.len(), 1);
        let status = invitation(&admin, &id).await;
        assert_eq!((&status["state"], &status["lastError"], status["sentAt"].is_string()), (&json!("SENT"), &json!(null), true));
    }

    async fn after_a_day_an_email_fails_with_an_audit_event(app: App) {
        let admin = app.admin().await;
        let id = create_user(&admin, "ada@x.example").await;
        app.break_mail();
        app.send_mail().await;
        wait(&app, TimeDelta::hours(23), 90).await;
        app.send_mail().await;
        assert_eq!(invitation(&admin, &id).await["state"], json!("QUEUED"));
        wait(&app, TimeDelta::hours(2), 8).await;
        app.send_mail().await;
        let status = invitation(&admin, &id).await;
        assert_eq!((&status["state"], status["lastError"].is_string()), (&json!("FAILED"), true), "{status:#}");
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 0);
        let query = "query ($id: ID!) { auditEvents(filter: { subject: $id, action: [MAIL_FAILED] }, first: 2) { nodes { actor { id } changes { field after } } } }";
        let events = admin.data(query, json!({ "id": id })).await["auditEvents"]["nodes"].clone();
        assert_eq!((events.as_array().unwrap().len(), &events[0]["changes"][1]), (1, &json!({ "field": "mail", "after": "INVITATION" })), "{events:#}");
        app.mend_mail();
        assert_eq!(admin.mutate("resendActivation", "", json!({ "id": id })).await["success"], json!(true));
        assert_eq!((app.mails().await.len(), invitation(&admin, &id).await["state"].clone()), (1, json!("SENT")));
    }

    async fn an_old_email_does_not_fail_at_its_first_attempt(app: App) {
        let admin = app.admin().await;
        let id = create_user(&admin, "ada@x.example").await;
        app.break_mail();
        wait(&app, TimeDelta::days(3), 0).await;
        app.send_mail().await;
        assert_eq!(invitation(&admin, &id).await["state"], json!("QUEUED"));
    }

    async fn a_failed_registration_leaves_no_address_in_the_audit_trail(app: App) {
        let input = json!({ "firstName": "Eve", "lastName": "Moss", "email": "eve@x.example" });
        app.anonymous().mutate("registerUser", "", input).await;
        app.break_mail();
        wait(&app, TimeDelta::hours(25), 90).await;
        app.send_mail().await;
        app.seal().await;
        let failed = audit_event::Column::Action.eq(AuditAction::MailFailed);
        let events = audit_event::Entity::find().filter(failed).all(app.db.read()).await.unwrap();
        assert_eq!((events.len(), events[0].subject_id), (1, app.license));
        assert_eq!(events[0].changes.as_deref(), Some(r#"[{"field":"mail","after":"REGISTRATION"}]"#));
    }

    async fn an_email_is_in_the_language_of_its_reader(app: App) {
        let admin = app.admin().await;
        let subject = async |language: &str, locale: Option<&str>| {
            let fields = UserFields { email: Given(format!("{}@x.example", roster::scalar::Id::new().0)), ..UserFields::default() };
            let user = app.create("Ada", app.license, fields, Undefined).await;
            if let Some(locale) = locale {
                let attributes = json!([{ "name": "locale", "value": locale }]);
                assert_eq!(admin.mutate("updateUser", "", json!({ "id": user.id.0, "attributes": attributes })).await["success"], json!(true));
            }
            let document = "mutation ($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { success } }";
            let body = json!({ "query": document, "variables": { "input": { "email": user.email } } });
            let request = reqwest::Client::new().post(format!("{}/graphql", app.url())).header("Accept-Language", language).json(&body);
            assert_eq!(request.send().await.unwrap().status(), 200);
            let [mail] = app.mails().await.try_into().unwrap();
            let page = mail.link.clone().unwrap();
            (mail.language.clone(), page.split_once("?lang=").unwrap().1.split_once('#').unwrap().0.to_owned())
        };
        let locale = json!({ "name": "locale", "label": "Language", "kind": "STRING" });
        assert_eq!(app.license_admin().await.mutate("defineAttribute", "", locale).await["success"], json!(true));
        for (language, locale, expected) in [
            ("fr-CH, en;q=0.5", None, "fr"),
            ("it", None, "it"),
            ("de, *;q=0.1", None, "en"),
            ("", None, "en"),
            ("it", Some("fr_CH"), "fr"),
            ("it", Some("de"), "it"),
        ] {
            assert_eq!(subject(language, locale).await, (expected.to_owned(), expected.to_owned()), "{language} {locale:?}");
        }
    }

    async fn an_email_contains_names_as_escaped_text_only(app: App) {
        let admin = app.admin().await;
        let hostile = "<script>alert(1)</script>\" {$name} {{name}}";
        let input = json!({ "firstName": hostile, "lastName": "Moss", "email": "eve@x.example" });
        assert_eq!(admin.mutate("createUser", "", input).await["success"], json!(true));
        let [mail] = app.mails().await.try_into().unwrap();
        assert!(mail.text.replace(['\r', '\n'], " ").contains(hostile), "{}", mail.text);
        assert!(!mail.html.contains("<script>") && mail.html.contains("&lt;script&gt;") || mail.html.contains("&#60;script&#62;"), "{}", mail.html);
        assert!(!mail.subject.contains("script"), "{}", mail.subject);
    }

    async fn password_resets_cost_the_same_for_unknown_addresses(app: App) {
        let fields = UserFields { email: Given("ada@x.example".to_owned()), ..UserFields::default() };
        app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await;
        // The first request of a counter also cleans up.
        app.anonymous().mutate("requestPasswordReset", "", json!({ "email": "first@x.example" })).await;
        let mut costs = Vec::new();
        for email in ["ada@x.example", "bob@x.example", "ada@x.example", "bob@x.example"] {
            let before = app.db.statements();
            app.anonymous().mutate("requestPasswordReset", "", json!({ "email": email })).await;
            costs.push(app.db.statements() - before);
        }
        assert!(costs[0] == costs[1] && costs[2] == costs[3], "{costs:?}");
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), 5);
        let nobodys = mail::Column::UserId.is_null();
        assert_eq!(mail::Entity::find().filter(nobodys).count(app.db.read()).await.unwrap(), 5, "no queued email refers to a user yet");
        assert_eq!(link::Entity::find().count(app.db.read()).await.unwrap(), 0);
    }
}
