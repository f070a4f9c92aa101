//! `roster audit verify`: checks the hash chain of the audit trail.

use anyhow::Context as _;

use super::config::Settings;
use super::open::DATA_DIR;
use super::output::{print_error, print_line};
use crate::audit;
use crate::db::{self, Db};
use crate::text::counted;

pub async fn verify(settings: &Settings) -> anyhow::Result<()> {
    let database = settings.database(DATA_DIR);
    if let Some(file) = db::missing_file(&database.url) {
        anyhow::bail!("the database file {} does not exist", file.display());
    }
    let location = || db::without_password(&database.url);
    let db = Db::connect(&database).await.map_err(anyhow::Error::from).with_context(location)?;
    let pending = db.pending_migrations().await?;
    anyhow::ensure!(
        pending == 0,
        "the tables are not up to date: {}; run `roster migrate`",
        counted(pending, "migration is pending", "migrations are pending")
    );
    let report = audit::verify::verify(&db).await?;
    db.close().await?;
    if report.error_count > 0 {
        report.errors.iter().for_each(|error| print_error(settings.log_format, error));
        anyhow::bail!("audit trail verification failed: {}", counted(report.error_count, "problem", "problems"));
    }
    match report.events {
        0 => print_line!("The audit trail has no events.")?,
        events => {
            let events = counted(events, "event", "events");
            print_line!("Verified {events}. Hash of the last event: {}", report.hash)?;
        }
    }
    Ok(())
}
