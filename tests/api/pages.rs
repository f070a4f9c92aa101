//! The pages that links lead to, in a real browser.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::entity::user::UserFields;
use serde_json::json;

use crate::app::{App, PASSWORD};
use crate::browser::Browser;

const OUTCOME: &str = "#outcome";

#[tokio::test]
async fn a_link_leads_to_a_page_that_sets_the_password() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    let fields = UserFields { email: Given("ada@x.example".to_owned()), ..UserFields::default() };
    app.create("Ada", app.license, fields, Undefined).await;
    let token = roster::account::new_link(&app.db, "ada@x.example").await.unwrap();

    browser.resize(360, 640).await;
    browser.open(&format!("{}/activate#{token}", app.url())).await;
    assert_eq!(browser.run("return location.href").await, format!("{}/activate", app.url()), "the secret is gone");
    let fits = browser.run("return document.documentElement.scrollWidth <= window.innerWidth").await;
    assert_eq!(fits, true, "on a telephone");
    for (password, again, said) in [
        (PASSWORD, "another", "The two passwords differ."),
        ("short", "short", "At least 12 characters."),
        (PASSWORD, PASSWORD, "Welcome, Ada Tester. Your password is set"),
    ] {
        browser.run("document.querySelector('#form').reset()").await;
        browser.write("#password", password).await;
        browser.write("#again", again).await;
        browser.click("#form button").await;
        browser.see(OUTCOME, said).await;
    }
    assert_eq!(browser.console().await, [""; 0]);
    for address in browser.loaded().await {
        assert!(address.starts_with(&app.url()), "loaded {address}");
    }
    let login = json!({ "login": "ada@x.example", "password": PASSWORD });
    assert_eq!(app.anonymous().change("login", "", login).await["success"], json!(true));

    browser.open(&app.url()).await;
    browser.open(&format!("{}/activate#{token}", app.url())).await;
    browser.write("#password", PASSWORD).await;
    browser.write("#again", PASSWORD).await;
    browser.click("#form button").await;
    browser.see(OUTCOME, "This link is no longer valid").await;
}
