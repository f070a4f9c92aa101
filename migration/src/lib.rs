//! Migrations: the history of the database schema, one folder for each step. A step is not edited once it is merged, and the register
//! `migration/history.txt` holds what it is.
//!
//! A step is SQL, because what matters here (collation, row keys, full-text indexes) differs between the two databases.
//! If the same SQL serves both, there is one file.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// Whether servers that do not know a step keep working after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationKind {
    /// The step only adds: servers that do not know it keep working, beside those that do.
    Expand,
    /// The step takes away or changes what servers relied on.
    Contract {
        /// The name of the step that servers must know to keep working: this one, or the earlier one since which no server relies on
        /// what is taken away.
        needs: &'static str,
    },
}

impl MigrationKind {
    /// Returns the name of the kind, as it is recorded in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expand => "EXPAND",
            Self::Contract { .. } => "CONTRACT",
        }
    }

    /// Returns the name of the step that servers must know to keep working. `None` if all of them do.
    #[must_use]
    pub const fn needs(self) -> Option<&'static str> {
        match self {
            Self::Expand => None,
            Self::Contract { needs } => Some(needs),
        }
    }
}

/// One step of the history.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The name, which also orders the steps.
    pub name: &'static str,
    /// Whether servers that do not know the step keep working.
    pub kind: MigrationKind,
    /// The SQL for SQLite.
    pub sqlite: &'static str,
    /// The SQL for PostgreSQL.
    pub postgres: &'static str,
}

/// The first step whose kind is recorded in the database: it creates the table.
pub const FIRST_RECORDED: &str = "m20261130_000025_migration_kinds";

impl Step {
    /// Returns the SQL that records the kind of the step, for servers that do not know it.
    fn record(&self) -> String {
        let needs = self.kind.needs().map_or("NULL".to_owned(), |needs| format!("'{needs}'"));
        let values = format!("'{}', '{}', {needs}", self.name, self.kind.name());
        format!("INSERT INTO migration_kinds (version, kind, needs) VALUES ({values})")
    }
}

/// All steps, in their order.
pub const HISTORY: &[Step] = &[
    Step {
        name: "m20261122_000001_directory",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000001_directory/sqlite.sql"),
        postgres: include_str!("m20261122_000001_directory/postgres.sql"),
    },
    Step {
        name: "m20261122_000002_key",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000002_key/sqlite.sql"),
        postgres: include_str!("m20261122_000002_key/postgres.sql"),
    },
    Step {
        name: "m20261122_000003_accounts",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000003_accounts/sqlite.sql"),
        postgres: include_str!("m20261122_000003_accounts/postgres.sql"),
    },
    Step {
        name: "m20261122_000004_links",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000004_links/sqlite.sql"),
        postgres: include_str!("m20261122_000004_links/postgres.sql"),
    },
    Step {
        name: "m20261122_000005_trail",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000005_trail/sqlite.sql"),
        postgres: include_str!("m20261122_000005_trail/postgres.sql"),
    },
    Step {
        name: "m20261122_000006_orders",
        kind: MigrationKind::Contract { needs: "m20261122_000006_orders" },
        sqlite: include_str!("m20261122_000006_orders/sqlite.sql"),
        postgres: include_str!("m20261122_000006_orders/postgres.sql"),
    },
    Step {
        name: "m20261122_000007_attributes",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000007_attributes/sqlite.sql"),
        postgres: include_str!("m20261122_000007_attributes/postgres.sql"),
    },
    Step {
        name: "m20261122_000008_sites",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000008_sites/sqlite.sql"),
        postgres: include_str!("m20261122_000008_sites/postgres.sql"),
    },
    Step {
        name: "m20261122_000009_avatars",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000009_avatars/sqlite.sql"),
        postgres: include_str!("m20261122_000009_avatars/postgres.sql"),
    },
    Step {
        name: "m20261122_000010_mail",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261122_000010_mail/sqlite.sql"),
        postgres: include_str!("m20261122_000010_mail/postgres.sql"),
    },
    Step {
        name: "m20261122_000011_search",
        kind: MigrationKind::Contract { needs: "m20261122_000011_search" },
        sqlite: include_str!("m20261122_000011_search/sqlite.sql"),
        postgres: include_str!("m20261122_000011_search/postgres.sql"),
    },
    Step {
        name: "m20261129_000013_logins",
        kind: MigrationKind::Contract { needs: "m20261129_000013_logins" },
        sqlite: include_str!("m20261129_000013_logins/sqlite.sql"),
        postgres: include_str!("m20261129_000013_logins/postgres.sql"),
    },
    Step {
        name: "m20261129_000014_folding",
        kind: MigrationKind::Contract { needs: "m20261129_000014_folding" },
        sqlite: include_str!("m20261129_000014_folding/both.sql"),
        postgres: include_str!("m20261129_000014_folding/both.sql"),
    },
    Step {
        name: "m20261130_000015_inbox",
        kind: MigrationKind::Contract { needs: "m20261130_000015_inbox" },
        sqlite: include_str!("m20261130_000015_inbox/sqlite.sql"),
        postgres: include_str!("m20261130_000015_inbox/postgres.sql"),
    },
    Step {
        name: "m20261130_000016_search_in_memory",
        kind: MigrationKind::Contract { needs: "m20261130_000016_search_in_memory" },
        sqlite: include_str!("m20261130_000016_search_in_memory/both.sql"),
        postgres: include_str!("m20261130_000016_search_in_memory/both.sql"),
    },
    Step {
        name: "m20261130_000020_documents",
        kind: MigrationKind::Contract { needs: "m20261130_000020_documents" },
        sqlite: include_str!("m20261130_000020_documents/sqlite.sql"),
        postgres: include_str!("m20261130_000020_documents/postgres.sql"),
    },
    Step {
        name: "m20261130_000021_erased_references",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261130_000021_erased_references/sqlite.sql"),
        postgres: include_str!("m20261130_000021_erased_references/postgres.sql"),
    },
    Step {
        name: "m20261130_000022_totals",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261130_000022_totals/sqlite.sql"),
        postgres: include_str!("m20261130_000022_totals/postgres.sql"),
    },
    Step {
        name: "m20261130_000023_external_references",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261130_000023_external_references/sqlite.sql"),
        postgres: include_str!("m20261130_000023_external_references/postgres.sql"),
    },
    Step {
        name: "m20261130_000024_server_keys",
        kind: MigrationKind::Contract { needs: "m20261130_000024_server_keys" },
        sqlite: include_str!("m20261130_000024_server_keys/sqlite.sql"),
        postgres: include_str!("m20261130_000024_server_keys/postgres.sql"),
    },
    Step {
        name: FIRST_RECORDED,
        // Servers from before it accept no database that is newer than they are.
        kind: MigrationKind::Contract { needs: FIRST_RECORDED },
        sqlite: include_str!("m20261130_000025_migration_kinds/sqlite.sql"),
        postgres: include_str!("m20261130_000025_migration_kinds/postgres.sql"),
    },
    Step {
        name: "m20261130_000026_logins_first",
        kind: MigrationKind::Expand,
        sqlite: include_str!("m20261130_000026_logins_first/sqlite.sql"),
        postgres: include_str!("m20261130_000026_logins_first/postgres.sql"),
    },
];

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = match manager.get_database_backend() {
            sea_orm::DatabaseBackend::Sqlite => self.sqlite,
            _ => self.postgres,
        };
        let connection = manager.get_connection();
        connection.execute_unprepared(sql).await?;
        if self.name >= FIRST_RECORDED {
            connection.execute_unprepared(&self.record()).await?;
        }
        Ok(())
    }
}

/// Returns whether the history has a step of this name.
#[must_use]
pub fn is_known(name: &str) -> bool {
    HISTORY.iter().any(|step| step.name == name)
}

/// Migrates a database to the newest step. It takes no lock of its own: the caller must hold one.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        HISTORY.iter().map(|step| Box::new(*step) as Box<dyn MigrationTrait>).collect()
    }
}
