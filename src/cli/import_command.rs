//! `roster import`: loads users, groups and institutions from a file.

use anyhow::Context as _;

use super::config::{Import, Settings};
use super::open::{DATA_DIR, check_key, close, open_with_key};
use super::progress::progress_bar;
use super::{bulk, import};
use crate::license;
use crate::scalar::Id;

pub async fn import_file(settings: &Settings, import: &Import) -> anyhow::Result<()> {
    let name = || import.file.display().to_string();
    let source = import::Source::open(&import.file).with_context(name)?;
    if let Some(format) = source.foreign_format().with_context(name)? {
        anyhow::bail!("{}: {format}", name());
    }
    let size = source.size()?;
    check_key(settings, DATA_DIR)?;
    let (db, _) = open_with_key(settings, DATA_DIR).await?;
    let license = async || license::resolve_or_create(&db, import.license.as_deref(), "This organisation").await;
    // If this is the first import, its license is created only after the file has been found valid.
    let is_first = import.license.is_none() && license::list(&db).await?.is_empty();
    let license_id = if is_first { Id::new() } else { license().await?.id };

    let bar = progress_bar(size, "{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.set_message("Checking");
    let checked = import::check(&db, license_id, source.lines()?, |done| bar.set_position(done)).await?;
    if import.dry_run || !checked.invalid.is_empty() {
        bar.finish_and_clear();
        return report(&checked, "would be");
    }
    bar.set_message("Writing");
    let license_id = license().await?.id;
    bulk::begin(&db, checked.new_users).await?;
    let imported = import::load(&db, license_id, source.lines()?, |done| bar.set_position(done)).await;
    bar.set_message("Building indexes");
    let ended = bulk::end(&db).await;
    bar.finish_and_clear();
    let imported = imported?;
    ended?;
    close(db).await?;
    report(&imported, "were")
}

fn report(summary: &import::ImportSummary, verb: &str) -> anyhow::Result<()> {
    summary.errors().for_each(|error| eprintln!("{error}"));
    if summary.invalid.is_empty() {
        println!("{}", summary.describe(verb));
        return Ok(());
    }
    anyhow::bail!("{} invalid lines; nothing was written.", summary.invalid.len())
}
