//! Restores a backup where no database is.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait as _, EntityTrait, QueryFilter, QueryOrder};
use serde_json::Value;

use super::archive::BUFFER;
use super::manifest::{DatabaseKind, Manifest};
use super::work_dir::WorkDir;
use super::{SecretString, on_thread, postgres, read, sqlite};
use crate::audit::{self, Change, Entry};
use crate::db::{self, DatabaseSettings, Db};
use crate::entity::audit_event::AuditAction;
use crate::entity::{device, invitation, license, link, registration, server_key_report, session};
use crate::scalar::now;
use crate::{private_file, startup};

/// A backup whose every byte has been checked.
#[derive(Clone, Debug)]
pub struct Backup {
    file: PathBuf,
    passphrase: Option<SecretString>,
    manifest: Manifest,
}

impl Backup {
    /// Reads a backup to its end, and checks that this program can restore it. Writes nothing.
    ///
    /// # Errors
    /// The errors of the file, or that this program cannot work after a migration of a newer version.
    pub async fn open(file: PathBuf, passphrase: Option<SecretString>) -> anyhow::Result<Self> {
        let (path, secret) = (file.clone(), passphrase.clone());
        let manifest = on_thread(move || read::read(&path, secret.as_ref(), &mut io::sink())).await?;
        manifest.check_schema().map_err(anyhow::Error::from).with_context(|| {
            format!(
                "{} was made by a newer version of Roster, or after one had migrated the database (by version {})",
                file.display(),
                manifest.roster
            )
        })?;
        Ok(Self { file, passphrase, manifest })
    }

    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes the database in the backup to a new private file.
    pub(super) async fn extract(&self, to: PathBuf) -> anyhow::Result<()> {
        let Self { file, passphrase, manifest } = self.clone();
        on_thread(move || {
            let mut output = BufWriter::with_capacity(BUFFER, private_file::make(&to)?);
            let read = read::read(&file, passphrase.as_ref(), &mut output)?;
            ensure!(read == manifest, "{} was changed while it was being restored", file.display());
            output.flush()?;
            output.get_ref().sync_all()?;
            Ok(())
        })
        .await
    }

    /// Restores the backup to a database that must be empty, and brings its tables up to date. Either everything is restored, or
    /// nothing. Nobody is signed in afterwards, and no link is valid.
    ///
    /// # Errors
    /// That the backup is one of another kind of database, that the database is not empty, or that it cannot be written.
    pub async fn restore(&self, database: &DatabaseSettings) -> anyhow::Result<()> {
        let target = if db::is_postgres(&database.url) { DatabaseKind::Postgres } else { DatabaseKind::Sqlite };
        let kind = self.manifest.database;
        ensure!(
            kind == target,
            "{} is a backup of {}, and cannot be restored to {}: name a database of its kind with --database-url",
            self.file.display(),
            kind.name(),
            target.name()
        );
        match kind {
            DatabaseKind::Sqlite => self.restore_sqlite(&database.url).await,
            DatabaseKind::Postgres => self.restore_postgres(database).await,
        }
    }

    async fn restore_sqlite(&self, url: &str) -> anyhow::Result<()> {
        let target = db::file_of(url).context("the URL names no file")?;
        sqlite::check_empty(&target)?;
        // A server that starts meanwhile waits for it.
        let _lock = startup::lock_beside(target.clone()).await.with_context(|| target.display().to_string())?;
        let work = WorkDir::new_in(private_file::dir_of(&target))?;
        let file = work.path().join("roster.db");
        self.extract(file.clone()).await?;
        let db = sqlite::connect(&file).await?;
        self.finish(&db).await?;
        sqlite::close(db, &file).await?;
        sqlite::publish(file, target).await
    }

    async fn restore_postgres(&self, database: &DatabaseSettings) -> anyhow::Result<()> {
        let db = Db::connect(database).await?;
        self.load_dump(&db, &database.url).await?;
        self.finish(&db)
            .await
            .context("the backup was restored, but not brought up to date; drop the tables, and try again")?;
        Ok(db.close().await?)
    }

    /// Loads the dump in the backup into an empty database of PostgreSQL.
    pub(super) async fn load_dump(&self, db: &Db, url: &str) -> anyhow::Result<()> {
        postgres::check_empty(db, &self.manifest).await?;
        let work = WorkDir::new_in(&std::env::temp_dir())?;
        let dump = work.path().join("roster.dump");
        self.extract(dump.clone()).await?;
        postgres::restore(db, url, &dump, &self.manifest).await
    }

    /// Brings the tables up to date, ends what would let somebody in, and records the restoration in the audit trail of each
    /// license.
    #[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
    async fn finish(&self, db: &Db) -> anyhow::Result<()> {
        db.migrate().await?;
        let transaction = db.begin().await?;
        if db.is_postgres() {
            transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        }
        session::Entity::delete_many().exec(&transaction).await?;
        device::Entity::delete_many().exec(&transaction).await?;
        link::Entity::delete_many().exec(&transaction).await?;
        registration::Entity::delete_many().exec(&transaction).await?;
        server_key_report::Entity::delete_many().exec(&transaction).await?;
        let now = now();
        invitation::Entity::update_many()
            .col_expr(invitation::Column::ExpiresAt, Expr::value(now))
            .filter(invitation::Column::AcceptedAt.is_null())
            .filter(invitation::Column::ExpiresAt.gt(now))
            .exec(&transaction)
            .await?;
        let licenses = license::Entity::find().order_by_asc(license::Column::Id).all(&transaction).await?;
        let backup = self.manifest.created_at.to_rfc3339();
        let entry = |license: &license::Model| {
            let change = Change::of("backup", None, Some(Value::from(backup.clone())));
            Entry::new(AuditAction::DirectoryRestored, license).with([change])
        };
        let entries: Vec<Entry> = licenses.iter().map(entry).collect();
        Ok(audit::commit(transaction, entries).await?)
    }
}
