//! `roster migrate`: applies pending migrations.

use super::config::Settings;
use super::doctor;
use super::open::{DATA_DIR, open};
use super::output::print_line;

pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
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
