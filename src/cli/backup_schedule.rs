//! The backups that the server makes by itself: one each interval in a directory, whichever of its processes is first.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use super::config::Settings;
use super::open::WrongSetting;
use crate::backup::SecretString;
use crate::backup::directory::{BackupDir, Rotation};
use crate::backup::metrics::BackupMetrics;
use crate::db::DatabaseSettings;
use crate::scalar::now;
use crate::{background, private_file};

/// The longest time until the next attempt after a failure.
const RETRY_DELAY: Duration = Duration::from_mins(5);
/// The time until the next look while another process makes a backup.
const BUSY_DELAY: Duration = Duration::from_secs(30);

/// The last attempt of the schedule, if it failed: a file in the data directory, for `roster doctor`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FailedBackup {
    pub(super) at: DateTime<Utc>,
    pub(super) error: String,
}

impl FailedBackup {
    fn file_in(data_dir: &Path) -> PathBuf {
        data_dir.join("roster.failed-backup")
    }

    /// Reads the file of a data directory; `None` if the last attempt did not fail.
    pub(super) fn read(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let file = Self::file_in(data_dir);
        match std::fs::read(&file) {
            Err(error) if private_file::is_missing(&error) => Ok(None),
            json => {
                let json = json.with_context(|| file.display().to_string())?;
                Ok(Some(serde_json::from_slice(&json).with_context(|| file.display().to_string())?))
            }
        }
    }
}

/// The schedule of the backups of a server.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) dir: BackupDir,
    pub(super) every: Duration,
    pub(super) keep: u32,
    pub(super) metrics: BackupMetrics,
    database: DatabaseSettings,
    passphrase: Option<SecretString>,
    data_dir: PathBuf,
}

impl Schedule {
    /// Returns the schedule of the settings, if there is one.
    ///
    /// # Errors
    /// That a part of it is missing.
    pub(super) fn of(settings: &Settings, default_dir: &str) -> Result<Option<Self>, WrongSetting> {
        let Some(every) = settings.backups.backup_every else { return Ok(None) };
        let missing = "--backup-every (ROSTER_BACKUP_EVERY): needs --backup-dir (ROSTER_BACKUP_DIR)";
        let dir = settings.backups.backup_dir.clone().ok_or_else(|| WrongSetting(missing.to_owned()))?;
        Ok(Some(Self {
            dir: BackupDir::new(dir),
            every,
            keep: settings.backups.backup_keep,
            metrics: BackupMetrics::new(every),
            database: settings.database(default_dir),
            passphrase: settings.passphrase().map_err(WrongSetting)?,
            data_dir: settings.data_dir(default_dir),
        }))
    }

    /// Makes backups until the server is stopped. A backup that is being made then is given up.
    pub(super) async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut delay = self.until_due();
        while !has_stopped(&mut stopping, delay).await {
            // Another process may have made one meanwhile.
            delay = self.until_due();
            if !delay.is_zero() {
                continue;
            }
            let made = tokio::select! {
                made = self.back_up() => made,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            delay = match made {
                Ok(Some(rotation)) => {
                    let (file, size) = (rotation.created.file.display(), rotation.created.size);
                    tracing::info!(%file, size, removed = rotation.removed.len(), "created a backup");
                    self.metrics.count_success();
                    self.note_success();
                    self.until_due()
                }
                Ok(None) => BUSY_DELAY,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "failed to create a backup");
                    self.metrics.count_failure();
                    self.note_failure(format!("{error:#}"));
                    RETRY_DELAY.min(self.every)
                }
            };
        }
    }

    /// Makes a backup, at a low priority, unless another process has just made one. `None` if another process is making one.
    async fn back_up(&self) -> anyhow::Result<Option<Rotation>> {
        let Self { dir, database, passphrase, keep, .. } = self.clone();
        Box::pin(background::run(async move { dir.create(&database, passphrase, Some(keep as usize)).await })).await
    }

    /// Returns the time until the next backup is due, after the newest one in the directory, whoever made it.
    fn until_due(&self) -> Duration {
        let Some(newest) = self.dir.newest().ok().flatten() else { return Duration::ZERO };
        self.metrics.set_last_success(newest.at, newest.size);
        // A time in the future is that of a clock that was set back.
        let age = (now() - newest.at).to_std().unwrap_or_default();
        self.every.saturating_sub(age)
    }

    fn note_success(&self) {
        if let Err(error) = std::fs::remove_file(FailedBackup::file_in(&self.data_dir))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, "failed to remove the record of a failed backup");
        }
    }

    fn note_failure(&self, error: String) {
        let note = serde_json::to_vec(&FailedBackup { at: now(), error }).unwrap_or_default();
        if let Err(error) = private_file::replace(&FailedBackup::file_in(&self.data_dir), &note) {
            tracing::warn!(%error, "failed to record a failed backup for `roster doctor`");
        }
    }
}

/// Waits for a while. Returns whether the server was stopped meanwhile.
async fn has_stopped(stopping: &mut watch::Receiver<bool>, delay: Duration) -> bool {
    timeout(delay, stopping.wait_for(|stopping| *stopping)).await.is_ok()
}
