//! Migrations: the history of the database schema, one folder for each step. A step is not edited once it is merged.
//!
//! A step is SQL, because what matters here (collation, row keys, full-text indexes) differs between the two databases.
//! If the same SQL serves both, there is one file.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// One step of the history: its name, which also orders it, and its SQL for each database.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const HISTORY: &[Step] = &[
    Step {
        name: "m20261122_000001_directory",
        sqlite: include_str!("m20261122_000001_directory/sqlite.sql"),
        postgres: include_str!("m20261122_000001_directory/postgres.sql"),
    },
    Step {
        name: "m20261122_000002_key",
        sqlite: include_str!("m20261122_000002_key/sqlite.sql"),
        postgres: include_str!("m20261122_000002_key/postgres.sql"),
    },
    Step {
        name: "m20261122_000003_accounts",
        sqlite: include_str!("m20261122_000003_accounts/sqlite.sql"),
        postgres: include_str!("m20261122_000003_accounts/postgres.sql"),
    },
    Step {
        name: "m20261122_000004_links",
        sqlite: include_str!("m20261122_000004_links/sqlite.sql"),
        postgres: include_str!("m20261122_000004_links/postgres.sql"),
    },
    Step {
        name: "m20261122_000005_trail",
        sqlite: include_str!("m20261122_000005_trail/sqlite.sql"),
        postgres: include_str!("m20261122_000005_trail/postgres.sql"),
    },
    Step {
        name: "m20261122_000006_orders",
        sqlite: include_str!("m20261122_000006_orders/sqlite.sql"),
        postgres: include_str!("m20261122_000006_orders/postgres.sql"),
    },
    Step {
        name: "m20261122_000007_attributes",
        sqlite: include_str!("m20261122_000007_attributes/sqlite.sql"),
        postgres: include_str!("m20261122_000007_attributes/postgres.sql"),
    },
    Step {
        name: "m20261122_000008_sites",
        sqlite: include_str!("m20261122_000008_sites/sqlite.sql"),
        postgres: include_str!("m20261122_000008_sites/postgres.sql"),
    },
    Step {
        name: "m20261122_000009_avatars",
        sqlite: include_str!("m20261122_000009_avatars/sqlite.sql"),
        postgres: include_str!("m20261122_000009_avatars/postgres.sql"),
    },
    Step {
        name: "m20261122_000010_mail",
        sqlite: include_str!("m20261122_000010_mail/sqlite.sql"),
        postgres: include_str!("m20261122_000010_mail/postgres.sql"),
    },
    Step {
        name: "m20261122_000011_search",
        sqlite: include_str!("m20261122_000011_search/sqlite.sql"),
        postgres: include_str!("m20261122_000011_search/postgres.sql"),
    },
    Step {
        name: "m20261129_000013_logins",
        sqlite: include_str!("m20261129_000013_logins/sqlite.sql"),
        postgres: include_str!("m20261129_000013_logins/postgres.sql"),
    },
    Step {
        name: "m20261129_000014_folding",
        sqlite: include_str!("m20261129_000014_folding/both.sql"),
        postgres: include_str!("m20261129_000014_folding/both.sql"),
    },
    Step {
        name: "m20261130_000015_inbox",
        sqlite: include_str!("m20261130_000015_inbox/sqlite.sql"),
        postgres: include_str!("m20261130_000015_inbox/postgres.sql"),
    },
    Step {
        name: "m20261130_000016_search_in_memory",
        sqlite: include_str!("m20261130_000016_search_in_memory/both.sql"),
        postgres: include_str!("m20261130_000016_search_in_memory/both.sql"),
    },
    Step {
        name: "m20261130_000020_documents",
        sqlite: include_str!("m20261130_000020_documents/sqlite.sql"),
        postgres: include_str!("m20261130_000020_documents/postgres.sql"),
    },
    Step {
        name: "m20261130_000021_erased_references",
        sqlite: include_str!("m20261130_000021_erased_references/sqlite.sql"),
        postgres: include_str!("m20261130_000021_erased_references/postgres.sql"),
    },
    Step {
        name: "m20261130_000022_totals",
        sqlite: include_str!("m20261130_000022_totals/sqlite.sql"),
        postgres: include_str!("m20261130_000022_totals/postgres.sql"),
    },
    Step {
        name: "m20261130_000023_external_references",
        sqlite: include_str!("m20261130_000023_external_references/sqlite.sql"),
        postgres: include_str!("m20261130_000023_external_references/postgres.sql"),
    },
    Step {
        name: "m20261130_000024_server_keys",
        sqlite: include_str!("m20261130_000024_server_keys/sqlite.sql"),
        postgres: include_str!("m20261130_000024_server_keys/postgres.sql"),
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
        manager.get_connection().execute_unprepared(sql).await?;
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
