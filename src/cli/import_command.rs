//! `roster import`: loads users, groups and institutions from a file.

mod source;
mod target;

use std::cell::Cell;
use std::io;

use anyhow::Context as _;
use indicatif::ProgressBar;

use self::source::open_source;
use self::target::Target;
use super::bulk;
use super::config::{Import, OnError, Settings};
use super::interruption::until_stopped_with;
use super::open::{DATA_DIR, check_key, close, hasher_unchanged, open_unchanged, open_with_key};
use super::output::{print_error, print_line, write_text};
use super::progress::progress_bar;
use crate::audit::sealer;
use crate::auth::password::Hasher;
use crate::db::Db;
use crate::import::{self, Channel, ImportSummary, Leavers, LicenseRow, Options, Report, SeenKeys, Source};

pub async fn import_file(settings: &Settings, import: &Import) -> anyhow::Result<()> {
    if import.print_mapping {
        return print_mapping(import);
    }
    let source = open_source(import)?;
    check_key(settings, DATA_DIR)?;
    let is_writing = Cell::new(false);
    let effect = || {
        if is_writing.get() {
            "what was written stays, and the same command writes the rest"
        } else {
            "nothing was written"
        }
    };
    Box::pin(until_stopped_with(effect, async {
        if import.dry_run {
            try_out(settings, import, &source).await
        } else {
            check_and_write(settings, import, &source, &is_writing).await
        }
    }))
    .await
}

/// Validates every row, and then writes them. Sets `is_writing` in between.
async fn check_and_write(
    settings: &Settings,
    import: &Import,
    source: &Source,
    is_writing: &Cell<bool>,
) -> anyhow::Result<()> {
    let (db, hasher) = open_with_key(settings, DATA_DIR).await?;
    let mut job = Job::find(&db, import, source, hasher).await?;
    let checked = job.check().await?;
    if checked.refused > 0 && import.on_error == OnError::Stop {
        return show(settings, import, &checked, Pass::Check);
    }
    is_writing.set(true);
    // New licenses are created only after the file has been found valid.
    job.create_licenses().await?;
    let bar = progress_of(source, "Writing")?;
    bulk::begin(&db, checked.new_users).await?;
    let imported = job.run(Pass::Write, &bar).await;
    bar.set_message("Building indexes");
    let ended = bulk::end(&db).await;
    bar.finish_and_clear();
    let imported = imported?;
    ended?;
    close(db).await?;
    show(settings, import, &imported, Pass::Write)
}

/// Validates every row, and creates neither a database nor a key.
async fn try_out(settings: &Settings, import: &Import, source: &Source) -> anyhow::Result<()> {
    // The directory is removed at the end.
    let (db, _dir) = open_unchanged(settings, DATA_DIR).await?;
    let hasher = hasher_unchanged(settings, DATA_DIR)?;
    let checked = Job::find(&db, import, source, hasher).await?.check().await?;
    db.close().await?;
    show(settings, import, &checked, Pass::Check)
}

/// An import of a file.
struct Job<'a> {
    db: &'a Db,
    import: &'a Import,
    source: &'a Source,
    /// The license to import each part of the file into. The check finds those after the first.
    targets: Vec<Target>,
    options: Options,
}

impl<'a> Job<'a> {
    async fn find(db: &'a Db, import: &'a Import, source: &'a Source, hasher: Hasher) -> anyhow::Result<Self> {
        let targets = vec![Target::find(db, import, source).await?];
        Ok(Self { db, import, source, targets, options: options(import, source, hasher)? })
    }

    /// Finds the license of a part after the first.
    async fn add_target(&mut self, license: &LicenseRow) -> anyhow::Result<()> {
        anyhow::ensure!(self.import.license.is_none(), "the file has several licenses; import it without --license");
        anyhow::ensure!(self.import.rejects.is_none(), "--rejects needs a file of one license");
        let target = Target::of_row(self.db, self.source, license).await?;
        let is_same = |other: &Target| other.is_same(&target);
        anyhow::ensure!(
            !self.targets.iter().any(is_same),
            "the file has a license twice; its records must follow one row"
        );
        self.targets.push(target);
        Ok(())
    }

    /// Validates every row.
    async fn check(&mut self) -> anyhow::Result<ImportSummary> {
        // The edits of users are read from the audit trail.
        sealer::try_to_seal(self.db).await;
        let bar = progress_of(self.source, "Checking")?;
        let checked = self.run(Pass::Check, &bar).await?;
        bar.finish_and_clear();
        Ok(checked)
    }

    async fn create_licenses(&self) -> anyhow::Result<()> {
        for target in &self.targets {
            target.create(self.db).await?;
        }
        Ok(())
    }

    /// Passes over all parts.
    async fn run(&mut self, pass: Pass, bar: &ProgressBar) -> anyhow::Result<ImportSummary> {
        let (mut summary, mut seen, import) = (ImportSummary::default(), SeenKeys::default(), self.import);
        let reject_form = || self.source.reject_form();
        let mut rejects = import.rejects.as_deref().map(|path| reject_form().map(|form| (path, form))).transpose()?;
        for (place, part) in self.source.parts()?.enumerate() {
            if let Some(license) = part.license().filter(|_| place > 0 && pass == Pass::Check) {
                self.add_target(license).await?;
            }
            let target = self.targets.get(place).context("the file has changed since it was checked")?;
            let (files, is_trial) = (self.source.names(), pass == Pass::Check);
            let report = Report::create(import.report.as_deref(), rejects.take(), files, is_trial, place > 0);
            let mut report = report?;
            let name = part.license().map(|_| target.name());
            if let Some(license) = part.license().filter(|license| license.record.is_some()) {
                report.license(license.place, &target.number, target.id, target.is_new())?;
            }
            let options = self.options.clone();
            let part = import::Import { db: self.db, license_id: target.id, part, options };
            let progress = |done| bar.set_position(done);
            let imported = match pass {
                Pass::Check => Box::pin(part.check(&mut seen, report, progress)).await?,
                Pass::Write => Box::pin(part.write(report, progress)).await?,
            };
            summary.merge(if let Some(name) = name { imported.of_license(name) } else { imported });
        }
        summary.ignored_end = self.targets.first().and_then(|target| target.ignored_end);
        Ok(summary)
    }
}

fn progress_of(source: &Source, message: &'static str) -> io::Result<ProgressBar> {
    let bar = progress_bar(source.size()?, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.set_message(message);
    Ok(bar)
}

fn options(import: &Import, source: &Source, hasher: Hasher) -> anyhow::Result<Options> {
    let leavers = || {
        let source = source.source_of_users().map_err(anyhow::Error::msg).context("--full")?;
        anyhow::Ok(Leavers { max_percent: import.max_leavers, source })
    };
    Ok(Options {
        channel: Channel::File,
        hasher: Some(hasher),
        reactivate: import.reactivate,
        create_institutions: import.create_institutions.is_some(),
        keep_edits: import.keep_edits,
        avatar_dir: import.avatar_dir.clone(),
        formats: source.formats(),
        leavers: import.full.then(leavers).transpose()?,
        files: source.names(),
        fixes: import.fix.as_slice().into(),
    })
}

fn print_mapping(import: &Import) -> anyhow::Result<()> {
    let preset = import.from.context("--print-mapping needs --from SYSTEM, whose mapping it prints")?;
    Ok(write_text(preset.text())?)
}

/// A pass over the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Check,
    Write,
}

impl Pass {
    const fn verb(self) -> &'static str {
        match self {
            Self::Check => "would be",
            Self::Write => "were",
        }
    }

    const fn verb_of(self, count: u64) -> &'static str {
        if count == 1 && matches!(self, Self::Write) { "was" } else { self.verb() }
    }
}

fn show(settings: &Settings, import: &Import, summary: &ImportSummary, pass: Pass) -> anyhow::Result<()> {
    summary.errors().for_each(|error| print_error(settings.log_format, error));
    let error = error_of(summary.refused, import.on_error, pass);
    if pass == Pass::Write || error.is_none() {
        print_line!("{}", summary.describe(pass.verb()))?;
    }
    if let Some(error) = error {
        anyhow::bail!(error);
    }
    if summary.refused > 0 {
        let place = import.rejects.as_ref().map(|file| format!(": {}", file.display())).unwrap_or_default();
        let (refused, verb) = (summary.refused, pass.verb_of(summary.refused));
        print_line!("{refused} invalid {} {verb} refused{place}.", rows(refused))?;
    }
    Ok(())
}

/// Returns the error with which the command ends because rows are invalid; `None` if it does not.
fn error_of(refused: u64, on_error: OnError, pass: Pass) -> Option<String> {
    if refused == 0 || on_error == OnError::Skip {
        return None;
    }
    let rows = rows(refused);
    Some(match pass {
        Pass::Check => format!("{refused} invalid {rows}; nothing was written."),
        // They were valid when they were checked.
        Pass::Write => format!(
            "{refused} {rows} left out, because the directory was changed during the import; all other rows were written."
        ),
    })
}

const fn rows(count: u64) -> &'static str {
    if count == 1 { "row" } else { "rows" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_anything_was_written() {
        let of = |refused, on_error, pass| error_of(refused, on_error, pass).unwrap_or_default();
        assert_eq!(of(2, OnError::Stop, Pass::Check), "2 invalid rows; nothing was written.");
        let written =
            "1 row left out, because the directory was changed during the import; all other rows were written.";
        assert_eq!(of(1, OnError::Stop, Pass::Write), written);
        for pass in [Pass::Check, Pass::Write] {
            assert_eq!((of(0, OnError::Stop, pass), of(3, OnError::Skip, pass)), (String::new(), String::new()));
        }
    }
}
