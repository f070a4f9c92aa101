//! The server keys: their source, whether they are those of the database, and what still needs an old one.

use std::io;

use super::findings::{Findings, NOT_STARTING, remark_on};
use crate::auth::key_state::DatabaseKeys;
use crate::auth::key_use;
use crate::auth::server_key::{HeldKeys, Source};
use crate::cli::config::Settings;
use crate::cli::open::{DATA_DIR, keys_with};
use crate::cli::output::print_line;
use crate::db::Db;

/// Prints the source of the server keys, and their fingerprints. Returns the keys, if they can be used.
pub(super) fn print_source(settings: &Settings, findings: &mut Findings) -> io::Result<Option<HeldKeys>> {
    let source = settings.key_source(DATA_DIR);
    let held = source.find();
    match &held {
        Ok(Some(_)) => print_line!("key                   {source}{}", remark_on_source(settings, &source, findings))?,
        Ok(None) => print_line!("key                   {source}; missing, created at the first start")?,
        Err(error) => {
            print_line!("key                   {source}: {error}")?;
            findings.problem(format!("{source} cannot be used: {error}"), NOT_STARTING);
        }
    }
    let held = held.ok().flatten();
    for key in held.iter().flat_map(HeldKeys::all) {
        print_line!("key fingerprint       {}", key.fingerprint_text())?;
    }
    Ok(held)
}

fn remark_on_source(settings: &Settings, source: &Source, findings: &mut Findings) -> String {
    match source {
        Source::Setting(_) => String::new(),
        // There is a warning of the settings about a file that is set.
        Source::File(file) if settings.key_file.is_some() => remark_on(file),
        Source::File(file) => findings.remark_on_access(file),
    }
}

/// Prints whether the held keys are those of the database, and what still needs the one that was replaced.
pub(super) async fn print_use(
    db: &Db,
    held: Option<&HeldKeys>,
    source: &Source,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let known = DatabaseKeys::read(db.read()).await?;
    let Some(held) = held else {
        if known.current.is_some() && matches!(source.find(), Ok(None)) {
            report_other_key(&known, format!("{source} is missing"), findings);
        }
        return Ok(());
    };
    let used = known.select(held);
    let match_text = match (&used, &known.current) {
        (_, None) => "none yet",
        (Some(_), _) => "matches",
        (None, _) => "does not match",
    };
    print_line!("key of the database   {match_text}")?;
    if used.is_none() {
        report_other_key(&known, format!("{source} does not have the key of the database"), findings);
    }
    print_others(&known, held, source, findings)?;
    let Some(old) = &known.old else { return Ok(()) };
    let since = old.since.format("%Y-%m-%d %H:%M:%S UTC");
    print_line!("old key               {}, replaced at {since}", old.fingerprint)?;
    if let Some(used) = &used {
        let remaining = key_use::count(db.read(), used.current(), old, None).await?;
        if !remaining.is_needed() {
            print_line!("                      nothing needs it: run `roster key retire`")?;
            findings.warn(
                format!("nothing needs the old server key {} any more", old.fingerprint),
                "run `roster key retire`, and keep a copy of the key as long as backups from before",
            );
        }
        for line in remaining.lines() {
            print_line!("                      needed for {line}")?;
        }
    }
    Ok(())
}

/// Prints the keys beside the old one, if a key is being replaced or was.
fn print_others(known: &DatabaseKeys, held: &HeldKeys, source: &Source, findings: &mut Findings) -> io::Result<()> {
    if let Some(current) = known.current.as_ref().filter(|_| known.is_rotating() || !known.retired.is_empty()) {
        print_line!("current key           {current}")?;
    }
    if let Some(next) = &known.next {
        print_line!("next key              {next}; `roster key rotate` makes it the current one")?;
        findings.warn(
            format!("the server key {next} was announced, and is not the current one yet"),
            "run `roster key rotate` again, which says what is missing",
        );
    }
    for fingerprint in known.retired.iter().filter(|fingerprint| held.find(fingerprint).is_some()) {
        print_line!("retired key           {fingerprint}; not used any more, remove it from the settings or the file")?;
        findings.warn(
            format!("{source} still has the retired key {fingerprint}"),
            "remove it there, and keep a copy as long as backups from before",
        );
    }
    Ok(())
}

fn report_other_key(known: &DatabaseKeys, state: String, findings: &mut Findings) {
    let needed = keys_with(&known.needed());
    findings
        .problem(state, format!("put a copy of {needed} there: without it, no server starts, and no password works"));
}
