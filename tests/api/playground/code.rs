//! The panel that shows a request as a program.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{show, sign_in_by_link, with_ada};
use crate::app::App;
use crate::avatars::png;
use crate::browser::Browser;
use crate::programs::is_installed;

/// The program that the panel shows for [`QUERY`], compiled with the tests.
#[expect(dead_code, reason = "it reads its token from the environment, which tests share")]
mod exported {
    include!("exported.rs");
}

/// The address of the server in `exported.rs`.
const URL: &str = "http://127.0.0.1:8000";

/// A document with what each language must escape.
const QUERY: &str = "query Named($text: String!, $other: String!) {
  # \"\"\" ` ${text} \\ '
  users(filter: { firstName: { contains: $text }, not: { lastName: { contains: $other } } }) {
    nodes {
      fullName
    }
  }
}
";

fn variables() -> Value {
    json!({ "text": "O'N", "other": "\"#\\ `${x}`\né" })
}

/// Shows the program in a language, the one at this place, which has `part` in it.
async fn code(browser: &Browser, place: usize, part: &str) -> String {
    browser.click(&format!(".roster-choice option:nth-child({place})")).await;
    browser.see("#code", part).await;
    browser.run("return document.querySelector('#code').textContent").await.as_str().unwrap().to_owned()
}

/// Runs a program with a token, in a folder.
async fn output(program: &str, arguments: &[&str], token: &str, folder: &Path) -> String {
    let mut command = Command::new(program);
    let Output { status, stdout, stderr } =
        command.args(arguments).env("TOKEN", token).current_dir(folder).output().await.unwrap();
    assert!(status.success(), "{program}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Opens the panel for a document.
async fn open_panel(browser: &Browser, app: &App, token: &str) {
    sign_in_by_link(browser, app, token).await;
    show(browser, "Named", QUERY, &variables()).await;
    browser.click("button[aria-label='Show Code']").await;
}

#[tokio::test]
async fn the_code_of_a_request_runs() {
    if !["curl", "node", "python3"].iter().all(|program| is_installed(program, &["--version"])) {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    app.user_with("O'Neil", roster::entity::user::UserFields::default()).await;
    open_panel(&browser, &app, &token).await;
    let curl = code(&browser, 1, "curl -sS").await;
    let typescript = code(&browser, 2, "process.env.TOKEN").await;
    let python = code(&browser, 3, "os.environ").await;
    for code in [&curl, &typescript, &python] {
        assert!(!code.contains(&token), "{code}");
    }
    // No line of it has a type, so it is JavaScript too.
    std::fs::write(app.dir().join("request.mjs"), typescript).unwrap();
    let node = ["--no-warnings", "request.mjs"];
    for (program, arguments) in [("sh", ["-c", &*curl]), ("node", node), ("python3", ["-c", &*python])] {
        let printed = output(program, &arguments, &token, app.dir()).await;
        let answer: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{program}: {printed}"));
        assert_eq!(answer, json!({ "data": { "users": { "nodes": [{ "fullName": "O'Neil Tester" }] } } }), "{program}");
    }
}

#[tokio::test]
async fn the_code_for_rust_is_the_one_that_is_compiled() {
    let Some(browser) = Browser::start().await else { return };
    let (app, token) = with_ada().await;
    open_panel(&browser, &app, &token).await;
    let rust = code(&browser, 4, "std::env::var").await;
    assert_eq!(rust.replace(&app.url(), URL), include_str!("exported.rs"));
}

#[tokio::test]
async fn the_code_of_an_upload_sends_the_file() {
    if !is_installed("curl", &["--version"]) || !is_installed("node", &["--version"]) {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    let (app, _) = with_ada().await;
    let user = app.user().await;
    let token = user.token.clone().unwrap();
    std::fs::write(app.dir().join("picture.png"), png(20, 20)).unwrap();
    browser.open(&format!("{}/#token={token}", app.url())).await;
    browser.click("#offer button").await;
    let query = "mutation Set($input: SetUserAvatarInput!) { setUserAvatar(input: $input) { user { avatarUrl } } }";
    show(&browser, "Set", query, &json!({ "input": { "id": user.id(), "avatar": null } })).await;
    browser.click("button[aria-label='Show Code']").await;
    let curl = code(&browser, 1, "--form-string").await;
    let typescript = code(&browser, 2, "new FormData").await;
    std::fs::write(app.dir().join("upload.mjs"), typescript).unwrap();
    for (program, arguments) in [("sh", ["-c", &*curl]), ("node", ["--no-warnings", "upload.mjs"])] {
        let printed = output(program, &arguments, &token, app.dir()).await;
        assert!(printed.contains("/avatars/"), "{program}: {printed}");
    }
}
