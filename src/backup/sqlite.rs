//! Backups of SQLite: a copy of the file at one moment.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use sea_orm::ConnectionTrait as _;

use super::contents::{self, Contents};
use super::{WITHOUT_ROWS, on_thread};
use crate::db::{self, DatabaseSettings, Db};
use crate::private_file;

/// The files of a SQLite database, by what is appended to its name.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Copies the database to a new file, without the rows that no backup has.
pub(super) async fn copy(database: &DatabaseSettings, to: &Path) -> anyhow::Result<Contents> {
    // SQLite would create it with the mode of the umask.
    drop(private_file::make(to)?);
    db::copy_sqlite(&database.url, to).await?;
    let copy = connect(to).await?;
    let tables = contents::tables(copy.read()).await?;
    let emptied: Vec<&str> = WITHOUT_ROWS.into_iter().filter(|table| tables.contains(*table)).collect();
    for table in emptied {
        copy.write().execute_unprepared(&format!("DELETE FROM {table}")).await?;
    }
    let contents = Contents::read(copy.read()).await?;
    close(copy, to).await?;
    Ok(contents)
}

/// Opens a copy of a database, which nobody else uses.
pub(super) async fn connect(file: &Path) -> anyhow::Result<Db> {
    Ok(Db::connect(&DatabaseSettings::new(db::url_of(file), 1)).await?)
}

/// Closes a copy of a database. Its file is complete without the files beside it.
pub(super) async fn close(copy: Db, file: &Path) -> anyhow::Result<()> {
    copy.write().execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    copy.close().await?;
    let log = with_suffix(file, "-wal");
    ensure!(log.metadata().map_or(0, |log| log.len()) == 0, "the write-ahead log of the copy is not empty");
    Ok(())
}

/// Checks that a database can be restored to a file: it does not exist, nor any file that SQLite would take for a part of it.
pub(super) fn check_empty(target: &Path) -> anyhow::Result<()> {
    for file in SUFFIXES.map(|suffix| with_suffix(target, suffix)) {
        ensure!(
            !file.try_exists().with_context(|| file.display().to_string())?,
            "{} exists, and a backup is restored only where no database is: move the database and the files beside it \
             away, or name another place with --data-dir or --database-url",
            file.display()
        );
    }
    Ok(())
}

/// Gives a complete database file its final name, if there is no database by now.
pub(super) async fn publish(file: PathBuf, target: PathBuf) -> anyhow::Result<()> {
    on_thread(move || {
        std::fs::File::open(&file)?.sync_all()?;
        check_empty(&target)?;
        std::fs::hard_link(&file, &target).with_context(|| target.display().to_string())?;
        private_file::sync_dir_of(&target)?;
        Ok(())
    })
    .await
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
