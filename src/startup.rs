//! Opens the database and applies pending migrations, with the data that is derived in the tables.

mod lock_conflict;
mod obstacle;
mod rebuild;
mod schema_state;

use std::fs::File;
use std::path::{Path, PathBuf};

use backon::Retryable;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseBackend};
use tokio::sync::oneshot;

use self::lock_conflict::is_lock_conflict;
pub use self::schema_state::{
    AppliedMigration, RecordedKind, SchemaState, SchemaStatus, applied_migrations, last_known,
};
use crate::db::{DatabaseSettings, Db, Transaction, file_of};
use crate::error::Error;
use crate::{login, private_file};

/// Waits for the turn of a process that migrates, for as long as it takes.
const TAKE_TURN: &str =
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7305804402)";

impl Db {
    /// Connects and applies pending migrations. Creates the directory of a SQLite file if it does not exist.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, Error> {
        // Several processes that create one file at once would fail before they could wait for each other's transactions.
        let file = file_of(&settings.url);
        let lock = match file.clone() {
            Some(file) => Some(lock_beside(file).await.map_err(Error::internal)?),
            None => None,
        };
        let db = Self::connect(settings).await?;
        // Only after connecting: a file that is not a database stays unchanged.
        if let Some(file) = &file {
            restrict(file);
        }
        db.migrate().await?;
        drop(lock);
        Ok(db)
    }

    /// Applies pending migrations and updates derived data. Of several processes that start at once, one does it while the others
    /// wait. A database that a newer program has migrated stays as it is. On PostgreSQL, it is retried if other transactions hold
    /// locks that it needs.
    ///
    /// # Errors
    /// `Internal` if this program cannot work after a migration of a newer one, or if others hold the locks for minutes.
    pub async fn migrate(&self) -> Result<(), Error> {
        let migrate = || self.try_to_migrate();
        let migrated = migrate.retry(lock_conflict::BACKOFF).when(is_lock_conflict).notify(lock_conflict::log).await;
        migrated.map_err(lock_conflict::explain)
    }

    #[expect(clippy::disallowed_methods, reason = "migrations are not part of the audit trail")]
    async fn try_to_migrate(&self) -> Result<(), Error> {
        let transaction = self.begin().await?;
        let (state, duplicates) = match apply_pending(&transaction).await {
            Ok(outcome) => outcome,
            Err(error) => {
                // At once: by dropping it, the locks would be held for longer. The error of the migration is the one that counts.
                let _ = transaction.rollback().await;
                return Err(error);
            }
        };
        transaction.commit().await?;
        if let Some(newest) = state.newer.last() {
            tracing::info!(
                migration = newest.name,
                "a newer version has migrated the database; this version works with it"
            );
        }
        if duplicates.count > 0 {
            tracing::warn!("{} logins identify two users each; change one login of each pair", duplicates.count);
            duplicates.lines().for_each(|line| tracing::warn!("{line}"));
        }
        Ok(())
    }

    /// Returns the number of pending migrations.
    ///
    /// # Errors
    /// `Internal` if this program cannot work after a migration of a newer one.
    pub async fn pending_migrations(&self) -> Result<usize, Error> {
        let state = SchemaState::read(&self.snapshot().await?).await?;
        state.check().map(|()| state.pending.len())
    }

    /// Returns the migrations of the database, compared with those of this program. Changes nothing: whether they can be applied to
    /// a new database is tried in a transaction that is rolled back.
    #[expect(clippy::disallowed_methods, reason = "nothing is committed")]
    pub async fn schema_state(&self) -> Result<SchemaState, Error> {
        let state = SchemaState::read(&self.snapshot().await?).await?;
        if state.last_applied.is_some() {
            return Ok(state);
        }
        let transaction = self.begin().await?;
        let tried = apply_pending(&transaction).await;
        transaction.rollback().await?;
        match tried {
            Ok((state, _)) => Ok(state),
            Err(Error::Internal(cause)) => Ok(SchemaState { obstacle: Some(cause.to_string()), ..state }),
            Err(error) => Err(error),
        }
    }
}

/// Applies pending migrations and updates derived data, once it is this transaction's turn. Returns the former state, and if any
/// migration was pending, the logins that are duplicates.
async fn apply_pending(transaction: &Transaction) -> Result<(SchemaState, login::Duplicates), Error> {
    let is_postgres = transaction.get_database_backend() == DatabaseBackend::Postgres;
    if is_postgres {
        transaction.execute_unprepared(TAKE_TURN).await?;
    }
    let state = SchemaState::read(transaction).await?;
    state.check()?;
    if state.pending.is_empty() {
        return Ok((state, login::Duplicates::default()));
    }
    if is_postgres {
        transaction.execute_unprepared(lock_conflict::LIMIT_WAITS).await?;
    }
    Migrator::up(transaction, None).await.map_err(obstacle::explain)?;
    if is_postgres {
        transaction.execute_unprepared(lock_conflict::ALLOW_WAITS).await?;
    }
    rebuild::rebuild(transaction).await?;
    Ok((state, login::find_duplicates(transaction).await?))
}

/// Returns the number of all migrations.
#[must_use]
pub fn migrations() -> usize {
    migration::HISTORY.len()
}

/// Removes the access of other users to an existing database file and the files beside it.
fn restrict(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut file = database.as_os_str().to_owned();
        file.push(suffix);
        private_file::restrict(Path::new(&file));
    }
}

/// Waits for the lock file beside a database file, and creates the directory if needed. The lock is held until the returned file
/// is dropped.
pub(crate) async fn lock_beside(database: PathBuf) -> std::io::Result<File> {
    let lock = move || -> std::io::Result<File> {
        if let Some(dir) = database.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            private_file::make_dir(dir)?;
        }
        let lock = private_file::open_or_make(&database.with_extension("lock"))?;
        lock.lock()?;
        Ok(lock)
    };
    // A blocking task of tokio would keep the process from ending while it waits.
    let (send, locked) = oneshot::channel();
    std::thread::Builder::new().name("startup".to_owned()).spawn(move || send.send(lock()))?;
    locked.await.map_err(std::io::Error::other)?
}
