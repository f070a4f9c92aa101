//! The life of an account by email, with a real mail server, a real browser and the built program.

use serde_json::{Value, json};

use super::ANOTHER;
use crate::app::PASSWORD;
use crate::browser::Browser;
use crate::process::{Process, Sandbox};
use crate::smtp::{Options, Received, Smtp};

const OUTCOME: &str = "#outcome";

/// The link in an email.
fn link(mail: &Received) -> String {
    let text = mail.text.as_deref().unwrap();
    text.split_whitespace().find(|word| word.contains("#rol_")).unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// The last of `count` emails that was sent to an address.
async fn mail_to(smtp: &Smtp, count: usize, address: &str) -> Received {
    let mails = smtp.until(count).await;
    assert_eq!(mails.len(), count, "{mails:#?}");
    mails.into_iter().rev().find(|mail| mail.recipients == [address]).unwrap()
}

/// Opens a link as mail scanners do.
async fn scan(server: &Process, link: &str) {
    let client = reqwest::Client::new();
    for _ in 0..3 {
        assert_eq!(client.get(link).send().await.unwrap().status(), 200);
        assert_eq!(client.head(link).send().await.unwrap().status(), 200);
        // Some put the token where a server sees it.
        let bare = link.replace('#', "&token=");
        assert_eq!(client.get(bare).send().await.unwrap().status(), 200);
    }
    assert!(!server.err().contains("panicked"));
}

async fn choose_password(browser: &Browser, password: &str) {
    browser.write("#password", password).await;
    browser.write("#again", password).await;
    browser.click("#submit").await;
}

in_every_sandbox! {
    async fn a_user_is_invited_resets_the_password_and_changes_the_address(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let Some(browser) = Browser::start().await else { return };
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--smtp-url", &smtp.url()]).await;
        let admin = server.sign_in(crate::process::ADMIN).await;
        browser.resize(360, 640).await;

        // The invitation leads on to the URL that the administrator set.
        let playground = server.url("/");
        let ada = json!({ "firstName": "Ada", "lastName": "Byron", "email": "ada@x.example", "registrationEmailNextUrl": playground });
        let id = admin.mutate("createUser", "user { id }", ada).await["user"]["id"].clone();
        let mail = mail_to(&smtp, 1, "ada@x.example").await;
        let invited = link(&mail);
        assert!(invited.starts_with(&server.url("/activate?lang=en#rol_")), "{invited}");
        scan(&server, &invited).await;
        browser.open(&invited).await;
        assert_eq!(browser.run("return location.hash").await, "", "the token is removed from the address bar");
        choose_password(&browser, PASSWORD).await;
        browser.see("#offer", "This link signs you in as Ada Byron").await;
        browser.click("#offer button").await;
        browser.see("#who", "Signed in as Ada Byron").await;
        assert_eq!(browser.run("return location.pathname + location.hash").await, "/");
        let query = "query ($id: ID!) { user(by: { id: $id }) { hasActivated emailVerified invitation { state lastError } } }";
        let seen = admin.data(query, json!({ "id": id })).await["user"].clone();
        assert_eq!(seen, json!({ "hasActivated": true, "emailVerified": true, "invitation": { "state": "ACCEPTED", "lastError": null } }));
        browser.open(&server.url("/health/live")).await;
        browser.open(&invited).await;
        choose_password(&browser, ANOTHER).await;
        browser.see(OUTCOME, "This link is no longer valid").await;

        // The user resets their password.
        let session = server.sign_in("ada@x.example").await;
        server.caller(None).mutate("requestPasswordReset", "", json!({ "email": "ADA@x.example" })).await;
        let lost = link(&mail_to(&smtp, 2, "ada@x.example").await);
        scan(&server, &lost).await;
        browser.open(&lost).await;
        choose_password(&browser, ANOTHER).await;
        browser.see(OUTCOME, "Your new password is set").await;
        assert_eq!(session.try_execute("{ viewer { id } }", &json!({})).await.unwrap()["errors"][0]["extensions"]["code"], json!("UNAUTHENTICATED"));
        assert_eq!(server.login("ada@x.example", PASSWORD).await["success"], json!(false));
        let opened = server.login("ada@x.example", ANOTHER).await;
        mail_to(&smtp, 3, "ada@x.example").await;

        // The user changes their email address.
        let me = server.caller(opened["token"].as_str());
        me.mutate("requestEmailChange", "", json!({ "newEmail": "ada@y.example", "currentPassword": ANOTHER })).await;
        let new = link(&mail_to(&smtp, 5, "ada@y.example").await);
        mail_to(&smtp, 5, "ada@x.example").await;
        scan(&server, &new).await;
        browser.open(&new).await;
        browser.click("#submit").await;
        browser.see(OUTCOME, "is confirmed").await;
        assert_eq!(me.data("{ viewer { email emailVerified } }", json!({})).await["viewer"], json!({ "email": "ada@y.example", "emailVerified": true }));
        assert_eq!(server.login("ada@y.example", ANOTHER).await["success"], json!(true));
        mail_to(&smtp, 6, "ada@x.example").await;
        assert_eq!(browser.console().await, [""; 0]);
        for secret in [&invited, &lost, &new].map(|link| link.split_once('#').unwrap().1.to_owned()) {
            assert!(!server.err().contains(&secret) && !server.out().contains(&secret), "the token is in the log");
        }
    }

    async fn links_start_with_the_public_url_regardless_of_request_headers(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--smtp-url", &smtp.url(), "--public-url", "https://people.example.org/roster", "--trusted-proxies", "127.0.0.1"]).await;
        let query = json!({ "query": "mutation { requestPasswordReset(input: { email: \"root@alder.example.org\" }) { success } }" });
        let request = reqwest::Client::new().post(server.url("/graphql")).json(&query).header("Host", "evil.example");
        let request = request.header("X-Forwarded-Host", "evil.example").header("X-Forwarded-Proto", "http").header("Origin", "https://evil.example");
        let request = request.header("Forwarded", "host=evil.example;proto=http").header("X-Original-URL", "https://evil.example/").header("Referer", "https://evil.example/");
        assert_eq!(request.send().await.unwrap().status(), 200);
        let mail = mail_to(&smtp, 1, "root@alder.example.org").await;
        assert!(link(&mail).starts_with("https://people.example.org/roster/reset?lang=en#rol_"), "{}", link(&mail));
        let raw = String::from_utf8_lossy(&mail.raw()).into_owned();
        assert!(!raw.contains("evil"), "{raw}");
        assert_eq!(mail.header("From"), "Roster <roster@people.example.org>");
    }

    async fn a_link_token_is_neither_in_the_database_nor_in_the_log(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--smtp-url", &smtp.url(), "--log", "trace"]).await;
        let admin = server.sign_in(crate::process::ADMIN).await;
        smtp.behave(crate::smtp::Behaviour::Hang);
        admin.mutate("createUser", "", json!({ "firstName": "Ada", "lastName": "Byron", "email": "ada@x.example" })).await;
        server.caller(None).mutate("requestPasswordReset", "", json!({ "email": crate::process::ADMIN })).await;
        smtp.behave(crate::smtp::Behaviour::Ok);
        let links = smtp.until(2).await;
        let tokens: Vec<String> = links.iter().map(|mail| link(mail).split_once('#').unwrap().1.to_owned()).collect();
        for token in &tokens {
            assert!(!server.err().contains(token) && !server.out().contains(token), "the token is in the log");
            for end in ["", "-wal"].iter().filter(|_| sandbox.is_sqlite()) {
                let file = std::fs::read(sandbox.path(&format!("roster-data/roster.db{end}"))).unwrap();
                assert!(!file.windows(token.len()).any(|part| part == token.as_bytes()), "the token is in the database");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_emails_are_files_and_registration_is_disabled() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let server = sandbox.serve(&[]).await;
    let admin = server.sign_in(crate::process::ADMIN).await;
    admin.mutate("createUser", "", json!({ "firstName": "Ada", "lastName": "Byron", "email": "ada@x.example" })).await;
    let file = crate::process::until(|| async {
        let entries = std::fs::read_dir(sandbox.path("roster-data/mail")).ok()?;
        entries.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|end| end == "eml"))
    });
    let mail = crate::app::Mail::parse(&std::fs::read(file.await.expect("an email file")).unwrap());
    assert_eq!(mail.to, "ada@x.example");
    assert!(mail.link.unwrap().starts_with(&server.url("/activate")));
    let stranger =
        "mutation { registerUser(input: { firstName: \"E\", lastName: \"M\", email: \"e@x.example\" }) { success } }";
    let response = server.caller(None).try_execute(stranger, &json!({})).await.unwrap();
    assert_eq!(response["errors"][0]["extensions"]["code"], json!("FORBIDDEN"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_logs_links() {
    let sandbox = Sandbox::on_sqlite();
    let server = sandbox.serve(&["demo", "--users", "20", "--tokens", "tokens.json"]).await;
    let tokens: Value = serde_json::from_slice(&std::fs::read(sandbox.path("tokens.json")).unwrap()).unwrap();
    let admin = server.caller(tokens["license_admin"].as_str());
    admin.mutate("createUser", "", json!({ "firstName": "Ada", "lastName": "Byron", "email": "ada@x.example" })).await;
    let shown = crate::process::until(|| async { server.err().contains("/activate?lang=en#rol_").then_some(()) });
    shown.await.unwrap_or_else(|| panic!("{}", server.err()));
}

#[tokio::test]
async fn the_license_for_registrations_must_exist() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let output = sandbox.run(&["--listen", "127.0.0.1:0", "--registration", "X-9"]).await;
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(output.err.contains("--registration X-9 (ROSTER_REGISTRATION)"), "{}", output.err);
}
