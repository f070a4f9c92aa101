//! SQLite in a file: how its connections are made, and how long its write-ahead log may get.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr};
use tokio::sync::Mutex;

use super::{ACQUIRE_TIMEOUT, Reader};

/// How many rows of an answer SQLite may be ahead of whoever reads them: it works on a thread of its own, which is to sleep
/// as seldom as may be.
const ROWS_AHEAD: usize = 1_024;
/// How many bytes the write-ahead log may have before the next write empties it.
const LONGEST_LOG: u64 = 16 << 20;
/// How long readers may be held up for a checkpoint.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn pool(url: &str, connections: u32, query_only: bool) -> ConnectOptions {
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
    // What is erased is overwritten, not only forgotten.
    if query_only { options.pragma("query_only", "ON") } else { options.pragma("secure_delete", "ON") }
}

/// The write-ahead log. SQLite starts it anew only at a moment when nobody reads from it, which under steady reading never
/// comes, so that it would grow without bound.
#[derive(Debug)]
pub(super) struct WriteAheadLog {
    file: PathBuf,
    /// The connections that read from it: the usual ones, and those of the background.
    readers: [Reader; 2],
    /// The length at which the log is emptied.
    limit: AtomicU64,
    under_way: Mutex<()>,
}

impl WriteAheadLog {
    pub(super) fn of(database: &Path, readers: [Reader; 2]) -> Self {
        let mut file = database.as_os_str().to_owned();
        file.push("-wal");
        Self { file: file.into(), readers, limit: LONGEST_LOG.into(), under_way: Mutex::default() }
    }

    fn len(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Whether the log is to be emptied before the next write.
    pub(super) fn is_long(&self) -> bool {
        self.len() > self.limit.load(Ordering::Relaxed)
    }

    /// Moves everything in the log to the database file and empties it, while new readers wait; false if somebody who has
    /// been reading for longer is in the way, or another checkpoint is under way.
    pub(super) async fn empty(&self, writer: &DatabaseConnection) -> Result<bool, DbErr> {
        let Ok(_under_way) = self.under_way.try_lock() else { return Ok(false) };
        let [usual, background] = &self.readers;
        // What takes long is waited for first: meanwhile everybody else reads on.
        let _paused = (background.pause(PAUSE).await, usual.pause(PAUSE).await);
        // Nobody waits long for who reads at one moment for minutes; the timeout is that of `opened` afterwards.
        let checkpoint = "PRAGMA busy_timeout = 50; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = 5000";
        writer.execute_unprepared(checkpoint).await?;
        let left = self.len();
        self.limit.store(left + LONGEST_LOG, Ordering::Relaxed);
        Ok(left == 0)
    }

    /// Whether the file system takes writes.
    pub(super) fn is_writable(&self) -> std::io::Result<bool> {
        let dir = self.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = rustix::fs::statvfs(dir)?.f_flag;
        Ok(!flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    /// Lets the next write try again to empty the log.
    pub(super) fn empty_soon(&self) {
        self.limit.store(0, Ordering::Relaxed);
    }
}
