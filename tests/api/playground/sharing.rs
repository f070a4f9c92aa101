//! Links that share a document.

use serde_json::json;

use super::{EDITOR, RESPONSE, VARIABLES, WHO, see_tabs, show, sign_in_by_link, with_ada};
use crate::browser::Browser;

const SHARE: &str = "button[aria-label='Share a link to this document']";
const QUERY: &str =
    "query Shared($text: String!) {\n  # 100% & more + \"quotes\" #1\n  searchUsers(query: $text) { totalCount }\n}\n";

#[tokio::test]
async fn a_shared_link_opens_the_same_document_and_holds_no_token() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    let variables = json!({ "text": "Ada & Bob = 50% + ü" });
    show(&browser, "Shared", QUERY, &variables).await;
    browser.click(SHARE).await;
    browser.see("#notice", "in the address bar").await;
    let link = browser.run("return location.href").await.as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("{}/#query=", app.url())), "{link}");
    assert!(!link.contains(&token), "{link}");

    // Whoever opens the link has other documents, and no session.
    browser.click("#sign-out").await;
    browser.see(WHO, "Not signed in").await;
    browser.run(&format!("{EDITOR}.setValue('query Own {{ viewer {{ id }} }}')")).await;
    browser.open("about:blank").await;
    browser.open(&link).await;
    browser.see(".graphiql-query-editor", "query Shared").await;
    browser.see(WHO, "Not signed in").await;
    assert_eq!(browser.run(&format!("return {EDITOR}.getValue()")).await, QUERY);
    let shown = browser.run(&format!("return JSON.parse({VARIABLES}.getValue())")).await;
    assert_eq!(shown, variables);
    see_tabs(&browser, &["Own", "Shared"]).await;
    assert_eq!(browser.run("return location.href").await, format!("{}/", app.url()));
    let response = format!("return document.querySelector('{RESPONSE} .CodeMirror').CodeMirror.getValue()");
    assert_eq!(browser.run(&response).await, "", "a shared document is not run");

    // The same link opens no second tab.
    browser.open("about:blank").await;
    browser.open(&link).await;
    browser.see(".graphiql-query-editor", "query Shared").await;
    see_tabs(&browser, &["Own", "Shared"]).await;
}

#[tokio::test]
async fn a_document_with_a_token_or_a_password_is_not_shared() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    show(&browser, "Secret", "query Secret($id: ID!) { node(id: $id) { id } }", &json!({ "id": token })).await;
    browser.click(SHARE).await;
    browser.see("#notice", "hold a token").await;
    assert_eq!(browser.run("return location.href").await, format!("{}/", app.url()));
    let create = "mutation Create($input: CreateUserInput!) { createUser(input: $input) { success } }";
    let input = json!({ "firstName": "Ann", "lastName": "Oak", "username": "ann", "password": "nine-slate-herons" });
    show(&browser, "Create", create, &json!({ "input": input })).await;
    browser.click(SHARE).await;
    browser.see("#notice", "or a password").await;
    assert_eq!(browser.run("return location.href").await, format!("{}/", app.url()));
}
