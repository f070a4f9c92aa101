//! Opens the database and brings its tables up to date, with whatever is derived in them.

use std::fs::File;
use std::path::Path;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};

use crate::db::{DatabaseSettings, Db, file_of};
use crate::error::Error;
use crate::{login, private_file, search_index};

impl Db {
    /// Connects and brings the tables up to date; a directory for the file of SQLite is made if there is none.
    ///
    /// # Errors
    /// `Unavailable` where the database cannot be reached; whatever the database says.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, Error> {
        // Several processes that make one file at once would trip over each other before they could take turns.
        let file = file_of(&settings.url);
        let turn = file.as_deref().map(take_turn).transpose().map_err(Error::internal)?;
        let db = Self::connect(settings).await?;
        // What is no database stays as it is.
        if let Some(file) = &file {
            narrow(file);
        }
        db.migrate().await?;
        drop(turn);
        Ok(db)
    }

    /// Brings the tables to the newest step of their history, and what is derived in them up to date. Of several processes
    /// that start at once, one does it and the others wait.
    #[expect(clippy::disallowed_methods, reason = "the tables are nobody's data")]
    pub async fn migrate(&self) -> Result<(), Error> {
        let transaction = self.begin().await?;
        if transaction.get_database_backend() == DatabaseBackend::Postgres {
            transaction
                .execute_unprepared("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(7305804402)")
                .await?;
        }
        let is_behind = !Migrator::get_pending_migrations(&transaction).await?.is_empty();
        Migrator::up(&transaction, None).await.map_err(map_migration_error)?;
        if is_behind {
            search_index::rebuild(&transaction).await?;
        }
        let duplicates = if is_behind { login::duplicates(&transaction).await? } else { login::Duplicates::default() };
        transaction.commit().await?;
        if duplicates.count > 0 {
            tracing::warn!("{} logins identify two users each; change one login of each pair", duplicates.count);
            duplicates.lines().for_each(|line| tracing::warn!("{line}"));
        }
        Ok(())
    }

    /// How many steps of the history are still to be done.
    pub async fn pending_migrations(&self) -> Result<usize, Error> {
        Ok(Migrator::get_pending_migrations_read_only(&self.moments).await?.len())
    }
}

/// How many steps the history of the tables has.
#[must_use]
pub fn migrations() -> usize {
    Migrator::migrations().len()
}

/// Says what is to be done about an error of a migration, where that is known.
fn map_migration_error(error: DbErr) -> Error {
    let text = error.to_string();
    let hint = if text.contains("already exists") {
        "another program uses this database; give Roster a database or a schema of its own"
    } else if text.contains("gin_trgm_ops") {
        "the extension pg_trgm is in a schema outside search_path; move it (ALTER EXTENSION pg_trgm SET SCHEMA ...) or add its schema"
    } else {
        return error.into();
    };
    Error::internal(format!("{text}: {hint}"))
}

/// Keeps others from a database file that is there already, and from those beside it.
fn narrow(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut file = database.as_os_str().to_owned();
        file.push(suffix);
        private_file::narrow(Path::new(&file));
    }
}

/// Waits for the lock beside a database file; it is held until the returned file is dropped.
fn take_turn(database: &Path) -> std::io::Result<File> {
    if let Some(dir) = database.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        private_file::make_dir(dir)?;
    }
    let lock = private_file::open_or_make(&database.with_extension("lock"))?;
    lock.lock()?;
    Ok(lock)
}
