//! What the playground keeps, and for how long.

use serde_json::json;

use super::{EDITOR, VARIABLES, WHO, see_tabs, show, sign_in_by_link, with_ada};
use crate::app::Caller;
use crate::browser::Browser;

const QUERY: &str = "query Kept($first: Int) { users(first: $first) { totalCount } }";

/// Everything that the browser has stored for the page.
const STORED: &str = "return JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie])";

#[tokio::test]
async fn a_reload_keeps_the_tabs() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    show(&browser, "Kept", QUERY, &json!({ "first": 3 })).await;
    browser.click("button[aria-label='New tab']").await;
    // The last change is as young as can be.
    browser.run(&format!("{EDITOR}.setValue('query Last {{ viewer {{ id }} }}')")).await;
    browser.reload().await;
    browser.see(WHO, "Signed in as Ada Tester").await;
    browser.see(".graphiql-query-editor", "query Last").await;
    see_tabs(&browser, &["Kept", "Last"]).await;
    browser.click("#graphiql-session-tab-0").await;
    browser.see(".graphiql-query-editor", "query Kept").await;
    browser.see_true(&format!("return {VARIABLES}.getValue() === '{{\\n  \"first\": 3\\n}}'")).await;
}

#[tokio::test]
async fn a_token_is_kept_no_longer_than_its_session() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    show(&browser, "Kept", QUERY, &json!({ "first": 3 })).await;
    browser.reload().await;
    browser.see(WHO, "Signed in as Ada Tester").await;
    assert!(browser.run(STORED).await.as_str().unwrap().contains(&token));
    assert_eq!(browser.run("return localStorage.length").await, 0);

    // The session ends elsewhere.
    let ada = Caller { token: Some(token.clone()), ..app.anonymous() };
    ada.data("mutation { logout { success } }", json!({})).await;
    browser.reload().await;
    browser.see("#notice", "This session has ended").await;
    browser.see(WHO, "Not signed in").await;
    let stored = browser.run(STORED).await;
    assert!(!stored.as_str().unwrap().contains(&token), "{stored}");
    browser.see(".graphiql-query-editor", "query Kept").await;
}
