//! Every command and request of the README and of docs/ works against the demo, in the order of its page.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{Process, Sandbox};
use crate::sse::EventStream;

/// An executable block of a page.
enum Block {
    Shell(String),
    /// A request and its variables.
    Request(String, Value),
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md"), root.join("SECURITY.md")];
    for folder in ["docs", "docs/decisions"] {
        pages.extend(fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut fenced = text.split("```").skip(1).step_by(2).peekable();
    while let Some(block) = fenced.next() {
        let (language, content) = block.split_once('\n').unwrap_or_default();
        match language.trim() {
            "sh" => found.push(Block::Shell(content.to_owned())),
            "graphql" => {
                let variables = fenced.peek().and_then(|next| next.strip_prefix("json\n"));
                let variables =
                    variables.filter(|_| content.contains('$')).map(|text| serde_json::from_str(text).unwrap());
                found.push(Block::Request(content.to_owned(), variables.unwrap_or_else(|| json!({}))));
            }
            _ => {}
        }
    }
    found
}

/// The variables that the demo prints as `export` lines.
fn exports(server: &Process) -> Vec<(String, String)> {
    let out = server.out();
    let exported = out.lines().filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='));
    exported.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn check(page: &Path) {
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    if blocks.is_empty() {
        return;
    }
    let sandbox = Sandbox::on_sqlite();
    let server = sandbox.serve(&["demo"]).await;
    let exports = exports(&server);
    let token = exports.iter().find(|(name, _)| name == "TOKEN").map(|(_, token)| token.as_str());
    let place = page.file_name().unwrap().to_string_lossy();
    for block in blocks {
        match block {
            Block::Shell(script) => {
                let mut shell = std::process::Command::new("sh");
                let output =
                    shell.arg("-ec").arg(&script).envs(exports.clone()).current_dir(sandbox.path("")).output().unwrap();
                let printed =
                    [output.stdout, output.stderr].map(|printed| String::from_utf8_lossy(&printed).into_owned());
                assert!(
                    output.status.success() && !printed[0].contains("\"errors\":[{"),
                    "{place}: {script}\n{printed:?}"
                );
            }
            Block::Request(query, variables) if query.starts_with("subscription") => {
                let body = json!({ "query": query, "variables": variables });
                EventStream::open(&server.url("/graphql"), token, &body, None).await.begin().await;
            }
            Block::Request(query, variables) => {
                let data = server.caller(token).data(&query, variables).await;
                assert!(data.is_object(), "{place}: {query}");
            }
        }
    }
}

#[tokio::test]
async fn commands_and_requests_of_the_documentation_work() {
    for page in pages() {
        check(&page).await;
    }
}

/// Links within the repository lead to existing files.
#[test]
fn links_of_the_documentation_lead_to_existing_files() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = link.split_once('#').map_or(link, |(file, _)| file);
            if !file.contains("://") && !file.is_empty() {
                let target = page.parent().unwrap().join(file);
                assert!(target.exists(), "{}: {link}", page.display());
            }
        }
    }
}
