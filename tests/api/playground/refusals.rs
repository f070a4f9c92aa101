//! Requests that are refused, or that another server answers, or none.

use serde_json::json;

use super::{RESPONSE, WHO, sign_in_by_link, with_ada};
use crate::app::PASSWORD;
use crate::browser::Browser;

/// The condition for requests by which the page asks whose token it has.
const OF_VIEWER: &str = "options.body.includes('query Viewer')";
const IS_SILENT: &str = "return document.querySelector('#notice').hidden";

/// Answers the requests that meet a condition of JavaScript in place of the server.
async fn intercept(browser: &Browser, condition: &str, status: u16, body: &str) {
    let body = json!(body);
    let script = format!(
        "window.serverFetch ??= window.fetch;
        window.fetch = (address, options) => ({condition})
            ? Promise.resolve(new Response({body}, {{ status: {status} }}))
            : window.serverFetch(address, options);"
    );
    browser.run(&script).await;
}

/// Lets all requests fail, as without a network.
async fn disconnect(browser: &Browser) {
    let failing = "() => Promise.reject(new TypeError('no connection'))";
    browser.run(&format!("window.serverFetch ??= window.fetch; window.fetch = {failing}")).await;
}

/// Lets the requests go to the server again.
async fn reconnect(browser: &Browser) {
    browser.run("window.fetch = window.serverFetch").await;
}

/// A response of Roster that refuses a request.
fn refusal(code: &str, message: &str) -> String {
    json!({ "errors": [{ "message": message, "extensions": { "code": code } }] }).to_string()
}

#[tokio::test]
async fn only_a_link_whose_token_is_not_valid_is_said_to_have_ended() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    browser.open(&app.url()).await;
    browser.see(WHO, "Not signed in").await;
    let follow_link = format!("location.hash = '#token={token}'");
    for (status, body, notice) in [
        (503, refusal("UNAVAILABLE", "The database is away."), "The database is away."),
        (429, refusal("RATE_LIMITED", "Too much at once."), "Too much at once."),
        (401, refusal("UNAUTHENTICATED", "Not valid."), "The token of this link has ended, or was never valid."),
        (503, r#"{"message":"no upstream"}"#.to_owned(), "The answer is not one of GraphQL (HTTP status 503)."),
        (401, "<h1>Unauthorized</h1>".to_owned(), "The answer is not JSON (HTTP status 401)."),
    ] {
        intercept(&browser, OF_VIEWER, status, &body).await;
        browser.run(&follow_link).await;
        assert_eq!(browser.see("#notice", notice).await, notice);
    }
    disconnect(&browser).await;
    browser.run(&follow_link).await;
    browser.see("#notice", "The server does not answer").await;
    reconnect(&browser).await;
    browser.run(&follow_link).await;
    browser.see("#offer", "This link signs you in as Ada Tester (license admin)").await;
    browser.see_true(IS_SILENT).await;
}

#[tokio::test]
async fn a_link_offers_the_viewers_that_the_server_knows_and_tells_why_another_is_missing() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ada) = with_ada().await;
    let user = app.user().await.token.unwrap();
    browser.open(&app.url()).await;
    browser.see(WHO, "Not signed in").await;
    let of_user = format!("options.headers.get('Authorization') === 'Bearer {user}'");
    intercept(&browser, &of_user, 503, &refusal("UNAVAILABLE", "The database is away.")).await;
    browser.run(&format!("location.hash = '#token={user}&token={ada}'")).await;
    browser.see("#offer", "This link signs you in as Ada Tester (license admin)").await;
    browser.see("#notice", "The database is away.").await;
}

#[tokio::test]
async fn what_is_said_of_the_connection_goes_when_the_server_answers_again() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    browser.open(&app.url()).await;
    browser.see(WHO, "Not signed in").await;
    disconnect(&browser).await;
    browser.write("#login [name=login]", "ada").await;
    browser.write("#login [name=password]", PASSWORD).await;
    browser.click("#login button").await;
    browser.see("#notice", "The server does not answer").await;
    reconnect(&browser).await;
    browser.click(".graphiql-execute-button").await;
    browser.see_true(IS_SILENT).await;

    browser.run(&format!("location.hash = '#token={token}'")).await;
    browser.see("#offer", "This link signs you in as Ada Tester").await;
    disconnect(&browser).await;
    browser.click("#offer button").await;
    browser.see(WHO, "Using a token").await;
    browser.see("#notice", "The server does not answer").await;
    reconnect(&browser).await;
    browser.click(".graphiql-execute-button").await;
    browser.see_true(IS_SILENT).await;
}

#[tokio::test]
async fn a_401_that_is_not_of_roster_signs_nobody_out() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    for body in ["<h1>Log in to the proxy</h1>", r#"{"errors":[{"message":"Log in to the proxy"}]}"#] {
        intercept(&browser, "true", 401, body).await;
        browser.click(".graphiql-execute-button").await;
        browser.see(RESPONSE, if body.starts_with('<') { "HTTP status 401" } else { "Log in to the proxy" }).await;
        browser.see(WHO, "Signed in as Ada Tester").await;
    }
    reconnect(&browser).await;
    browser.click(".graphiql-execute-button").await;
    browser.see(RESPONSE, "Ada Tester").await;
}
