//! The playground in a real browser, with every other host blocked.

mod code;
mod deprecations;
mod examples;
mod phone;
mod refusals;
mod sharing;
mod tabs;
mod upload;
mod viewers;

use async_graphql::MaybeUndefined::{self, Value as Given};
use roster::entity::user::{Role, UserFields};

use serde_json::json;

use crate::app::{App, Caller, PASSWORD};
use crate::browser::Browser;

const RESPONSE: &str = ".graphiql-response";
const WHO: &str = "#who";

/// An app, and the token of Ada, who signs in as `ada`.
async fn with_ada() -> (App, String) {
    let app = App::on_sqlite().await;
    let fields =
        UserFields { username: Given("ada".to_owned()), role: Given(Role::LicenseAdmin), ..UserFields::default() };
    let ada = app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await;
    let token = app.sign_in(ada).await.token.clone().unwrap();
    (app, token)
}

/// Opens the playground by a link with a token, and signs in with it.
async fn sign_in_by_link(browser: &Browser, app: &App, token: &str) {
    browser.open(&format!("{}/#token={token}", app.url())).await;
    browser.see("#offer", "This link signs you in as Ada Tester (license admin)").await;
    browser.click("#offer button").await;
    browser.see(WHO, "Signed in as Ada Tester (license admin)").await;
}

/// The editor of documents, as an expression of the page.
const EDITOR: &str = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror";

/// The editor of variables.
const VARIABLES: &str = "document.querySelector('.graphiql-editor-tool .CodeMirror').CodeMirror";

/// Waits until tabs with these titles are open; a title follows its document a little later.
async fn see_tabs(browser: &Browser, titles: &[&str]) {
    let shown = "JSON.stringify([...document.querySelectorAll('.graphiql-tab-button')].map(tab => tab.textContent))";
    browser.see_true(&format!("return {shown} === {}", json!(json!(titles).to_string()))).await;
}

/// Opens a document with variables in the playground, and waits until GraphiQL has read it and the schema.
async fn show(browser: &Browser, operation: &str, query: &str, variables: &serde_json::Value) {
    browser.see(".graphiql-container", "Variables").await;
    let variables = serde_json::to_string_pretty(variables).unwrap();
    browser.run(&format!("roster.open({}, {})", json!(query), json!(variables))).await;
    let is_read = format!("return Boolean(roster.schema()) && {EDITOR}.operationName === {}", json!(operation));
    browser.see_true(&is_read).await;
}

#[tokio::test]
async fn the_playground_runs_its_first_query_without_internet_access() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    browser.click(".graphiql-execute-button").await;
    let response = browser.see(RESPONSE, "\"totalCount\"").await;
    assert!(response.contains("Ada Tester"), "{response}");
    // A dialog adds its own style, which the policy must allow.
    browser.click("button[aria-label='Open settings dialog']").await;
    browser.see("[role=dialog]", "Theme").await;
    assert_eq!(browser.console().await, [""; 0]);
    for address in browser.loaded().await {
        assert!(address.starts_with(&app.url()) || address.starts_with("data:"), "loaded {address}");
    }
}

#[tokio::test]
async fn a_token_in_the_address_is_kept_and_removed_from_it_at_once() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    assert_eq!(browser.run("return document.querySelector('#offer').hidden").await, true);
    assert_eq!(browser.run("return location.href").await, format!("{}/", app.url()));
    assert_eq!(browser.run("return localStorage.length").await, 0);
    browser.open(&app.url()).await;
    browser.see(WHO, "Signed in as Ada Tester").await;
}

#[tokio::test]
async fn a_link_with_a_token_signs_in_only_on_confirmation() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    let stored = "return sessionStorage.getItem('roster:token')";
    browser.open(&format!("{}/#token={token}", app.url())).await;
    browser.see("#offer", "This link signs you in as Ada Tester").await;
    browser.see(WHO, "Not signed in").await;
    assert_eq!(browser.run(stored).await, serde_json::Value::Null);
    assert_eq!(browser.run("return location.href").await, format!("{}/", app.url()));
    browser.click("#decline").await;
    browser.write("#login [name=login]", "ada").await;
    browser.write("#login [name=password]", PASSWORD).await;
    browser.click("#login button").await;
    browser.see(WHO, "Signed in as Ada Tester").await;

    // A link with a token does not replace the current session without confirmation.
    let own = browser.run(stored).await;
    let bob = app.create("Bob", app.license, UserFields::default(), MaybeUndefined::Undefined).await;
    let other = app.sign_in(bob).await.token.clone().unwrap();
    browser.run(&format!("location.hash = '#token={other}'")).await;
    browser.see("#offer", "This link signs you in as Bob Tester (user)").await;
    browser.see(WHO, "Signed in as Ada Tester").await;
    assert_eq!(browser.run(stored).await, own);
    browser.click("#decline").await;
    assert_eq!(browser.run(stored).await, own);
    browser.run(&format!("location.hash = '#token={other}'")).await;
    browser.click("#offer button").await;
    browser.see(WHO, "Signed in as Bob Tester").await;

    browser.run("location.hash = '#token=of-old-times'").await;
    browser.see("#notice", "The token of this link has ended").await;
    browser.run("location.hash = '#token='").await;
    browser.see("#notice", "That is not a token").await;
    browser.see(WHO, "Signed in as Bob Tester").await;
}

#[tokio::test]
async fn a_user_signs_in_with_a_password_and_signs_out() {
    let Some(browser) = Browser::start().await else { return };
    let (app, _) = with_ada().await;
    browser.open(&app.url()).await;
    browser.see(WHO, "Not signed in").await;
    browser.write("#login [name=login]", "ada").await;
    browser.write("#login [name=password]", "wrong").await;
    browser.click("#login button").await;
    browser.see("#notice", "wrong").await;
    browser.write("#login [name=password]", PASSWORD).await;
    browser.click("#login button").await;
    browser.see(WHO, "Signed in as Ada Tester").await;
    assert_eq!(browser.run("return document.querySelector('#notice').hidden").await, true);
    browser.click("#sign-out").await;
    browser.see(WHO, "Not signed in").await;
    assert_eq!(browser.run("return sessionStorage.getItem('roster:token')").await, serde_json::Value::Null);
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
async fn an_expired_token_is_reported_and_forgotten() {
    let Some(browser) = Browser::start().await else { return };
    let (app, _) = with_ada().await;
    browser.open(&app.url()).await;
    browser.write("#paste [name=token]", "two words").await;
    browser.click("#paste button").await;
    browser.see("#notice", "That is not a token").await;
    browser.write("#paste [name=token]", "Bearer of-old-times").await;
    browser.click("#paste button").await;
    browser.see("#notice", "This session has ended").await;
    browser.see(WHO, "Not signed in").await;
    assert_eq!(browser.run("return sessionStorage.getItem('roster:token')").await, serde_json::Value::Null);
}

#[tokio::test]
async fn the_docs_explorer_shows_the_schema() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    sign_in_by_link(&browser, &app, &token).await;
    browser.click("button[aria-label='Show Documentation Explorer']").await;
    browser.see(".graphiql-doc-explorer", "Query").await;
    browser.click(".graphiql-doc-explorer a.graphiql-doc-explorer-type-name").await;
    browser.see(".graphiql-doc-explorer", "viewer").await;
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
async fn changes_are_shown_while_a_subscription_runs() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    let ada = Caller { token: Some(token.clone()), ..app.anonymous() };
    let position = ada.data("{ changes { position } }", json!({})).await["changes"]["position"].clone();
    let query =
        format!("subscription Follow {{ changes(after: {position}) {{ kind node {{ ... on Group {{ name }} }} }} }}");
    let write = format!("{EDITOR}.setValue({})", json!(query));
    let is_read = format!("return {EDITOR}.operationName === 'Follow'");
    browser.open(&app.url()).await;
    browser.see(".graphiql-container", "FirstLook").await;
    browser.run(&write).await;
    browser.see_true(&is_read).await;
    browser.click(".graphiql-execute-button").await;
    browser.see(RESPONSE, "Sign in first").await;
    sign_in_by_link(&browser, &app, &token).await;
    browser.run(&write).await;
    browser.see_true(&is_read).await;
    browser.click(".graphiql-execute-button").await;
    for name in ["Ward 7", "Ward 8"] {
        ada.mutate("createGroup", "", json!({ "name": name })).await;
        browser.see(RESPONSE, name).await;
    }
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
async fn a_slow_or_unreachable_server_is_reported() {
    let Some(browser) = Browser::start().await else { return };
    let (app, _) = with_ada().await;
    browser.open(&app.url()).await;
    browser.see(WHO, "Not signed in").await;
    browser.run("window.fetch = () => new Promise((_, fail) => { window.cut = () => fail(new TypeError('no connection')); })").await;
    browser.click(".graphiql-execute-button").await;
    browser.see("#notice", "Still waiting").await;
    browser.run("window.cut()").await;
    browser.see("#notice", "does not answer").await;
    browser.see(RESPONSE, "does not answer").await;
}

#[tokio::test]
async fn everything_fits_a_small_window() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    for (address, shown) in [(app.url(), "#signed-out"), (format!("{}/#token={token}", app.url()), "#offer")] {
        browser.open("about:blank").await;
        browser.open(&address).await;
        browser.see(".graphiql-container", "FirstLook").await;
        browser.see(shown, "Sign in").await;
        for (width, height) in [(1280, 800), (800, 600), (500, 800)] {
            browser.resize(width, height).await;
            let outside = browser
                .run(
                    "return [...document.querySelectorAll('#bar *, #graphiql')].filter(element => {
                        const { left, right, bottom } = element.getBoundingClientRect();
                        return left < 0 || right > innerWidth || bottom > innerHeight;
                    }).map(element => element.outerHTML.slice(0, 80))",
                )
                .await;
            assert_eq!(outside, serde_json::json!([]), "{shown} at {width} x {height}");
        }
    }
}

#[tokio::test]
async fn the_page_allows_no_other_hosts_and_its_files_are_cached() {
    let (app, _) = with_ada().await;
    let http = reqwest::Client::new();
    let page = http.get(app.url()).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    assert!(!page.contains("://"), "the page names another host");

    let file = format!("{}/playground/graphiql.min.js", app.url());
    let first = http.get(&file).send().await.unwrap();
    assert_eq!(first.headers()["cache-control"], "no-cache");
    assert_eq!(first.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(first.headers()["x-content-type-options"], "nosniff");
    let again = http.get(&file).header("if-none-match", &first.headers()["etag"]).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(http.head(&file).send().await.unwrap().status(), 200);
    assert_eq!(http.post(&file).send().await.unwrap().status(), 405);
    assert_eq!(http.get(format!("{}/playground/graphiql.min.js.map", app.url())).send().await.unwrap().status(), 404);

    let (_, version) = page.split_once("playground/graphiql.min.js").unwrap();
    let version = version.split('"').next().unwrap();
    for (accepted, encoding, max) in
        [("gzip, br", Some("br"), 300_000), ("gzip", Some("gzip"), 350_000), ("", None, 1_100_000)]
    {
        let request = http.get(format!("{file}{version}")).header("accept-encoding", accepted);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()["vary"], "Accept-Encoding");
        let sent = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        let length = response.bytes().await.unwrap().len();
        assert!(
            sent.as_deref() == encoding && (max / 2..max).contains(&length),
            "{accepted}: {sent:?}, {length} bytes"
        );
    }
}

#[tokio::test]
async fn the_page_and_its_files_take_at_most_700_kilobytes() {
    let (app, _) = with_ada().await;
    let http = reqwest::Client::new();
    let page = http.get(app.url()).send().await.unwrap().text().await.unwrap();
    let files = page.split('"').filter(|part| part.starts_with("playground/") && !part.contains("licenses.txt"));
    let mut length = page.len();
    for file in files.collect::<std::collections::HashSet<_>>() {
        let request = http.get(format!("{}/{file}", app.url())).header("accept-encoding", "br");
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "br", "{file}");
        length += response.bytes().await.unwrap().len();
    }
    assert!((500_000..700_000).contains(&length), "{length} bytes");
}
