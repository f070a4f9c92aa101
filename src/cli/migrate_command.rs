//! `roster migrate`: applies pending migrations.

use super::config::Settings;
use super::doctor;
use super::open::{DATA_DIR, open};

pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let duplicates = doctor::duplicate_logins(&db).await?;
    db.close().await?;
    println!("The tables are up to date.");
    if duplicates.count > 0 {
        println!("duplicate logins: {}; change one login of each pair", duplicates.count);
        duplicates.lines().for_each(|line| println!("{line}"));
    }
    Ok(())
}
