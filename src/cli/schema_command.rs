//! `roster schema`: prints the GraphQL schema, its changes, or the errors of a client's operations.

use std::path::Path;

use super::config::{Schema, SchemaFormat};
use super::open::WrongSetting;
use super::output::write_text;
use super::schema::{diff, introspection, operations, report};
use crate::schema;
use crate::text::counted;

pub async fn run_schema(arguments: &Schema) -> anyhow::Result<()> {
    match (&arguments.diff, &arguments.check_operations, arguments.format) {
        (Some(old), ..) => print_changes(old, arguments.format),
        (None, Some(path), format) => print_errors(path, format),
        (None, None, SchemaFormat::Text) => print(&schema::described_sdl()),
        (None, None, SchemaFormat::Json) => print(&introspection::json().await?),
        (None, None, SchemaFormat::Github) => {
            let message = "--format github: only with --diff or --check-operations";
            Err(WrongSetting(message.to_owned()).into())
        }
    }
}

fn print_changes(path: &Path, format: SchemaFormat) -> anyhow::Result<()> {
    let file = path.display().to_string();
    let wrong = |reason: String| WrongSetting(format!("--diff {file}: {reason}"));
    let old = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let changes = diff::diff(&old, &schema::described_sdl()).map_err(wrong)?;
    print(&report::of_changes(&changes, &file, format))?;
    let breaking = changes.iter().filter(|change| change.level == diff::Level::Breaking).count();
    let changes = counted(breaking, "breaking change", "breaking changes");
    anyhow::ensure!(breaking == 0, "{changes} of the schema");
    Ok(())
}

fn print_errors(path: &Path, format: SchemaFormat) -> anyhow::Result<()> {
    let checked = operations::check(&schema::sdl(), path)
        .map_err(|error| WrongSetting(format!("--check-operations: {error:#}")))?;
    print(&report::of_operations(&checked, format))?;
    let errors = checked.problems.len();
    anyhow::ensure!(
        errors == 0,
        "{} in {}",
        counted(errors, "error", "errors"),
        counted(checked.operations, "operation", "operations")
    );
    Ok(())
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(write_text(text)?)
}
