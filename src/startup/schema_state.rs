//! The migrations of a database, compared with those of this program.

use std::collections::{BTreeMap, BTreeSet};

use migration::{HISTORY, Step, is_known};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The table of the migrations that were applied.
const APPLIED: &str = "seaql_migrations";
/// The table of the kinds of migrations, for programs that do not know them.
const KINDS: &str = "migration_kinds";
/// The migrations of a database, compared with those of this program.
#[derive(Clone, Debug, Default)]
pub struct SchemaState {
    /// The last migration that was applied. `None` if the database is new.
    pub last_applied: Option<String>,
    /// The migrations that this program would apply, in their order.
    pub pending: Vec<&'static Step>,
    /// The migrations that a newer program has applied, in their order.
    pub newer: Vec<AppliedMigration>,
    /// Why the first migrations fail in a new database, such as a table of another program in the place of one of theirs.
    pub obstacle: Option<String>,
}

/// A migration that was applied to a database. This program may not know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedMigration {
    /// The name of the migration.
    pub name: String,
    /// Whether programs that do not know the migration keep working, as the database says.
    #[serde(flatten)]
    pub kind: RecordedKind,
}

/// Whether programs that do not know a migration keep working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordedKind {
    /// They do.
    Expand,
    /// Only those do that know the migration `needs`.
    Contract {
        /// The name of that migration.
        needs: String,
    },
    /// The database does not say.
    #[serde(other)]
    Unrecorded,
}

/// The step that is needed before this program can use a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaStatus {
    /// None.
    UpToDate,
    /// Apply the pending migrations. Servers that use the database keep working.
    Expand,
    /// Stop old servers, and then apply the pending migrations.
    Contract,
    /// None helps: this program cannot use the database.
    Incompatible,
}

impl SchemaStatus {
    /// Returns the name of the status, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "UP_TO_DATE",
            Self::Expand => "EXPAND",
            Self::Contract => "CONTRACT",
            Self::Incompatible => "INCOMPATIBLE",
        }
    }
}

impl AppliedMigration {
    fn allows_this_program(&self) -> bool {
        match &self.kind {
            RecordedKind::Expand => true,
            RecordedKind::Contract { needs } => is_known(needs),
            RecordedKind::Unrecorded => false,
        }
    }

    /// Returns the error of a program that cannot work after the migration.
    fn refusal(&self) -> Error {
        let (name, known) = (&self.name, last_known());
        Error::internal(match &self.kind {
            RecordedKind::Contract { needs } => format!(
                "the database has the migration {name} of a newer version of Roster, after which only versions that know \
                 {needs} work; this version knows the migrations up to {known}: use a newer version"
            ),
            RecordedKind::Expand | RecordedKind::Unrecorded => format!(
                "the database has the migration {name}, which this version of Roster does not know, and which does not say \
                 whether this version works after it: use the version that has applied it, or a newer one"
            ),
        })
    }
}

impl SchemaState {
    /// Returns the state of a database that does not exist yet.
    #[must_use]
    pub fn of_new_database() -> Self {
        Self::of(Vec::new())
    }

    /// Returns the state of a database with these migrations, which are in their order.
    #[must_use]
    pub fn of(applied: Vec<AppliedMigration>) -> Self {
        let is_pending = |step: &&Step| applied.iter().all(|migration| migration.name != step.name);
        Self {
            pending: HISTORY.iter().filter(is_pending).collect(),
            last_applied: applied.last().map(|migration| migration.name.clone()),
            newer: applied.into_iter().filter(|migration| !is_known(&migration.name)).collect(),
            obstacle: None,
        }
    }

    /// Reads the state of a database. Changes nothing.
    pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Self, DbErr> {
        Ok(Self::of(applied_migrations(connection).await?))
    }

    /// Rejects a database with which this program cannot work.
    ///
    /// # Errors
    /// That a newer program has taken away what this one needs, that the migrations are not those of one history, or
    /// that they cannot be applied to a new database.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(obstacle) = &self.obstacle {
            return Err(Error::internal(obstacle.clone()));
        }
        if let Some(newer) = self.newer.iter().find(|newer| !newer.allows_this_program()) {
            return Err(newer.refusal());
        }
        if let (Some(newer), Some(pending)) = (self.newer.first(), self.pending.first()) {
            return Err(Error::internal(format!(
                "the database has the migration {} of a newer version of Roster, but not {} of this version: this version is \
                 not of the same history",
                newer.name, pending.name
            )));
        }
        Ok(())
    }

    /// Returns the step that is needed before this program can use the database.
    #[must_use]
    pub fn status(&self) -> SchemaStatus {
        if self.check().is_err() {
            SchemaStatus::Incompatible
        } else if self.pending.is_empty() {
            SchemaStatus::UpToDate
        } else if self.needs().is_none() {
            SchemaStatus::Expand
        } else {
            SchemaStatus::Contract
        }
    }

    /// Returns the name of the migration that servers must know to keep working after the pending ones. `None` if all servers do,
    /// or if none can use the database yet.
    #[must_use]
    pub fn needs(&self) -> Option<&'static str> {
        self.last_applied.as_ref()?;
        self.pending.iter().filter_map(|step| step.kind.needs()).max()
    }
}

/// Returns the name of the last migration that this program knows.
#[must_use]
pub fn last_known() -> &'static str {
    HISTORY.last().map_or("", |step| step.name)
}

/// Returns the migrations that were applied to a database, in their order. None if the database is new.
pub async fn applied_migrations(connection: &impl ConnectionTrait) -> Result<Vec<AppliedMigration>, DbErr> {
    let tables = existing(connection, &[APPLIED, KINDS]).await?;
    if !tables.contains(APPLIED) {
        return Ok(Vec::new());
    }
    let names = query(connection, &format!("SELECT version FROM {APPLIED}")).await?;
    let names: BTreeSet<String> = names.iter().map(first_column).collect::<Result<_, _>>()?;
    let mut kinds = if tables.contains(KINDS) { kinds(connection).await? } else { BTreeMap::new() };
    let applied = names.into_iter().map(|name| {
        let kind = kinds.remove(&name).unwrap_or(RecordedKind::Unrecorded);
        AppliedMigration { name, kind }
    });
    Ok(applied.collect())
}

async fn query(connection: &impl ConnectionTrait, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await
}

/// Returns those of these tables that exist.
async fn existing(connection: &impl ConnectionTrait, tables: &[&str]) -> Result<BTreeSet<String>, DbErr> {
    let names = format!("('{}')", tables.join("', '"));
    let list = if connection.get_database_backend() == DatabaseBackend::Postgres {
        format!(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relname IN {names}"
        )
    } else {
        format!("SELECT name FROM sqlite_master WHERE name IN {names}")
    };
    query(connection, &list).await?.iter().map(first_column).collect()
}

/// Returns the recorded kinds of migrations by their names.
async fn kinds(connection: &impl ConnectionTrait) -> Result<BTreeMap<String, RecordedKind>, DbErr> {
    query(connection, &format!("SELECT version, kind, needs FROM {KINDS}")).await?.iter().map(recorded_kind).collect()
}

fn recorded_kind(row: &QueryResult) -> Result<(String, RecordedKind), DbErr> {
    let (kind, needs): (String, Option<String>) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
    let kind = match (kind.as_str(), needs) {
        ("EXPAND", _) => RecordedKind::Expand,
        ("CONTRACT", Some(needs)) => RecordedKind::Contract { needs },
        _ => RecordedKind::Unrecorded,
    };
    Ok((first_column(row)?, kind))
}

fn first_column(row: &QueryResult) -> Result<String, DbErr> {
    row.try_get_by_index(0)
}
