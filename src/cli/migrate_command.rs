//! `roster migrate`: applies pending migrations, or says what they ask of the servers that run.

mod check;

pub use self::check::PendingMigrations;
use super::config::{Migrate, Settings};
use super::doctor;
use super::open::{DATA_DIR, open};
use super::output::print_line;

pub async fn migrate(settings: &Settings, options: &Migrate) -> anyhow::Result<()> {
    if options.check {
        return check::check(settings, options.format).await;
    }
    let db = open(settings, DATA_DIR).await?;
    let duplicates = doctor::duplicate_logins(&db).await?;
    db.close().await?;
    print_line!("The tables are up to date.")?;
    if duplicates.count > 0 {
        print_line!("duplicate logins: {}; change one login of each pair", duplicates.count)?;
        for line in duplicates.lines() {
            print_line!("{line}")?;
        }
    }
    Ok(())
}
