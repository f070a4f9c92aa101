//! The database: SQLite in a file or PostgreSQL, behind one interface.

pub mod batch;
mod bulk;
mod changed;
pub mod conditions;
mod counter;
mod hosts;
mod joined;
mod json;
mod offline;
mod pool;
mod pool_status;
mod postgres;
mod primary;
mod reader;
pub mod rows;
mod settings;
mod snapshot;
mod sqlite;
mod standby;
mod target;
mod transaction;
mod url;
mod writer;

use std::str::FromStr;
use std::sync::Arc;

use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

pub use self::changed::{ChangedRows, PendingRows};
use self::counter::StatementCounter;
pub use self::hosts::{has_pooler, urls_of_hosts};
pub use self::joined::joined;
pub use self::json::json_of;
pub use self::offline::Offline;
pub use self::pool_status::PoolStatus;
pub use self::postgres::is_unreachable;
pub use self::reader::{Reader, StandbyMetrics};
pub use self::settings::{DatabaseSettings, DatabaseTimeouts};
pub use self::sqlite::copy_sqlite;
use self::sqlite::{CommitGroups, WriteAheadLog};
use self::standby::StandbyUse;
pub use self::standby::check_read_url;
use self::transaction::SeenGroup;
pub use self::transaction::Transaction;
pub use self::url::{check_url, file_of, is_postgres, missing_file, url_of, without_password};
pub use self::writer::Writer;
use self::writer::{SingleStatements, WriteConnections};
use crate::background;
use crate::budget::Budget;
use crate::error::Error;
use crate::share::Requester;

/// A handle to the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    reader: Reader,
    standby: StandbyUse,
    writer: Writer,
    shared: Arc<Shared>,
}

/// What all handles to a database share.
#[derive(Debug)]
struct Shared {
    /// The ordinary connections for reading, not limited by a request.
    front: Reader,
    /// Connections for reading that long-running requests use, only in the [`background`].
    background: Reader,
    /// Connections for transactions that read several statements from one snapshot.
    snapshots: DatabaseConnection,
    meter: StatementCounter,
    sealing_turn: Arc<Mutex<()>>,
    /// The threads of the ordinary priority.
    runtime: Handle,
}

impl Db {
    /// Connects to the database. On SQLite, creates the file if it does not exist.
    ///
    /// # Errors
    /// `Unavailable` with the reason if the database cannot be reached; `Internal` if its encoding is not UTF-8.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, Error> {
        let (meter, timeouts) = (StatementCounter::default(), settings.timeouts);
        let (mut primary, mut transaction_settings, mut standby) = (None, None, StandbyUse::default());
        let mut single = None;
        let (reader, background, mut snapshots, mut writer) = if is_postgres(&settings.url) {
            let connected = postgres::connect(settings, &meter).await?;
            (primary, transaction_settings) = (connected.primary, connected.transaction_settings);
            single = connected.single.map(|connections| SingleStatements { connections, meter: meter.clone() });
            standby = StandbyUse::start(settings)?;
            (connected.reader, connected.background, connected.pool.clone(), connected.pool)
        } else {
            if let Some(file) = missing_file(&settings.url) {
                sqlite::make_file(&file).map_err(Error::internal)?;
            }
            let writer = Database::connect(sqlite::pool(settings, 1, false)).await?;
            let options = SqliteConnectOptions::from_str(&settings.url).map_err(Error::internal)?;
            let options = sqlite::opened(options, true);
            let reader = Reader::sqlite(options.clone(), settings.connections, timeouts, meter.clone());
            // Each thread of the background keeps one processor busy.
            let threads = u32::try_from(background::threads()).unwrap_or(1);
            let background = Reader::sqlite(options, threads, timeouts, meter.clone());
            let mut snapshots = sqlite::pool(settings, 1, true);
            (reader, background, Database::connect(snapshots.connect_lazy(true).clone()).await?, writer)
        };
        for pool in [&mut snapshots, &mut writer] {
            let meter = meter.clone();
            pool.set_metric_callback(move |done| meter.note(done.elapsed, &done.statement.sql));
        }
        let readers = [&reader, &background].map(Clone::clone);
        let log = file_of(&settings.url).map(|file| Arc::new(WriteAheadLog::of(&file, readers)));
        let writer = WriteConnections::new(writer, log, settings);
        let writer = WriteConnections { single, primary, transaction_settings, ..writer };
        let (front, sealing_turn, runtime) = (reader.clone(), Arc::default(), Handle::current());
        let shared = Shared { front, background, snapshots, meter, sealing_turn, runtime };
        Ok(Self { reader, standby, writer: Writer::new(writer), shared: Arc::new(shared) })
    }

    /// Returns a handle for one request, limited by the budget of the request and by the share of connections of its caller.
    #[must_use]
    pub fn within(&self, budget: Budget, who: Requester) -> Self {
        let seen = self.writer.connections.groups.as_ref().map(CommitGroups::nothing_seen);
        self.with(self.reader.within(budget, who, seen.clone()), seen)
    }

    /// Returns a handle for one piece of work outside of a request, such as sending an email, that must not act on what is not
    /// committed: it can [`settle`](Self::settle), as that of a request can.
    #[must_use]
    pub fn for_work(&self) -> Self {
        let seen = self.writer.connections.groups.as_ref().map(CommitGroups::nothing_seen);
        self.with(self.reader.after(seen.clone()), seen)
    }

    /// Returns a handle with other connections for reading, and what it has seen of SQLite's commit groups.
    fn with(&self, reader: Reader, seen: Option<SeenGroup>) -> Self {
        Self {
            reader,
            standby: self.standby.clone(),
            writer: self.writer.seeing(seen),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until everything that transactions of this handle of a request, or other work, have seen is committed. On SQLite, one
    /// that was not committed itself may have seen changes of others that are about to be.
    ///
    /// # Errors
    /// `Unavailable` if those changes were lost.
    pub async fn settle(&self) -> Result<(), Error> {
        let Some(seen) = &self.writer.seen else { return Ok(()) };
        Ok(seen.settle().await?)
    }

    /// Returns a handle for a long-running request in the [`background`], which takes no connections from other requests.
    #[must_use]
    pub fn in_background(&self) -> Self {
        let (reader, writer, shared) = (self.shared.background.clone(), self.writer.clone(), Arc::clone(&self.shared));
        Self { reader, standby: self.standby.in_background(), writer, shared }
    }

    /// Returns a handle without the limits of a request, for work that others wait for as well, and the runtime of the ordinary
    /// priority to run it in.
    #[must_use]
    pub fn unlimited(&self) -> (Self, &Handle) {
        let (reader, writer) = (self.shared.front.clone(), self.writer.seeing(None));
        let (standby, shared) = (self.standby.unused(), Arc::clone(&self.shared));
        (Self { reader, standby, writer, shared }, &self.shared.runtime)
    }

    /// Returns a handle without the limits of a request, whose reading statements are neither counted nor traced. For what runs all
    /// the time, and for no request.
    #[must_use]
    pub fn silent(&self) -> Self {
        let (unlimited, _) = self.unlimited();
        Self { reader: unlimited.reader.silent(), ..unlimited }
    }

    /// Returns the connections for writing single statements; several statements belong in a transaction.
    #[must_use]
    pub fn write(&self) -> &Writer {
        &self.writer
    }

    /// Begins a transaction that may write. On SQLite it waits for its turn; those that wait share a commit.
    ///
    /// # Errors
    /// `Unavailable` if no connection becomes available in time.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        Ok(self.writer.begin().await?)
    }

    /// Returns a receiver that is woken by every commit of a [`Transaction`] in this process, and by every statement of
    /// [`Writer::execute_once`] that wrote rows; its value is their number, on SQLite that of the commits that transactions and single
    /// statements share. It is for what follows the changes, such as a feed of them or the sealing of the audit trail.
    ///
    /// It cannot miss a commit: [`changed`](watch::Receiver::changed) returns at once if there was one since the receiver was
    /// made or last marked its value as seen. So mark the value first
    /// ([`borrow_and_update`](watch::Receiver::borrow_and_update)), then read the database, then wait. Commits of other
    /// processes do not wake it.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.writer.connections.commits.subscribe()
    }

    /// Returns the rows whose changes this process commits from now on, as the events of the commits name them. A change is recorded
    /// before whoever committed it is told.
    #[must_use]
    pub fn changed_rows(&self) -> PendingRows {
        self.writer.connections.changed.listen()
    }

    /// Removes erased data from the write-ahead log of SQLite; at the next write if the log is still being read.
    pub async fn checkpoint(&self) -> Result<(), Error> {
        let (Some(log), Some(groups)) = (&self.writer.connections.log, &self.writer.connections.groups) else {
            return Ok(());
        };
        log.empty_soon();
        // A long log is emptied before anyone gets the connection.
        drop(groups.alone().await?);
        if !log.is_empty() {
            log.empty_soon();
        }
        Ok(())
    }

    /// Returns whether the database accepts writes: not a standby of PostgreSQL, nor a SQLite file on a read-only file system.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub async fn is_writable(&self) -> Result<bool, Error> {
        let Some(log) = &self.writer.connections.log else {
            let shown = "SELECT current_setting('transaction_read_only')";
            let row = self.writer.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, shown)).await?;
            let is_read_only: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?;
            return Ok(is_read_only.as_deref() == Some("off"));
        };
        log.is_writable().map_err(Error::internal)
    }

    /// Updates the planner's statistics of our tables. Necessary after many rows were written at once.
    #[expect(clippy::disallowed_methods, reason = "what the planner knows is nobody's data")]
    pub async fn analyze(&self) -> Result<(), Error> {
        if !self.is_postgres() {
            self.writer.execute_unprepared("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").await?;
            return Ok(());
        }
        let transaction = self.begin().await?;
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        let tables = Statement::from_string(DatabaseBackend::Postgres, postgres::LIST_TABLES);
        let tables = transaction.query_one_raw(tables).await?;
        let tables: String = tables.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
        transaction.execute_unprepared(&format!("ANALYZE {tables}")).await?;
        Ok(transaction.commit().await?)
    }

    /// Returns the lock of the task that seals the audit trail.
    #[must_use]
    pub fn sealing_turn(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.shared.sealing_turn)
    }

    /// Returns the number of statements sent since the start.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.shared.meter.count()
    }

    /// Returns whether the database is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.reader.get_database_backend() == DatabaseBackend::Postgres
    }

    /// Closes all connections. On SQLite, the write-ahead log is moved to the database file.
    pub async fn close(self) -> Result<(), Error> {
        self.reader.close().await;
        self.shared.background.close().await;
        self.standby.close().await;
        if let Some(single) = &self.writer.connections.single {
            single.connections.close().await;
        }
        self.shared.snapshots.close_by_ref().await?;
        Ok(self.writer.connections.pool.close_by_ref().await?)
    }
}
