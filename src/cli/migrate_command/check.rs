//! `roster migrate --check`: what would be applied, and whether servers that run keep working. Changes nothing.

use std::fmt::{self, Write as _};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::config::{CheckFormat, Settings};
use crate::cli::open::{DATA_DIR, setting_of_database};
use crate::cli::output::write_text;
use crate::db::{self, Db};
use crate::startup::{AppliedMigration, RecordedKind, SchemaState, SchemaStatus};
use crate::text::counted;

/// The exit code if migrations are pending, and servers that run keep working.
const EXPAND_EXIT_CODE: u8 = 3;

/// The exit code if migrations are pending, and old servers must be stopped first.
const CONTRACT_EXIT_CODE: u8 = 4;

/// Pending migrations, which `roster migrate --check` reports by its exit code.
#[derive(Debug)]
pub struct PendingMigrations {
    count: usize,
    must_stop: bool,
}

impl PendingMigrations {
    /// Returns the exit code of the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if self.must_stop { CONTRACT_EXIT_CODE } else { EXPAND_EXIT_CODE }
    }
}

impl fmt::Display for PendingMigrations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = if self.must_stop { "; stop old servers first" } else { "" };
        let pending = counted(self.count, "migration is pending", "migrations are pending");
        write!(formatter, "{pending}{advice}")
    }
}

impl std::error::Error for PendingMigrations {}

pub(super) async fn check(settings: &Settings, format: CheckFormat) -> anyhow::Result<()> {
    let state = read(settings).await?;
    write_text(&match format {
        CheckFormat::Text => as_text(&state),
        CheckFormat::Json => format!("{:#}\n", as_json(&state)),
    })?;
    state.check()?;
    if state.pending.is_empty() {
        return Ok(());
    }
    let must_stop = state.status() == SchemaStatus::Contract;
    Err(PendingMigrations { count: state.pending.len(), must_stop }.into())
}

/// Reads the state of the database, which is not created.
async fn read(settings: &Settings) -> anyhow::Result<SchemaState> {
    let database = settings.database(DATA_DIR);
    if db::missing_file(&database.url).is_some() {
        return Ok(SchemaState::of_new_database());
    }
    let db = Db::connect(&database).await.map_err(anyhow::Error::from);
    let db = db.with_context(|| setting_of_database(settings, DATA_DIR))?;
    let state = db.schema_state().await?;
    db.close().await?;
    Ok(state)
}

fn as_json(state: &SchemaState) -> Value {
    let pending = state.pending.iter().map(|step| (step.name, Some(step.kind.name()), step.kind.needs()));
    let newer = state.newer.iter().map(|AppliedMigration { name, kind }| match kind {
        RecordedKind::Expand => (name.as_str(), Some("EXPAND"), None),
        RecordedKind::Contract { needs } => (name.as_str(), Some("CONTRACT"), Some(needs.as_str())),
        RecordedKind::Unrecorded => (name.as_str(), None, None),
    });
    json!({
        "status": state.status().name(),
        "lastApplied": state.last_applied,
        "needs": state.needs(),
        "pending": pending.map(migration_as_json).collect::<Vec<_>>(),
        "newer": newer.map(migration_as_json).collect::<Vec<_>>(),
    })
}

fn migration_as_json((name, kind, needs): (&str, Option<&str>, Option<&str>)) -> Value {
    json!({ "name": name, "kind": kind, "needs": needs })
}

fn as_text(state: &SchemaState) -> String {
    let mut text = String::new();
    for step in &state.pending {
        let _ = writeln!(text, "pending  {:<8}  {}", step.kind.name().to_lowercase(), step.name);
    }
    for AppliedMigration { name, kind } in &state.newer {
        let kind = match kind {
            RecordedKind::Expand => "expand",
            RecordedKind::Contract { .. } => "contract",
            RecordedKind::Unrecorded => "unknown",
        };
        let _ = writeln!(text, "newer    {kind:<8}  {name}");
    }
    if let Some(conclusion) = conclusion(state) {
        let _ = writeln!(text, "{conclusion}");
    }
    text
}

/// Returns the advice of the report. `None` if the error of the command says it.
fn conclusion(state: &SchemaState) -> Option<String> {
    Some(match (state.status(), state.needs()) {
        (SchemaStatus::Incompatible, _) => return None,
        (SchemaStatus::UpToDate, _) if state.newer.is_empty() => "The tables are up to date.".to_owned(),
        (SchemaStatus::UpToDate, _) => {
            "A newer version has migrated the tables. This version works with them.".to_owned()
        }
        (_, None) if state.last_applied.is_none() => "The database has no tables yet.".to_owned(),
        (_, None) => "Servers that run keep working.".to_owned(),
        (_, Some(needs)) if state.pending.iter().any(|step| step.name == needs) => {
            "Stop all servers first: they do not work afterwards.".to_owned()
        }
        (_, Some(needs)) => format!("Stop servers that do not know {needs} first: they do not work afterwards."),
    })
}
