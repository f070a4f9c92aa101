//! The database: its parameters, its migrations, its standby, and what its content needs.

use std::io;
use std::path::Path;

use super::findings::{Findings, NOT_STARTING};
use super::keys;
use crate::auth::server_key::HeldKeys;
use crate::backup::last_served::LastServed;
use crate::cli::config::Settings;
use crate::cli::doctor;
use crate::cli::open::DATA_DIR;
use crate::cli::output::print_line;
use crate::db::{self, Db};
use crate::startup::SchemaState;
use crate::text::counted;

/// The parameters of PostgreSQL without which acknowledged changes may be lost.
const DURABILITY: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// Prints the standby that queries may read from, and its state.
pub(super) async fn print_standby(settings: &Settings, db: &Db, findings: &mut Findings) -> io::Result<()> {
    let Some(url) = settings.read_url() else { return Ok(()) };
    let state = match (settings.check_standby(DATA_DIR), db.check_standby().await) {
        (Err(reason), _) => {
            findings.problem(&reason, NOT_STARTING);
            reason
        }
        (Ok(()), Some(Err(state))) => {
            findings.warn(format!("the standby {state}"), "look at the standby, and at --read-url (ROSTER_READ_URL)");
            state
        }
        (Ok(()), _) => "has replayed everything".to_owned(),
    };
    print_line!("standby               {}; {state}", db::without_password(url))
}

pub(super) async fn print_database(
    settings: &Settings,
    db: &Db,
    held: Option<&HeldKeys>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    for (name, value) in doctor::parameters(db).await? {
        print_line!("{name:<21} {value}")?;
        if DURABILITY.contains(&name) && value == "off" {
            findings.problem(
                format!("{name} is off: a crash or a power failure loses changes that were acknowledged"),
                "turn it on in the settings of PostgreSQL",
            );
        }
    }
    let state = db.schema_state().await?;
    print_migrations(&state, findings)?;
    state.check()?;
    if !state.pending.is_empty() {
        return Ok(());
    }
    keys::print_use(db, held, &settings.key_source(DATA_DIR), findings).await?;
    print_last_served(db, &settings.data_dir(DATA_DIR), findings).await?;
    print_duplicates(db, findings).await?;
    print_totals(db, findings).await?;
    print_weak_passwords(db, findings).await
}

fn print_migrations(state: &SchemaState, findings: &mut Findings) -> io::Result<()> {
    let newer = if state.newer.is_empty() { String::new() } else { format!(", {} newer", state.newer.len()) };
    let pending = state.pending.len();
    if pending > 0 && state.last_applied.is_some() {
        findings.warn(
            counted(pending, "migration is pending", "migrations are pending"),
            "the next start of a server applies them; `roster migrate --check` says whether others keep working",
        );
    }
    print_line!("migrations            {pending} pending{newer}")
}

/// Prints whether the database contains the last audit event that this machine has served.
async fn print_last_served(db: &Db, data_dir: &Path, findings: &mut Findings) -> anyhow::Result<()> {
    let Some(last) = LastServed::read(&LastServed::file_in(data_dir))? else { return Ok(()) };
    let state = match last.warning(db).await? {
        Some(warning) => {
            findings.problem(
                &warning,
                "start the server if this is what was restored; otherwise look for the newer database first",
            );
            warning
        }
        None => "the database contains it".to_owned(),
    };
    print_line!("last served           event {}; {state}", last.event)?;
    Ok(())
}

async fn print_duplicates(db: &Db, findings: &mut Findings) -> anyhow::Result<()> {
    let duplicates = doctor::duplicate_logins(db).await?;
    let advice = if duplicates.count == 0 { "" } else { "; change one login of each pair" };
    print_line!("duplicate logins      {}{advice}", duplicates.count)?;
    for line in duplicates.lines() {
        print_line!("                      {line}")?;
    }
    if duplicates.count > 0 {
        findings.warn(
            counted(duplicates.count, "login identifies two users", "logins identify two users each"),
            "change one login of each pair, which are listed above",
        );
    }
    Ok(())
}

async fn print_totals(db: &Db, findings: &mut Findings) -> anyhow::Result<()> {
    match doctor::wrong_totals(db).await? {
        0 => print_line!("list totals           match the rows")?,
        wrong => {
            print_line!("list totals           {wrong} differ from the rows")?;
            findings.problem(
                counted(wrong, "total of a list differs from its rows", "totals of lists differ from their rows"),
                "restore a backup from before triggers were disabled or totals were changed by hand",
            );
        }
    }
    Ok(())
}

async fn print_weak_passwords(db: &Db, findings: &mut Findings) -> anyhow::Result<()> {
    let weak = doctor::weak_passwords(db).await?;
    match &weak {
        None => print_line!("weak password hashes  none")?,
        Some(counts) => {
            let advice = "each is replaced when its user signs in. Send password resets to users who do not sign in, or \
                          deactivate them.";
            print_line!("weak password hashes  {counts}; {advice}")?;
            findings.warn(
                format!("weak password hashes of other systems are left: {counts}"),
                "send password resets to users who do not sign in, or deactivate them",
            );
        }
    }
    Ok(())
}
