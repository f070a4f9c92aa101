//! Notes the last audit event that the server has served, and warns at the start if the database does not contain the noted one.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::backup::last_served::LastServed;
use crate::db::Db;
use crate::private_file;

/// The interval at which the last event is noted.
const INTERVAL: Duration = Duration::from_secs(30);
/// The maximum time that noting the last event may delay the shutdown.
const LAST_NOTE_TIMEOUT: Duration = Duration::from_secs(1);

/// The task that notes the last event.
pub(super) struct PositionTask {
    task: JoinHandle<()>,
    end: watch::Sender<bool>,
}

impl PositionTask {
    /// Compares the database with the last event that was noted in a data directory, and notes its events from now on. Does neither
    /// without a data directory.
    pub(super) async fn start(db: Db, data_dir: PathBuf) -> Self {
        let (end, ended) = watch::channel(false);
        let mut noter = Noter { db, data_dir, noted: None, has_failed: false };
        noter.compare().await;
        noter.note().await;
        Self { task: tokio::spawn(noter.run(ended)), end }
    }

    /// Notes the last event, after the last requests were answered.
    pub(super) async fn finish(mut self) {
        self.end.send_replace(true);
        if timeout(LAST_NOTE_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Noter {
    db: Db,
    data_dir: PathBuf,
    noted: Option<LastServed>,
    has_failed: bool,
}

impl Noter {
    async fn run(mut self, mut ended: watch::Receiver<bool>) {
        loop {
            // An error means that nobody can end it any more.
            let is_last = timeout(INTERVAL, ended.wait_for(|ended| *ended)).await.is_ok();
            self.note().await;
            if is_last {
                return;
            }
        }
    }

    async fn compare(&mut self) {
        let file = LastServed::file_in(&self.data_dir);
        private_file::restrict(&file);
        let warning = match LastServed::read(&file) {
            Ok(Some(last)) => last.warning(&self.db).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        match warning {
            Ok(Some(warning)) => tracing::warn!("{warning}"),
            Ok(None) => {}
            Err(error) => self.fail(&error),
        }
    }

    async fn note(&mut self) {
        if !self.data_dir.is_dir() {
            return;
        }
        if let Err(error) = self.try_to_note().await {
            self.fail(&error);
        }
    }

    async fn try_to_note(&mut self) -> anyhow::Result<()> {
        let Some(last) = LastServed::of(&self.db).await? else { return Ok(()) };
        if self.noted.as_ref().is_none_or(|noted| (noted.event, &noted.hash) != (last.event, &last.hash)) {
            last.write(&LastServed::file_in(&self.data_dir))?;
            self.noted = Some(last);
        }
        Ok(())
    }

    /// Logs a failure, once.
    fn fail(&mut self, error: &anyhow::Error) {
        if !self.has_failed {
            tracing::warn!(error = format!("{error:#}"), "failed to record the last audit event that was served");
            self.has_failed = true;
        }
    }
}
