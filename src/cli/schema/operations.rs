//! The check of a client's operations against the schema of this version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::fragments::{ExecutablePart, ExecutableParts};
use crate::document::manifest;
use crate::http::{self, HttpError};

/// The extensions of the files with operations.
const EXTENSIONS: [&str; 2] = ["graphql", "gql"];
/// The folder of the packages of Node.js, which is not searched.
const PACKAGES: &str = "node_modules";

/// An error in an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    pub file: String,
    /// The position in the file or, for a manifest, in the document.
    pub line: usize,
    pub column: usize,
    /// The name of the operation, or the ID of the document.
    pub operation: Option<String>,
    pub message: String,
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct Checked {
    pub operations: usize,
    pub problems: BTreeSet<Problem>,
}

/// Checks the operations of a directory, a file or a manifest against a schema.
///
/// # Errors
/// If something cannot be read, or has no operations.
pub fn check(sdl: &str, path: &Path) -> anyhow::Result<Checked> {
    let checked = if path.extension().is_some_and(|extension| extension == "json") {
        check_manifest(sdl, path)?
    } else {
        check_files(sdl, &files(path)?)?
    };
    anyhow::ensure!(checked.operations > 0, "{}: there are no operations", path.display());
    Ok(checked)
}

fn check_manifest(sdl: &str, path: &Path) -> anyhow::Result<Checked> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let documents = manifest::parse(&text).map_err(anyhow::Error::msg).with_context(name)?;
    let mut checked = Checked { operations: documents.len(), ..Checked::default() };
    for document in documents {
        let Err(error) = http::check_document(sdl, &document.body) else { continue };
        let label = document.name.map_or_else(|| document.id.clone(), |name| format!("{} ({name})", document.id));
        checked.problems.extend(error.all().map(|error| {
            let (line, column) = position(error);
            Problem { file: name(), line, column, operation: Some(label.clone()), message: error.message.to_string() }
        }));
    }
    Ok(checked)
}

/// Returns the files with operations below a path, sorted.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        let name = || folder.display().to_string();
        for entry in std::fs::read_dir(&folder).with_context(name)? {
            let (path, is_dir) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?.is_dir())))?;
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if is_dir && !is_hidden && !path.ends_with(PACKAGES) {
                folders.push(path);
            } else if !is_dir && path.extension().is_some_and(|of| EXTENSIONS.iter().any(|name| of == *name)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A fragment, and the name of its file.
type Fragments = BTreeMap<String, (String, ExecutablePart)>;

fn check_files(sdl: &str, paths: &[PathBuf]) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    let (mut operations, mut fragments) = (Vec::new(), Fragments::new());
    for path in paths {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| file.clone())?;
        let tidy = http::without_descriptions(&text);
        let Some(pieces) = ExecutableParts::of(&tidy) else {
            checked.operations += 1;
            checked.problems.extend(problems_of_file(sdl, &file, &tidy));
            continue;
        };
        for fragment in pieces.fragments {
            let name = fragment.name.clone().unwrap_or_default();
            let message = format!("Another fragment has the name {name}");
            let (line, column) = (fragment.line, fragment.column);
            if fragments.insert(name, (file.clone(), fragment)).is_some() {
                checked.problems.insert(Problem { file: file.clone(), line, column, operation: None, message });
            }
        }
        operations.extend(pieces.operations.into_iter().map(|operation| (file.clone(), operation)));
    }
    checked.operations += operations.len();
    for (file, operation) in operations {
        checked.problems.extend(Assembled::new(file, &operation, &fragments).problems(sdl));
    }
    Ok(checked)
}

/// Returns the errors of a file that cannot be parsed.
fn problems_of_file(sdl: &str, file: &str, text: &str) -> Vec<Problem> {
    let error = http::check_document(sdl, text).err();
    let problem = |error: &HttpError| {
        let (line, column) = position(error);
        Problem { file: file.to_owned(), line, column, operation: None, message: error.message.to_string() }
    };
    error.iter().flat_map(HttpError::all).map(problem).collect()
}

/// An operation with the fragments that it needs, in one text.
struct Assembled {
    name: Option<String>,
    text: String,
    /// The first line of each part in the text, with its file and its line there.
    parts: Vec<(usize, String, usize)>,
    lines: usize,
}

impl Assembled {
    fn new(file: String, operation: &ExecutablePart, fragments: &Fragments) -> Self {
        let mut needed: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = operation.spreads.iter().cloned().collect();
        while let Some(name) = open.pop() {
            if let Some((_, fragment)) = fragments.get(&name)
                && needed.insert(name)
            {
                open.extend(fragment.spreads.iter().cloned());
            }
        }
        let mut assembled = Self { name: operation.name.clone(), text: String::new(), parts: Vec::new(), lines: 1 };
        assembled.append(file, operation);
        for (file, fragment) in needed.iter().filter_map(|name| fragments.get(name)) {
            assembled.append(file.clone(), fragment);
        }
        assembled
    }

    /// Appends a part, in the columns that it has in its file.
    fn append(&mut self, file: String, piece: &ExecutablePart) {
        self.parts.push((self.lines, file, piece.line));
        self.text.extend(std::iter::repeat_n(' ', piece.column.saturating_sub(1)));
        self.text.push_str(&piece.text);
        self.text.push('\n');
        self.lines += piece.text.matches('\n').count() + 1;
    }

    fn problems(&self, sdl: &str) -> Vec<Problem> {
        let error = http::check_document(sdl, &self.text).err();
        error.iter().flat_map(HttpError::all).map(|error| self.problem(error)).collect()
    }

    fn problem(&self, error: &HttpError) -> Problem {
        let (line, column) = position(error);
        let part = self.parts.iter().rfind(|(first, ..)| *first <= line);
        let (file, line) = part.map_or_else(
            || (String::new(), line),
            |(first, file, line_in_file)| (file.clone(), line_in_file + (line - first)),
        );
        Problem { file, line, column, operation: self.name.clone(), message: error.message.to_string() }
    }
}

/// Returns the line and the column of an error, from 1.
fn position(error: &HttpError) -> (usize, usize) {
    error.locations.first().map_or((1, 1), |at| (at.line.max(1), at.column.max(1)))
}
