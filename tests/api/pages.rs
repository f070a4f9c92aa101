//! The pages that links lead to, over HTTP and in a real browser.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::auth::one_time_link;
use roster::entity::link::Purpose;
use roster::entity::user::UserFields;
use roster::i18n::language::Language;
use roster::i18n::messages::Messages;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD};
use crate::browser::Browser;
use crate::process::{Sandbox, until};

const PAGES: [&str; 3] = ["/activate", "/reset", "/confirm-email"];
const OUTCOME: &str = "#outcome";
const BUTTON: &str = "#form button";

/// The URL of a page with a token, in a language.
fn url(app: &App, purpose: Purpose, language: Language, token: &str) -> String {
    one_time_link::url(&app.url(), purpose, Some(language), token)
}

/// Opens a link by a full page load rather than a navigation within the page.
async fn open(browser: &Browser, link: &str) {
    browser.open("about:blank").await;
    browser.open(link).await;
}

async fn fill_in(browser: &Browser, password: &str, again: &str) {
    browser.run("document.querySelector('#form').reset()").await;
    browser.write("#password", password).await;
    browser.write("#again", again).await;
    browser.click(BUTTON).await;
}

/// Replaces the server's responses from now on and records the requests; without a response, the server is unreachable.
async fn respond(browser: &Browser, response: Option<&Value>) {
    let response = response.map_or("null".to_owned(), |response| json!(response.to_string()).to_string());
    let script = format!(
        "window.asked = []; window.fetch = async (address, sent) => {{
           window.asked.push({{ address, headers: sent.headers, body: JSON.parse(sent.body) }})
           await new Promise(done => setTimeout(done, 200))
           const answer = {response}
           if (answer === null) throw new TypeError('nobody there')
           return new Response(answer)
         }}"
    );
    browser.run(&script).await;
}

async fn asked(browser: &Browser) -> Value {
    browser.run("return window.asked").await
}

#[tokio::test]
async fn the_activation_page_sets_the_password_in_the_users_language() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    browser.resize(360, 640).await;
    for language in Language::ALL {
        let words = Messages::of(language);
        let email = format!("ada@{}.example", language.tag());
        let fields = UserFields { email: Given(email.clone()), ..UserFields::default() };
        app.create("Ada", app.license, fields, Undefined).await;
        let token = roster::cli::admin::new_link(&app.db, &email).await.unwrap();

        open(&browser, &url(&app, Purpose::Activation, language, &token)).await;
        let bare = format!("{}/activate?lang={}", app.url(), language.tag());
        assert_eq!(browser.run("return location.href").await, bare, "the token is removed from the address bar");
        browser.see("h1", &words.get("activate.title")).await;
        browser.see("#rules", "12").await;
        assert_eq!(browser.run("return document.querySelector('#sign-in').hidden").await, true);
        for (password, again, key, field) in [
            (PASSWORD, "another", "password.different", "again"),
            ("short", "short", "password.too-short", "password"),
            ("password1234", "password1234", "password.easy", "password"),
        ] {
            fill_in(&browser, password, again).await;
            let said = words.get_with(key, [("shortest", 12.into())]);
            browser.see(&format!("#{field}-fault"), &said).await;
            let state = "const at = document.activeElement; return [at.id, at.ariaInvalid]";
            assert_eq!(browser.run(state).await, json!([field, "true"]), "the first invalid field has the focus");
        }
        fill_in(&browser, PASSWORD, PASSWORD).await;
        browser.see(OUTCOME, &words.get("activate.done")).await;
        browser.see("#account", &format!("{} {email}", words.get("activate.login"))).await;
        browser.see("#sign-in a", &words.get("page.sign-in")).await;
        let link = browser.run("return document.querySelector('#sign-in a').href").await;
        assert_eq!(link, format!("{}/", app.url()), "the playground is where users sign in");
        assert_eq!(browser.console().await, [""; 0]);
        for address in browser.loaded().await {
            assert!(address.starts_with(&app.url()), "loaded {address}");
        }
        let login = json!({ "login": email, "password": PASSWORD });
        assert_eq!(app.anonymous().mutate("login", "", login).await["success"], json!(true));

        open(&browser, &url(&app, Purpose::Activation, language, &token)).await;
        fill_in(&browser, PASSWORD, PASSWORD).await;
        browser.see(OUTCOME, &words.get("activate.expired")).await;
    }
}

#[tokio::test]
async fn every_page_fits_a_phone_and_is_usable_by_touch() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    for page in [Purpose::Activation, Purpose::PasswordReset, Purpose::EmailChange] {
        for language in Language::ALL {
            open(&browser, &url(&app, page, language, "rol_x")).await;
            // Chromium's window is never as narrow as a phone; its contents can be.
            let narrow = "document.body.style.width = '360px'; const main = document.querySelector('main')
                          return [main.scrollWidth <= 360, main.clientWidth]";
            assert_eq!(browser.run(narrow).await, json!([true, 360]), "{page:?} {language:?}");
            let low = "return [...document.querySelectorAll('input, button')].every(e => e.offsetHeight >= 44 && e.offsetWidth > 44)";
            assert_eq!(browser.run(low).await, true, "{page:?} {language:?}");
            let named = "return [...document.querySelectorAll('input')].every(e => e.labels.length === 1)";
            assert_eq!(browser.run(named).await, true, "{page:?} {language:?}");
        }
    }
}

#[tokio::test]
async fn the_reset_page_shows_every_outcome() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    let words = Messages::of(Language::French);
    let error_response = |code| json!({ "data": { "done": { "success": false, "errors": [{ "code": code }] } } });
    open(&browser, &url(&app, Purpose::PasswordReset, Language::French, "rol_x")).await;
    for (code, key) in
        [("TOO_SHORT", "password.too-short"), ("TOO_LONG", "password.too-long"), ("INVALID", "password.easy")]
    {
        respond(&browser, Some(&error_response(code))).await;
        fill_in(&browser, PASSWORD, PASSWORD).await;
        let lengths = [("shortest", 12.into()), ("longest", 128.into())];
        browser.see("#password-fault", &words.get_with(key, lengths)).await;
    }
    for (given, key) in [
        (Some(json!({ "data": null, "errors": [{ "extensions": { "code": "RATE_LIMITED" } }] })), "page.busy"),
        (Some(json!({ "errors": [{ "extensions": { "code": "INTERNAL" } }] })), "page.failed"),
        (Some(error_response("NOT_ALLOWED")), "page.failed"),
        (Some(json!("no directory at all")), "page.failed"),
        (None, "page.unreachable"),
    ] {
        respond(&browser, given.as_ref()).await;
        fill_in(&browser, PASSWORD, PASSWORD).await;
        browser.see(OUTCOME, &words.get(key)).await;
        assert_eq!(browser.run("return document.activeElement.id").await, "submit", "the form can be submitted again");
    }
    respond(&browser, Some(&json!({ "data": { "done": { "success": true, "errors": [] } } }))).await;
    fill_in(&browser, PASSWORD, PASSWORD).await;
    browser.see(OUTCOME, &words.get("reset.done")).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "outcome");
    let sent = asked(&browser).await;
    assert_eq!(sent[0]["body"]["variables"], json!({ "input": { "token": "rol_x", "password": PASSWORD } }));
    assert_eq!((sent.as_array().unwrap().len(), &sent[0]["address"]), (1, &json!("graphql")));

    open(&browser, &url(&app, Purpose::PasswordReset, Language::French, "rol_x")).await;
    respond(&browser, Some(&error_response("EXPIRED"))).await;
    fill_in(&browser, PASSWORD, PASSWORD).await;
    browser.see(OUTCOME, &words.get("reset.expired")).await;
    open(&browser, &url(&app, Purpose::Activation, Language::French, "rol_x")).await;
    respond(&browser, Some(&error_response("TAKEN"))).await;
    fill_in(&browser, PASSWORD, PASSWORD).await;
    browser.see(OUTCOME, &words.get("activate.taken")).await;
    assert_eq!(browser.run("return document.querySelector('#form')").await, Value::Null);
}

#[tokio::test]
async fn the_button_to_confirm_an_address_works_once() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    let words = Messages::of(Language::Italian);
    let cases = [
        (json!({ "success": true, "errors": [] }), "confirm-email.done"),
        (json!({ "success": false, "errors": [{ "code": "EXPIRED" }] }), "confirm-email.expired"),
        (json!({ "success": false, "errors": [{ "code": "TAKEN" }] }), "confirm-email.taken"),
    ];
    for (done, key) in cases {
        open(&browser, &url(&app, Purpose::EmailChange, Language::Italian, "rol_x")).await;
        respond(&browser, Some(&json!({ "data": { "done": done } }))).await;
        let twice = "const button = document.querySelector('#submit'); button.click(); button.click()
                     button.form.dispatchEvent(new SubmitEvent('submit', { cancelable: true }))";
        browser.run(twice).await;
        browser.see(OUTCOME, &words.get(key)).await;
        let sent = asked(&browser).await;
        assert_eq!(sent.as_array().unwrap().len(), 1);
        assert_eq!(sent[0]["body"]["variables"], json!({ "input": { "token": "rol_x" } }));
    }
}

#[tokio::test]
async fn activation_redirects_to_the_next_url_with_the_session() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    let next = format!("{}/?from=activation", app.url());
    let done = json!({ "success": true, "nextUrl": next, "token": "ros_x", "errors": [] });
    open(&browser, &url(&app, Purpose::Activation, Language::English, "rol_x")).await;
    respond(&browser, Some(&json!({ "data": { "done": done } }))).await;
    // The next page may remove the token from its address at once.
    let watch = "window.navigation.addEventListener('navigate', event => { window.name = event.destination.url })";
    browser.run(watch).await;
    fill_in(&browser, PASSWORD, PASSWORD).await;
    let redirected = json!(format!("{next}#token=ros_x"));
    until(|| async { (browser.run("return window.name").await == redirected).then_some(()) })
        .await
        .expect("a redirect to the next URL");
}

#[tokio::test]
async fn a_link_without_token_is_reported_and_a_full_link_works_in_the_tab() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    let words = Messages::of(Language::French);
    open(&browser, &url(&app, Purpose::PasswordReset, Language::French, "")).await;
    browser.see(OUTCOME, &words.get("page.incomplete")).await;
    assert_eq!(browser.run("return document.querySelector('#form')").await, Value::Null);
    browser.open(&url(&app, Purpose::PasswordReset, Language::French, "rol_x")).await;
    browser.see(BUTTON, &words.get("password.submit")).await;
}

#[tokio::test]
async fn pages_support_get_and_head_in_the_requested_language() {
    let app = App::on_sqlite().await;
    let client = reqwest::Client::new();
    for page in PAGES {
        let url = format!("{}{page}", app.url());
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            let response = client.request(method.parse().unwrap(), &url).send().await.unwrap();
            let expected = if matches!(method, "GET" | "HEAD") { 200 } else { 405 };
            assert_eq!(response.status(), expected, "{method} {page}");
        }
        for (query, accepted, language) in [
            ("", "", "en"),
            ("", "fr-CH, fr;q=0.9, en;q=0.8", "fr"),
            ("", "de, it;q=0.1", "it"),
            ("", "de", "en"),
            ("?lang=it", "fr", "it"),
            ("?lang=FR-ch", "en", "fr"),
            ("?lang=de", "fr", "fr"),
            ("?lang=%22%3E%3Cscript%3E", "it", "it"),
            ("?lang=%ff&lang=fr", "", "en"),
        ] {
            let request = client.get(format!("{url}{query}")).header("accept-language", accepted);
            let response = request.send().await.unwrap();
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-language"), language, "{query} {accepted}");
            assert_eq!(header("vary"), "accept-language");
            assert_eq!(
                (header("cache-control"), header("referrer-policy")),
                ("no-store".to_owned(), "no-referrer".to_owned())
            );
            assert_eq!(header("x-content-type-options"), "nosniff");
            let policy = header("content-security-policy");
            let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
            assert!(
                policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
                "{policy}"
            );
            let html = response.text().await.unwrap();
            assert!(html.contains(&format!("<html lang=\"{language}\">")), "{html}");
            assert_eq!(html.matches("<script").count(), 1);
            assert!(html.contains(&format!("<script nonce=\"{nonce}\">")), "{html}");
            assert!(
                !html.contains("://") && !html.contains(" src=") && !html.contains("url("),
                "the page loads nothing from elsewhere: {html}"
            );
        }
    }
}

#[tokio::test]
async fn the_pages_lead_to_where_users_sign_in() {
    let sandbox = Sandbox::on_sqlite();
    for (arguments, expected) in [
        (&[][..], Some("./")),
        (
            &["--next-urls", "https://app.example.org/welcome,https://example.org"][..],
            Some("https://app.example.org/welcome"),
        ),
        (&["--playground", "false"][..], None),
    ] {
        let server = sandbox.serve(arguments).await;
        for page in ["/activate", "/reset"] {
            let html = reqwest::get(server.url(page)).await.unwrap().text().await.unwrap();
            let link = html.split("id=\"sign-in\" hidden><a href=\"").nth(1).and_then(|rest| rest.split('"').next());
            assert_eq!(link, expected, "{page}: {arguments:?}");
        }
    }
}

#[tokio::test]
async fn the_queries_of_the_pages_are_valid() {
    let app = App::on_sqlite().await;
    for page in PAGES {
        let html = reqwest::get(format!("{}{page}", app.url())).await.unwrap().text().await.unwrap();
        let query = html.split("data-query=\"").nth(1).unwrap().split('"').next().unwrap();
        let input = if page == "/confirm-email" { json!({}) } else { json!({ "password": PASSWORD }) };
        let mut variables = json!({ "input": input });
        variables["input"]["token"] = json!("rol_x");
        let done = app.anonymous().data(query, variables).await["done"].clone();
        assert_eq!(done["errors"], json!([{ "code": "EXPIRED" }]), "{page}: {done:#}");
    }
}
