//! The database: SQLite in a file or PostgreSQL, behind the same few calls.

mod reader;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    IsolationLevel, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

pub use self::reader::Reader;
use crate::error::Error;
use crate::{private_file, word_index};

/// How long a statement waits for a connection. Longer than that, the caller is better served by an error.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many rows of an answer SQLite may be ahead of whoever reads them: it works on a thread of its own, which is to sleep
/// as seldom as may be.
const ROWS_AHEAD: usize = 1_024;

/// Which database, and how many connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:///path/to/file` or `postgres://...`.
    pub url: String,
    /// Connections for reading; on PostgreSQL there are as many for writing.
    pub connections: u32,
}

/// A handle to the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    reader: Reader,
    /// For what reads in several statements at one moment.
    moments: DatabaseConnection,
    writer: DatabaseConnection,
    meter: Meter,
}

/// Counts statements and traces them.
#[derive(Clone, Debug, Default)]
struct Meter(Arc<AtomicU64>);

impl Meter {
    fn note(&self, elapsed: Duration, sql: &str) {
        self.0.fetch_add(1, Ordering::Relaxed);
        // The text has places for the values, never the values.
        tracing::trace!(target: "roster::sql", ?elapsed, sql);
    }

    /// The text of a statement that is about to be given away, where it is traced; else nothing.
    fn text(statement: &Statement) -> String {
        if tracing::enabled!(target: "roster::sql", tracing::Level::TRACE) {
            statement.sql.clone()
        } else {
            String::new()
        }
    }
}

impl Db {
    /// Connects, and on SQLite makes the file if there is none.
    ///
    /// # Errors
    /// `Unavailable` where the database cannot be reached.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let meter = Meter::default();
        let (reader, mut moments, mut writer) = if is_postgres(&settings.url) {
            let pool = Database::connect(postgres(settings)).await?;
            let options = PgConnectOptions::from_str(&settings.url).map_err(Error::internal)?;
            let reader = Reader::postgres(tuned(options), settings.connections, meter.clone());
            (reader, pool.clone(), pool)
        } else {
            if let Some(file) = missing_file(&settings.url) {
                make_file(&file).map_err(Error::internal)?;
            }
            let writer = Database::connect(sqlite(&settings.url, 1, false)).await?;
            let options = SqliteConnectOptions::from_str(&settings.url).map_err(Error::internal)?;
            let reader = Reader::sqlite(opened(options, true), settings.connections, meter.clone());
            let mut moments = sqlite(&settings.url, 1, true);
            (reader, Database::connect(moments.connect_lazy(true).clone()).await?, writer)
        };
        for pool in [&mut moments, &mut writer] {
            let meter = meter.clone();
            pool.set_metric_callback(move |done| meter.note(done.elapsed, &done.statement.sql));
        }
        Ok(Self { reader, moments, writer, meter })
    }

    /// Connects and brings the tables up to date; a directory for the file of SQLite is made if there is none.
    ///
    /// # Errors
    /// `Unavailable` where the database cannot be reached; whatever the database says.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        // Several processes that make one file at once would trip over each other before they could take turns.
        let turn = match file_of(&settings.url) {
            Some(file) => {
                let turn = take_turn(&file).map_err(Error::internal)?;
                narrow(&file);
                Some(turn)
            }
            None => None,
        };
        let db = Self::connect(settings).await?;
        db.migrate().await?;
        drop(turn);
        Ok(db)
    }

    /// Brings the tables to the newest step of their history, and what is derived in them up to date. Of several processes
    /// that start at once, one does it and the others wait.
    ///
    /// # Errors
    /// Whatever the database says.
    #[expect(clippy::disallowed_methods, reason = "the tables are nobody's data")]
    pub async fn migrate(&self) -> Result<(), Error> {
        let transaction = self.begin().await?;
        if transaction.get_database_backend() == DatabaseBackend::Postgres {
            transaction
                .execute_unprepared("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(7305804402)")
                .await?;
        }
        let is_behind = !Migrator::get_pending_migrations(&transaction).await?.is_empty();
        Migrator::up(&transaction, None).await?;
        if is_behind {
            word_index::derive_anew(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// How many steps of the history are still to be done.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn pending_migrations(&self) -> Result<usize, Error> {
        Ok(Migrator::get_pending_migrations_read_only(&self.moments).await?.len())
    }

    /// A connection to read from.
    #[must_use]
    pub fn read(&self) -> &Reader {
        &self.reader
    }

    /// A connection to write single statements with; several belong in a transaction.
    #[must_use]
    pub fn write(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once, so that it never fails half-way.
    ///
    /// # Errors
    /// `Unavailable` where no connection comes free in time.
    pub async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.writer.begin_with_options(options).await?)
    }

    /// Begins a transaction that only reads, and all of it as it is at one moment. It keeps nobody from writing.
    ///
    /// # Errors
    /// `Unavailable` where no connection comes free in time.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction, Error> {
        let options = if self.is_postgres() {
            TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            }
        } else {
            TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
                ..TransactionOptions::default()
            }
        };
        Ok(self.moments.begin_with_options(options).await?)
    }

    /// Tells the planner how much there is of what, after much of it was written at once.
    ///
    /// # Errors
    /// Whatever the database says.
    #[expect(clippy::disallowed_methods, reason = "what the planner knows is nobody's data")]
    pub async fn survey(&self) -> Result<(), Error> {
        if !self.is_postgres() {
            self.writer.execute_unprepared("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").await?;
            return Ok(());
        }
        let transaction = self.begin().await?;
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        transaction.execute_unprepared("ANALYZE").await?;
        Ok(transaction.commit().await?)
    }

    /// How many statements were sent since the start.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.meter.0.load(Ordering::Relaxed)
    }

    /// Whether this is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.reader.get_database_backend() == DatabaseBackend::Postgres
    }

    /// Ends every connection; on SQLite the write-ahead log is folded into the file.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn close(self) -> Result<(), Error> {
        self.reader.close().await;
        self.moments.close().await?;
        Ok(self.writer.close().await?)
    }
}

/// Whether a URL names a PostgreSQL database.
#[must_use]
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}

/// Whether a URL names a database that can be served: the two pools of one in memory would be two databases.
#[must_use]
pub fn is_usable(url: &str) -> bool {
    if is_postgres(url) { PgConnectOptions::from_str(url).is_ok() } else { file_of(url).is_some() }
}

/// The URL of a SQLite file.
#[must_use]
pub fn url_of(file: &Path) -> String {
    // Not from the working folder: the first part of that way would be read as the name of a host.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!("sqlite://{}", file.display().to_string().replace('%', "%25").replace('?', "%3F"))
}

/// The file of a SQLite database that is still to be made.
#[must_use]
pub fn missing_file(url: &str) -> Option<PathBuf> {
    file_of(url).filter(|file| !file.exists())
}

/// How many steps the history of the tables has.
#[must_use]
pub fn migrations() -> usize {
    Migrator::migrations().len()
}

/// The file of a SQLite database; none for one in memory and for PostgreSQL.
#[must_use]
pub fn file_of(url: &str) -> Option<PathBuf> {
    let in_memory = |url: &str| url.contains(":memory:") || url.contains("mode=memory");
    let url = Some(url).filter(|url| url.starts_with("sqlite:") && !in_memory(url))?;
    let file = SqliteConnectOptions::from_str(url).ok()?.get_filename().to_owned();
    (!file.as_os_str().is_empty()).then_some(file)
}

/// Makes the file of a SQLite database. SQLite would make it by the umask; those beside it get the mode that it has.
fn make_file(database: &Path) -> std::io::Result<()> {
    match private_file::make(database) {
        // Another process has been quicker.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
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

fn postgres(settings: &Settings) -> ConnectOptions {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(settings.connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(tuned);
    options
}

fn tuned(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("roster").options([
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("timezone", "UTC"),
        // What is asked for often is in memory, where one page is as near as the next.
        ("random_page_cost", "1.1"),
    ])
}

fn sqlite(url: &str, connections: u32, query_only: bool) -> ConnectOptions {
    let mut options = ConnectOptions::new(url.to_owned());
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| opened(options, query_only));
    options
}

fn opened(options: SqliteConnectOptions, query_only: bool) -> SqliteConnectOptions {
    let options = options
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(5))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .auto_vacuum(SqliteAutoVacuum::None)
        .foreign_keys(true)
        .row_buffer_size(ROWS_AHEAD)
        .pragma("cache_size", "-4096")
        .pragma("journal_size_limit", "67108864")
        .pragma("temp_store", "MEMORY")
        .optimize_on_close(!query_only, None);
    // What is erased is overwritten, not only forgotten.
    if query_only { options.pragma("query_only", "ON") } else { options.pragma("secure_delete", "ON") }
}
