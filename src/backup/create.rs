//! Makes a backup.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use tempfile::NamedTempFile;

use super::archive::{self, BUFFER};
use super::contents::Contents;
use super::encryption::Output;
use super::manifest::{DatabaseKind, Manifest};
use super::work_dir::{self, WorkDir};
use super::{SecretString, on_thread, postgres, read, sqlite};
use crate::db::{self, DatabaseSettings};
use crate::private_file;
use crate::scalar::now;

/// A backup that was made.
#[derive(Debug)]
pub struct Created {
    pub file: PathBuf,
    /// The length of the file in bytes.
    pub size: u64,
    pub manifest: Manifest,
}

/// Makes a backup of a database as a new file. A copy of the database needs as much room again: beside the file, or, if the backup
/// is encrypted, beside the database of SQLite and in the directory for temporary files.
///
/// # Errors
/// That the file exists, or that the database cannot be read, or the file not be written. There is no file then.
pub async fn create_file(
    database: &DatabaseSettings,
    file: PathBuf,
    passphrase: Option<SecretString>,
) -> anyhow::Result<Created> {
    if file.symlink_metadata().is_ok() {
        bail!("{} exists, and a backup does not replace a file: name another file, or a directory", file.display());
    }
    if let Some(file) = db::missing_file(&database.url) {
        bail!("the database file {} does not exist", file.display());
    }
    let created_at = now();
    let work_dir = WorkDir::new_in(private_file::dir_of(&file))?;
    let parent_of_copy = work_dir::parent_of_copy(database, &file, passphrase.is_some());
    let copy_dir = WorkDir::new_in(&parent_of_copy)?;
    let copy = copy_dir.path().join("copy");
    let copied = if db::is_postgres(&database.url) {
        postgres::dump(database, &copy).await.map(|contents| (DatabaseKind::Postgres, contents))
    } else {
        sqlite::copy(database, &copy).await.map(|contents| (DatabaseKind::Sqlite, contents))
    };
    let (kind, contents) =
        copied.with_context(|| format!("copying the database to the directory {}", parent_of_copy.display()))?;
    let dir = work_dir.path().to_owned();
    let plan = Plan { copy, kind, contents, created_at, dir, file, passphrase };
    // The directories are removed when nobody waits any more, which ends the work as well.
    let created = on_thread(move || plan.write()).await;
    drop((work_dir, copy_dir));
    created
}

/// The data that the file of a backup is written from.
struct Plan {
    /// The copy of the database.
    copy: PathBuf,
    kind: DatabaseKind,
    contents: Contents,
    created_at: DateTime<Utc>,
    /// The directory in which the file is written, beside its place.
    dir: PathBuf,
    file: PathBuf,
    passphrase: Option<SecretString>,
}

impl Plan {
    /// Writes the file completely, reads it again, and only then gives it its name.
    fn write(self) -> anyhow::Result<Created> {
        let Self { copy, kind, contents, created_at, dir, file, passphrase } = self;
        let part = archive::measure(kind.part(), File::open(&copy)?)?;
        let manifest = Manifest::new(kind, created_at, contents, part);
        let written = write_archive(&copy, &dir, &manifest, passphrase.as_ref())
            .with_context(|| format!("writing {}", file.display()))?;
        let read =
            read::read(written.path(), passphrase.as_ref(), &mut io::sink()).context("reading the new backup")?;
        if read != manifest {
            bail!("the manifest of the new backup is not the one that was written");
        }
        let size = written.as_file().metadata()?.len();
        written.persist_noclobber(&file).map_err(|error| error.error).with_context(|| file.display().to_string())?;
        private_file::sync_dir_of(&file)?;
        Ok(Created { file, size, manifest })
    }
}

/// Writes the archive to a temporary file in a directory. The file is durable then.
fn write_archive(
    copy: &Path,
    dir: &Path,
    manifest: &Manifest,
    passphrase: Option<&SecretString>,
) -> anyhow::Result<NamedTempFile> {
    // Private, whatever the umask is.
    let written = NamedTempFile::new_in(dir)?;
    let output = Output::new(BufWriter::with_capacity(BUFFER, written), passphrase)?;
    let mut buffered = archive::write(output, manifest, File::open(copy)?)?.finish()?;
    buffered.flush()?;
    let written = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    written.as_file().sync_all()?;
    Ok(written)
}
