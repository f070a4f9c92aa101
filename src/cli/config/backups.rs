//! Settings of backups.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Settings;
use super::secret::Secret;
use crate::backup::SecretString;

/// The variable of the passphrase, which has no flag: every user of the machine can see the arguments of a process.
pub(super) const PASSPHRASE: &str = "ROSTER_PASSPHRASE";

/// The shortest and the longest interval between two backups of the schedule.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(31 * 24);

/// Settings of backups.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct Backups {
    /// Interval at which the server backs up to --backup-dir, such as 6h or 1day, from 1m to 31days. [default: none]
    #[arg(long, env = "ROSTER_BACKUP_EVERY", global = true, value_name = "INTERVAL", value_parser = interval)]
    pub backup_every: Option<Duration>,
    /// Directory of backups that are named by their times. Created if missing. [default: none]
    #[arg(long, env = "ROSTER_BACKUP_DIR", global = true, value_name = "DIR")]
    pub backup_dir: Option<PathBuf>,
    /// Number of backups that the server keeps in --backup-dir. Older ones are removed after a new one was made and read again.
    #[arg(long, env = "ROSTER_BACKUP_KEEP", default_value_t = 28, global = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub backup_keep: u32,
    /// File that holds the passphrase of backups. Instead, the variable `ROSTER_PASSPHRASE` may hold the passphrase itself.
    /// [default: none, backups are not encrypted]
    #[arg(long = "passphrase-file", env = "ROSTER_PASSPHRASE_FILE", global = true, value_name = "FILE",
          value_parser = Secret::in_file(passphrase))]
    pub passphrase_in_file: Option<SecretString>,
}

impl Settings {
    /// Returns the passphrase of backups, if one is set.
    ///
    /// # Errors
    /// The variable that cannot be used, and the reason.
    pub fn passphrase(&self) -> Result<Option<SecretString>, String> {
        if let Some(passphrase) = &self.backups.passphrase_in_file {
            return Ok(Some(passphrase.clone()));
        }
        match std::env::var(PASSPHRASE) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Ok(Some(text.into())),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(format!("{PASSPHRASE}: expected text in UTF-8")),
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let expected = "expected an interval from 1m to 31days, such as 6h";
    let interval = humantime::parse_duration(text).map_err(|error| format!("{error}; {expected}"))?;
    if INTERVALS.contains(&interval) { Ok(interval) } else { Err(expected.to_owned()) }
}

fn passphrase(text: &str) -> Result<SecretString, String> {
    if text.is_empty() { Err("expected a passphrase, but the file is empty".to_owned()) } else { Ok(text.into()) }
}
