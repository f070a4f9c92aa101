//! The output of the changes and of the errors: as text, as JSON, or as annotations of a GitHub workflow.

use std::fmt::Write as _;

use serde_json::json;

use super::diff::{Change, Level};
use super::operations::Checked;
use crate::cli::config::SchemaFormat;
use crate::text::counted;

/// Returns the changes since the schema in a file.
pub fn of_changes(changes: &[Change], file: &str, format: SchemaFormat) -> String {
    match format {
        SchemaFormat::Json => format!("{:#}\n", json!(changes)),
        SchemaFormat::Text if changes.is_empty() => "The schema has not changed.\n".to_owned(),
        SchemaFormat::Text => changes.iter().fold(String::new(), |mut text, change| {
            let _ = writeln!(text, "{:<9}  {}  {}", name(change.level), change.coordinate, change.message);
            text
        }),
        SchemaFormat::Github => changes.iter().fold(String::new(), |mut text, change| {
            let line = change.line.map(|line| format!(",line={line}")).unwrap_or_default();
            let (command, title) = match change.level {
                Level::Breaking => ("error", "Breaking change of the schema"),
                Level::Dangerous => ("warning", "Dangerous change of the schema"),
                Level::Safe => ("notice", "Safe change of the schema"),
            };
            let message = data(&format!("{}: {}", change.coordinate, change.message));
            let _ = writeln!(text, "::{command} file={}{line},title={title}::{message}", property(file));
            text
        }),
    }
}

/// Returns the errors of operations.
pub fn of_operations(checked: &Checked, format: SchemaFormat) -> String {
    let Checked { operations, problems } = checked;
    if format == SchemaFormat::Json {
        return format!("{:#}\n", json!(problems));
    }
    let mut text = String::new();
    for problem in problems {
        let operation = problem.operation.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let message = format!("{operation}{}", problem.message);
        let _ = if format == SchemaFormat::Github {
            let (file, line, column) = (property(&problem.file), problem.line, problem.column);
            let title = "Invalid operation";
            writeln!(text, "::error file={file},line={line},col={column},title={title}::{}", data(&message))
        } else {
            writeln!(text, "{}:{}:{}: {message}", problem.file, problem.line, problem.column)
        };
    }
    if format == SchemaFormat::Text && problems.is_empty() {
        let valid = counted(*operations, "operation is", "operations are");
        let _ = writeln!(text, "{valid} valid.");
    }
    text
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Breaking => "breaking",
        Level::Dangerous => "dangerous",
        Level::Safe => "safe",
    }
}

/// Escapes the message of an annotation.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of an annotation.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
