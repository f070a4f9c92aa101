//! The files and names that the guides to changes mention are there.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// The folders whose files the guides may name by the end of their path, and whose words they may name.
const FOLDERS: [&str; 6] = ["src", "tests/api", "migration", "locales", "clients/rust/src", "clients/typescript/src"];

/// What marks a name as one of the examples, which nothing has.
const OF_EXAMPLES: [&str; 6] = ["archive", "family.rs", "locales/xx.ftl", "m20270101", "pager", "room"];

/// The ends of names without a folder that are files.
const EXTENSIONS: [&str; 8] = [".ftl", ".graphql", ".md", ".rs", ".sql", ".toml", ".ts", ".txt"];

/// The words of each file in [`FOLDERS`], by its path.
static FILES: LazyLock<BTreeMap<String, HashSet<String>>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&content);
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect();
            files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), words);
        }
    }
    files
});

/// The guides, each with its name and its text without blocks.
fn guides() -> Vec<(String, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path());
    let guide = |page: PathBuf| {
        let name = page.file_name()?.to_str()?.to_owned();
        let text = name.starts_with("adding-").then(|| fs::read_to_string(&page).unwrap())?;
        Some((name, text.split("```").step_by(2).collect::<String>()))
    };
    let guides: Vec<(String, String)> = pages.filter_map(guide).collect();
    assert!(guides.len() >= 5, "{guides:?}");
    guides
}

fn is_of_example(name: &str) -> bool {
    let name = name.to_lowercase();
    OF_EXAMPLES.iter().any(|part| name.contains(part))
}

/// Whether a code span is the path of a file or folder.
fn is_path(span: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let has_extension = EXTENSIONS.iter().any(|end| span.len() > end.len() && span.ends_with(end));
    let is_local = span.starts_with(|c: char| c.is_ascii_alphabetic());
    is_local && span.chars().all(is_plain) && (span.contains('/') || has_extension)
}

/// The last part of a code span that is a name in Rust, such as that of `Loaders::charge` or `payload!`.
fn last_name(span: &str) -> Option<&str> {
    let path = span.strip_suffix('!').unwrap_or(span);
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    path.split("::").all(is_name).then(|| path.rsplit("::").next())?
}

/// The words of the files that a path means: those whose path ends like it, or that are in a folder whose path does.
fn words_of(path: &str) -> Vec<&'static HashSet<String>> {
    let path = format!("/{}", path.trim_end_matches('/'));
    let within = format!("{path}/");
    let is_meant = |file: &str| {
        let file = format!("/{file}");
        file.ends_with(&path) || file.contains(&within)
    };
    FILES.iter().filter(|(file, _)| is_meant(file)).map(|(_, words)| words).collect()
}

#[test]
fn files_and_names_of_the_guides_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (guide, text) in guides() {
        for span in text.split('`').skip(1).step_by(2).filter(|span| !is_of_example(span)) {
            let is_there = if is_path(span) {
                root.join(span).exists() || !words_of(span).is_empty()
            } else if let Some(name) = last_name(span) {
                FILES.values().any(|words| words.contains(name)) || root.join(name).exists()
            } else {
                true
            };
            if !is_there {
                missing.push(format!("{guide}: {span}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A name "in" or "of" a file, or with the file in parentheses.
#[test]
fn names_that_the_guides_look_for_in_a_file_are_in_it() {
    let place = Regex::new(r"`([^`]+)`\s+(?:(?:in|of)\s+|\()`([^`]+)`").unwrap();
    let mut missing = Vec::new();
    let mut checked = 0;
    for (guide, text) in guides() {
        for found in place.captures_iter(&text) {
            let (span, file) = (&found[1], &found[2]);
            let Some(name) = last_name(span).filter(|_| is_path(file)) else { continue };
            let words = words_of(file);
            if is_of_example(span) || is_of_example(file) || words.is_empty() {
                continue;
            }
            checked += 1;
            if !words.iter().any(|words| words.contains(name)) {
                missing.push(format!("{guide}: {span} in {file}"));
            }
        }
    }
    assert!(checked > 50, "only {checked} names with a file");
    assert!(missing.is_empty(), "{missing:#?}");
}
