//! Every command and request of the README and of docs/ works against the demo, in the order of its page, and has the response that
//! is shown below it. Links lead somewhere.

mod blocks;
mod guides;
mod lists;
mod names;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use self::blocks::{Block, Request, blocks};
use self::names::Names;
use crate::process::{Process, Sandbox};
use crate::sse::EventStream;

/// The beginning of a document that is sent with another token than `$TOKEN`; the name of the token follows.
const TOKEN_LINE: &str = "# Authorization: Bearer $";

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md"), root.join("SECURITY.md")];
    pages.extend(
        ["clients/python", "clients/rust", "clients/typescript", "deploy", "examples"]
            .map(|of| root.join(of).join("README.md")),
    );
    for folder in ["docs", "docs/decisions"] {
        pages.extend(fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

/// The variables that the demo prints as `export` lines.
fn exports(server: &Process) -> Names {
    let out = server.out();
    let exported = out.lines().filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='));
    Names(exported.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

async fn check(page: &Path) {
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    if blocks.is_empty() {
        return;
    }
    let sandbox = Sandbox::on_sqlite();
    let server = sandbox.serve(&["demo"]).await;
    let mut names = exports(&server);
    let place = page.file_name().unwrap().to_string_lossy();
    for Block { request, response: expected } in blocks {
        let (text, actual) = match &request {
            Request::Shell(script) => {
                let printed = run(&sandbox, script, &names);
                let is_error = expected.is_none() && printed.contains("\"errors\":[{");
                assert!(!is_error, "{place}: {script}\n{printed}");
                (script, expected.is_some().then(|| serde_json::from_str(&printed).unwrap()))
            }
            Request::Operation { document, variables } => {
                (document, execute(&server, document, &names.resolve(variables), &names).await)
            }
        };
        let Some(actual) = actual else { continue };
        if let Some(expected) = expected {
            let differences = names.compare(&expected, &actual);
            assert!(differences.is_empty(), "{place}: {text}\n{differences:#?}\n{actual:#}");
        } else {
            let is_success = actual["data"].is_object() && actual.get("errors").is_none();
            assert!(is_success, "{place}: {text}\n{actual:#}");
        }
    }
}

/// The output of a script that succeeds, and prints no error but that the time of an endless request is over.
fn run(sandbox: &Sandbox, script: &str, names: &Names) -> String {
    let mut shell = Command::new("sh");
    let output = shell.arg("-ec").arg(script).envs(&names.0).current_dir(sandbox.path("")).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_quiet = errors.lines().all(|line| line.starts_with("curl: (28)"));
    assert!(output.status.success() && is_quiet, "{script}\n{printed}\n{errors}");
    printed
}

/// The response to a document. None for a subscription, which only begins.
async fn execute(server: &Process, document: &str, variables: &Value, names: &Names) -> Option<Value> {
    let name_of_token = document.lines().next().and_then(|line| line.strip_prefix(TOKEN_LINE));
    let token = Some(names.get(name_of_token.unwrap_or("TOKEN")));
    if document.starts_with("subscription") {
        let body = json!({ "query": document, "variables": variables });
        EventStream::open(&server.url("/graphql"), token, &body, None).await.begin().await;
        return None;
    }
    let response = server.caller(token).try_execute(document, variables).await;
    Some(response.unwrap_or_else(|| panic!("no response: {document}")))
}

#[tokio::test]
async fn commands_and_requests_of_the_documentation_work() {
    for page in pages() {
        check(&page).await;
    }
}

/// The anchors of the headings of a page, as they are made from its text.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let outside_of_blocks = text.split("```").step_by(2).flat_map(str::lines);
    let headings = outside_of_blocks
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase();
        kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Links within the repository lead to existing files and headings.
#[test]
fn links_of_the_documentation_lead_to_existing_places() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            let is_found = anchor.is_empty() || anchors(&target).iter().any(|found| found == anchor);
            assert!(is_found, "{}: {link}", page.display());
        }
    }
}

/// A second heading with the same text would have another anchor than its links.
#[test]
fn headings_of_a_page_differ() {
    for page in pages() {
        let anchors = anchors(&page);
        let distinct: HashSet<&String> = anchors.iter().collect();
        assert_eq!(distinct.len(), anchors.len(), "{}: {anchors:?}", page.display());
    }
}
