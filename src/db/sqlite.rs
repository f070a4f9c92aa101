//! SQLite in a file: options of the connections, a limit on the size of the write-ahead log, and the writers' commit groups.

mod commit_group;
mod copy;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr};

pub(super) use self::commit_group::CommitGroups;
pub use self::copy::copy_sqlite;
use super::{DatabaseSettings, Reader};
use crate::private_file;

/// The number of rows that SQLite may read ahead: it works on a thread of its own, which should sleep as seldom as possible.
const ROWS_AHEAD: usize = 1_024;
/// The size in bytes of the write-ahead log above which the next write empties it.
const MAX_LOG_LENGTH: u64 = 16 << 20;
/// The same while many rows are loaded: pages that several transactions change are moved to the database file only once.
const MAX_LOG_LENGTH_OF_LOAD: u64 = 128 << 20;
/// The maximum time that a checkpoint blocks readers.
const PAUSE: Duration = Duration::from_secs(1);

/// Creates the file of a SQLite database. SQLite would create it with the mode of the umask, and creates the files beside it with
/// the mode of this one.
pub(super) fn make_file(database: &Path) -> std::io::Result<()> {
    match private_file::make(database) {
        // Another process created it first.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn pool(settings: &DatabaseSettings, connections: u32, query_only: bool) -> ConnectOptions {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(connections)
        .acquire_timeout(settings.timeouts.acquire)
        .test_before_acquire(false)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| opened(options, query_only));
    options
}

pub(super) fn opened(options: SqliteConnectOptions, query_only: bool) -> SqliteConnectOptions {
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
    // Overwrites deleted data.
    if query_only { options.pragma("query_only", "ON") } else { options.pragma("secure_delete", "ON") }
}

/// The write-ahead log. SQLite restarts it only when nothing reads from it. Under steady reading this never happens, so that the
/// log would grow without limit.
#[derive(Debug)]
pub(super) struct WriteAheadLog {
    file: PathBuf,
    /// The connections that read from the log: the ordinary ones, and those of the background.
    readers: [Reader; 2],
    /// The size in bytes above which the log is emptied.
    limit: AtomicU64,
    /// The size in bytes by which the log may grow after it has been emptied.
    room: AtomicU64,
}

impl WriteAheadLog {
    pub(super) fn of(database: &Path, readers: [Reader; 2]) -> Self {
        let mut file = database.as_os_str().to_owned();
        file.push("-wal");
        Self { file: file.into(), readers, limit: MAX_LOG_LENGTH.into(), room: MAX_LOG_LENGTH.into() }
    }

    fn len(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Returns whether the log must be emptied before the next write.
    fn is_long(&self) -> bool {
        self.len() > self.limit.load(Ordering::Relaxed)
    }

    /// Moves the whole log to the database file and empties it, while new readers wait. A part remains if a statement that has
    /// been running for longer still reads from the log.
    async fn empty(&self, writer: &DatabaseConnection) -> Result<(), DbErr> {
        let [usual, background] = &self.readers;
        // Waits for the long-running statements first; the other readers continue meanwhile.
        let _paused = (background.pause(PAUSE).await, usual.pause(PAUSE).await);
        // The short timeout avoids a long wait for a snapshot that is read for minutes; afterwards the timeout is that of
        // `opened` again.
        let checkpoint = "PRAGMA busy_timeout = 50; PRAGMA wal_checkpoint(TRUNCATE)";
        let done = writer.execute_unprepared(checkpoint).await;
        self.limit.store(self.len() + self.room.load(Ordering::Relaxed), Ordering::Relaxed);
        if let Err(error) = done {
            // Such as a full disk. Each write would try again, and pause all readers for it.
            tracing::warn!(%error, "failed to empty the write-ahead log");
        }
        writer.execute_unprepared("PRAGMA busy_timeout = 5000").await?;
        Ok(())
    }

    /// Lets the log grow while many rows are loaded.
    pub(super) fn grow(&self) {
        self.room.store(MAX_LOG_LENGTH_OF_LOAD, Ordering::Relaxed);
        self.limit.store(MAX_LOG_LENGTH_OF_LOAD, Ordering::Relaxed);
    }

    /// Ends what [`grow`](Self::grow) began.
    pub(super) fn shrink(&self) {
        self.room.store(MAX_LOG_LENGTH, Ordering::Relaxed);
        self.limit.store(MAX_LOG_LENGTH, Ordering::Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the file system accepts writes.
    pub(super) fn is_writable(&self) -> std::io::Result<bool> {
        let dir = self.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = rustix::fs::statvfs(dir)?.f_flag;
        Ok(!flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    /// Makes the next write try again to empty the log.
    pub(super) fn empty_soon(&self) {
        self.limit.store(0, Ordering::Relaxed);
    }
}
