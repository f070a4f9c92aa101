//! Signing in and out.

use serde_json::json;

use crate::app::{App, PASSWORD};

on_every_database! {
    async fn a_person_signs_in_by_address_in_any_case_and_sees_himself(app: App) {
        let login = app.anonymous().change("login", "token expiresAt user { email license { number } lastLogin adminRights { isSuperuser } }",
            json!({ "login": " ROOT@Alder.example.ORG ", "password": PASSWORD })).await;
        assert_eq!(login["success"], json!(true), "{login:#}");
        assert_eq!(login["user"]["license"]["number"], json!("A-1"));
        assert!(login["user"]["lastLogin"].is_string());
        let mut caller = app.anonymous();
        caller.token = login["token"].as_str().map(str::to_owned);
        let data = caller.data("{ viewer { email sessions { isCurrent } } }", json!({})).await;
        assert_eq!(data["viewer"], json!({ "email": "root@alder.example.org", "sessions": [{ "isCurrent": true }] }));
    }
}
