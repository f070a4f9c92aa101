//! Proves a backup: restores it to a temporary place, and compares what is there with its manifest.

use anyhow::Context as _;
use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement};

use super::contents::Contents;
use super::manifest::DatabaseKind;
use super::restore::Backup;
use super::work_dir::WorkDir;
use super::{postgres_programs, sqlite};
use crate::audit;
use crate::db::{DatabaseSettings, Db};
use crate::text::counted;

/// A backup that was restored to a temporary place, as far as that is possible, and checked there.
pub struct Verification {
    pub report: Report,
    db: Option<Db>,
    /// The directory of a SQLite file, which is removed at the end.
    place: Option<WorkDir>,
}

impl Verification {
    /// Returns the restored database; `None` if only the list of the dump was read.
    #[must_use]
    pub const fn db(&self) -> Option<&Db> {
        self.db.as_ref()
    }

    /// Closes the restored database, and removes its file. Returns the results.
    ///
    /// # Errors
    /// That the database cannot be closed.
    pub async fn finish(self) -> anyhow::Result<Report> {
        if let Some(db) = self.db {
            db.close().await?;
        }
        drop(self.place);
        Ok(self.report)
    }
}

/// The most problems of one kind that are listed.
const MAX_PROBLEMS: usize = 100;

/// The result of a verification.
#[derive(Debug, Default)]
pub struct Report {
    /// The checks that passed.
    pub passed: Vec<String>,
    /// The checks that were left out, and how they can be made.
    pub skipped: Vec<String>,
    pub problems: Vec<String>,
}

impl Report {
    /// Adds the result of a check: that it passed, if there are no problems.
    pub fn note(&mut self, check: &str, problems: Vec<String>) {
        if problems.is_empty() {
            self.passed.push(check.to_owned());
        }
        self.problems.extend(problems);
    }
}

/// Verifies a backup, whose file has been checked already. A backup of PostgreSQL is restored to the empty database `scratch`, where
/// it stays; without one, only the dump is read.
///
/// # Errors
/// That the backup cannot be restored at all.
pub async fn verify(backup: &Backup, scratch: Option<&DatabaseSettings>) -> anyhow::Result<Verification> {
    let mut report = Report { passed: vec!["checksums of the file and its parts".to_owned()], ..Report::default() };
    let (db, place) = match (backup.manifest().database, scratch) {
        (DatabaseKind::Sqlite, _) => {
            let (db, place) = verify_sqlite(backup, &mut report).await?;
            (Some(db), Some(place))
        }
        (DatabaseKind::Postgres, Some(scratch)) => {
            let db = Db::connect(scratch).await.map_err(anyhow::Error::from).context("--scratch-url")?;
            backup.load_dump(&db, &scratch.url).await.context("--scratch-url")?;
            report.note("restored by pg_restore, with all foreign keys", Vec::new());
            verify_contents(backup, &db, &mut report).await?;
            (Some(db), None)
        }
        (DatabaseKind::Postgres, None) => {
            let work = WorkDir::new_in(&std::env::temp_dir())?;
            let dump = work.path().join("roster.dump");
            backup.extract(dump.clone()).await?;
            let objects = postgres_programs::list(&dump).await?;
            report.note(&format!("pg_restore --list: {}", counted(objects, "object", "objects")), Vec::new());
            report
                .skipped
                .push("rows, counts and the audit trail: restore into an empty database with --scratch-url".to_owned());
            (None, None)
        }
    };
    Ok(Verification { report, db, place })
}

async fn verify_sqlite(backup: &Backup, report: &mut Report) -> anyhow::Result<(Db, WorkDir)> {
    let work = WorkDir::new_in(&std::env::temp_dir())?;
    let file = work.path().join("roster.db");
    backup.extract(file.clone()).await?;
    let db = sqlite::connect(&file).await?;
    let integrity =
        check_sqlite(&db, "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'");
    report.note("integrity of the database file", integrity.await?);
    let keys = check_sqlite(
        &db,
        "SELECT 'a row of ' || \"table\" || ' refers to a missing row of ' || parent FROM pragma_foreign_key_check",
    );
    report.note("foreign keys", keys.await?);
    verify_contents(backup, &db, report).await?;
    Ok((db, work))
}

/// Runs a check that returns a row for each problem.
async fn check_sqlite(db: &Db, sql: &str) -> anyhow::Result<Vec<String>> {
    let sql = format!("{sql} LIMIT {MAX_PROBLEMS}");
    let rows = db.write().query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, sql)).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// Compares a restored database with the manifest, and verifies its audit trail.
async fn verify_contents(backup: &Backup, db: &Db, report: &mut Report) -> anyhow::Result<()> {
    let manifest = backup.manifest();
    let differences = manifest.differences(&Contents::read(db.write()).await?);
    report.note("schema, key fingerprint, last audit event and counts of the manifest", differences);
    // The trail is read with the tables of this version.
    db.migrate().await?;
    let trail = audit::verify::verify(db).await?;
    let mut problems: Vec<String> = trail.errors.iter().map(|error| format!("audit trail: {error}")).collect();
    if trail.error_count > trail.errors.len() as u64 {
        problems.push(format!("audit trail: {} in all", counted(trail.error_count, "problem", "problems")));
    }
    report.note(&format!("audit trail of {}", counted(trail.events, "event", "events")), problems);
    Ok(())
}
