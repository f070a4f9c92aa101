//! The examples of the playground.

use async_graphql::MaybeUndefined::Value as Given;
use roster::entity::user::{Role, UserFields};
use serde_json::{Value, json};

use super::{EDITOR, RESPONSE, see_tabs, show, sign_in_by_link, with_ada};
use crate::app::Caller;
use crate::browser::Browser;

/// Sends an example as the playground does.
async fn run(caller: &Caller<'_>, example: &Value) {
    let variables = example["variables"].to_string().replace("$viewer", &caller.id());
    caller.data(example["query"].as_str().unwrap(), serde_json::from_str(&variables).unwrap()).await;
}

#[tokio::test]
async fn each_example_runs_for_the_rank_that_it_names() {
    let Some(browser) = Browser::start().await else { return };
    let (app, _) = with_ada().await;
    let admin = UserFields { role: Given(Role::Admin), full_site_access: Given(true), ..UserFields::default() };
    let (user, admin) = (app.user().await, app.user_with("Admin", admin).await);
    let (chief, root) = (app.license_admin().await, app.superuser().await);
    browser.open(&app.url()).await;
    browser.see(".graphiql-container", "FirstLook").await;
    let examples = browser.run("return roster.examples").await;
    for example in examples.as_array().unwrap() {
        let caller = match example["rank"].as_str().unwrap() {
            "user" => &user,
            "admin" => &admin,
            "license admin" => &chief,
            "superuser" => &root,
            rank => panic!("{rank} is no rank"),
        };
        // A subscription has no answer to wait for.
        if !example["field"].as_str().unwrap().starts_with("Subscription") {
            run(caller, example).await;
        }
    }
}

#[tokio::test]
async fn the_explorer_shows_each_example_without_an_error() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    browser.click("button[aria-label='Show GraphiQL Explorer']").await;
    let examples = browser.run("return roster.examples").await;
    for example in examples.as_array().unwrap() {
        let query = example["query"].as_str().unwrap();
        let operation = query.split([' ', '(']).nth(1).unwrap();
        show(&browser, operation, query, example.get("variables").unwrap_or(&json!({}))).await;
        let fields = "[...document.querySelectorAll('.graphiql-explorer-root input')]";
        browser.see_true(&format!("return {fields}.some(field => field.value === '{operation}')")).await;
    }
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
async fn an_example_opens_in_a_tab_and_links_to_the_reference() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    browser.run(&format!("{EDITOR}.setValue('query Own {{ viewer {{ id }} }}')")).await;
    browser.click("button[aria-label='Show Examples']").await;
    browser.click(".roster-panel li:first-child button").await;
    browser.see(".graphiql-query-editor", "query WhoAmI").await;
    see_tabs(&browser, &["Own", "WhoAmI"]).await;
    browser.see_true(&format!("return {EDITOR}.operationName === 'WhoAmI'")).await;
    browser.click(".graphiql-execute-button").await;
    browser.see(RESPONSE, "Ada Tester").await;
    let reference = reqwest::get(format!("{}/docs", app.url())).await.unwrap().text().await.unwrap();
    let links = "return [...document.querySelectorAll('.roster-panel a')].map(link => link.getAttribute('href'))";
    let links = browser.run(links).await;
    assert!(!links.as_array().unwrap().is_empty());
    for link in links.as_array().unwrap() {
        let anchor = link.as_str().unwrap().strip_prefix("docs#").unwrap();
        assert!(reference.contains(&format!("id=\"{anchor}\"")), "{anchor}");
    }
}
