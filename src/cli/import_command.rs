//! `roster import`: loads users, groups and institutions from a file.

use anyhow::Context as _;
use indicatif::ProgressBar;

use super::config::{Import, Settings};
use super::open::{DATA_DIR, check_key, close, open_unchanged, open_with_key};
use super::output::{print_error, print_line};
use super::progress::progress_bar;
use super::{bulk, import};
use crate::db::Db;
use crate::entity::license as license_row;
use crate::error::Error;
use crate::license;
use crate::scalar::Id;

pub async fn import_file(settings: &Settings, import: &Import) -> anyhow::Result<()> {
    let name = || import.file.display().to_string();
    let source = import::Source::open(&import.file).with_context(name)?;
    if let Some(format) = source.foreign_format().with_context(name)? {
        anyhow::bail!("{}: {format}", name());
    }
    check_key(settings, DATA_DIR)?;
    if import.dry_run {
        // The directory is removed at the end.
        let (db, _dir) = open_unchanged(settings, DATA_DIR).await?;
        let checked = check(&db, import, &source).await?;
        db.close().await?;
        return report(settings, &checked, "would be");
    }
    let (db, _) = open_with_key(settings, DATA_DIR).await?;
    let checked = check(&db, import, &source).await?;
    if !checked.invalid.is_empty() {
        return report(settings, &checked, "would be");
    }
    let license_id = resolve_license(&db, import).await?.id;
    let bar = progress_of(&source, "Writing")?;
    bulk::begin(&db, checked.new_users).await?;
    let imported = import::load(&db, license_id, source.lines()?, |done| bar.set_position(done)).await;
    bar.set_message("Building indexes");
    let ended = bulk::end(&db).await;
    bar.finish_and_clear();
    let imported = imported?;
    ended?;
    close(db).await?;
    report(settings, &imported, "were")
}

/// Validates every line.
async fn check(db: &Db, import: &Import, source: &import::Source) -> anyhow::Result<import::ImportSummary> {
    // If this is the first import, its license is created only after the file has been found valid.
    let is_first = import.license.is_none() && license::list(db).await?.is_empty();
    let license_id = if is_first { Id::new() } else { resolve_license(db, import).await?.id };
    let bar = progress_of(source, "Checking")?;
    let checked = import::check(db, license_id, source.lines()?, |done| bar.set_position(done)).await?;
    bar.finish_and_clear();
    Ok(checked)
}

async fn resolve_license(db: &Db, import: &Import) -> Result<license_row::Model, Error> {
    license::resolve_or_create(db, import.license.as_deref(), "This organisation").await
}

fn progress_of(source: &import::Source, message: &'static str) -> std::io::Result<ProgressBar> {
    let bar = progress_bar(source.size()?, "{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.set_message(message);
    Ok(bar)
}

fn report(settings: &Settings, summary: &import::ImportSummary, verb: &str) -> anyhow::Result<()> {
    summary.errors().for_each(|error| print_error(settings.log_format, error));
    if summary.invalid.is_empty() {
        return Ok(print_line!("{}", summary.describe(verb))?);
    }
    anyhow::bail!("{} invalid lines; nothing was written.", summary.invalid.len())
}
