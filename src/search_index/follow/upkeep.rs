//! Merges of the segments, and saves of the users in the file, from time to time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::{FollowState, Shared};
use crate::search_index::file::{Header, PendingSave};
use crate::search_index::merge::MergeTask;
use crate::search_index::snapshot::Snapshot;

/// The time between two saves of the users. What has changed since the last one takes the next start little time, whereas a save
/// takes the processor as long as loading the users does.
const SAVE_INTERVAL: Duration = Duration::from_mins(30);
/// The time between the removal of the file and the next save: long enough to save once after many erasures.
const SAVE_DELAY_AFTER_REMOVAL: Duration = Duration::from_mins(2);
/// The maximum time that a save may delay the shutdown.
const LAST_SAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of saving the users.
#[derive(Default)]
pub(super) struct SaveState {
    /// The fingerprint of the file. `None` before the users are loaded, or if there is no file.
    fingerprint: Option<String>,
    /// The number of times that the file was removed before the last changes were read.
    removals: u64,
    /// The time before which the users are not saved.
    not_before: Option<Instant>,
    /// The end of the last save, unless the users were merged for it.
    running: Option<oneshot::Receiver<()>>,
}

impl SaveState {
    /// Begins with users who are being loaded.
    pub(super) fn begin(&mut self, fingerprint: String) {
        (self.fingerprint, self.not_before) = (Some(fingerprint), None);
    }

    /// Waits with the next save.
    pub(super) fn postpone(&mut self) {
        self.not_before = Some(Instant::now() + SAVE_INTERVAL);
    }

    /// Notes how often the file was removed, before changes are read: users who are erased after that must not be saved. After
    /// another removal, the users are saved soon.
    pub(super) fn note_removals(&mut self, removals: u64) {
        if self.removals != removals {
            self.removals = removals;
            let soon = Instant::now() + SAVE_DELAY_AFTER_REMOVAL;
            self.not_before = self.not_before.map(|time| time.min(soon));
        }
    }

    /// Returns whether the users may be saved now.
    fn is_due(&mut self) -> bool {
        if let Some(running) = &mut self.running
            && matches!(running.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        {
            return false;
        }
        self.running = None;
        self.not_before.is_none_or(|time| time <= Instant::now())
    }
}

impl Shared {
    /// Merges the segments and saves the users, if either is due.
    pub(super) fn merge_and_save(&self, follower: &mut FollowState) {
        if let Some(MergeTask { parts, mut segment }) = follower.merge.take() {
            match segment.try_recv() {
                Ok(segment) => {
                    let mut snapshot = Snapshot::clone(&self.current());
                    snapshot.replace(&parts, segment);
                    self.publish(snapshot);
                }
                Err(oneshot::error::TryRecvError::Empty) => follower.merge = Some(MergeTask { parts, segment }),
                // The thread failed: the next look tries again.
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
            return;
        }
        let snapshot = self.current();
        let save = if follower.saves.is_due() { self.pending_save(follower, &snapshot) } else { None };
        if save.is_some() {
            follower.saves.postpone();
        }
        let save = match (save, snapshot.only_segment()) {
            (Some(save), Some(segment)) => {
                follower.saves.running = save.start(segment);
                None
            }
            (save, _) => save,
        };
        let is_purge_due = follower.purge_at.is_some_and(|at| at <= Instant::now()) && snapshot.has_removed();
        let merges_all = is_purge_due || save.is_some();
        let parts = if merges_all { &snapshot.parts } else { snapshot.fragments() };
        if merges_all || !parts.is_empty() {
            let is_whole = parts.len() == snapshot.parts.len();
            follower.merge = MergeTask::start(parts.to_vec(), save);
            // Users who are removed from now on are removed from memory by the next merge.
            follower.purge_at = follower.purge_at.filter(|_| follower.merge.is_none() || !is_whole);
        }
    }

    /// Saves the users when the server stops, if no merge is needed for it.
    pub(super) async fn save_at_stop(&self, follower: &mut FollowState) {
        let save = async {
            if let Some(running) = follower.saves.running.take() {
                let _ = running.await;
            }
            let snapshot = self.current();
            if let Some(segment) = snapshot.only_segment()
                && let Some(save) = self.pending_save(follower, &snapshot)
                && let Some(running) = save.start(segment)
            {
                let _ = running.await;
            }
        };
        if timeout(LAST_SAVE_TIMEOUT, save).await.is_err() {
            tracing::debug!("the search index was still being saved when the server stopped");
        }
    }

    /// Cancels a save that the server does not wait for, so that no file remains unfinished.
    pub(super) async fn cancel_save(&self) {
        let Some(file) = self.file.get().cloned() else { return };
        if let Err(error) = spawn_blocking(move || file.cancel_writing()).await {
            tracing::warn!(%error, "failed to cancel a save of the search index");
        }
    }

    /// Returns what is to be saved of a snapshot that has every change up to the position; `None` if the file has it, or if there is
    /// no file. Nobody may be saved of whom it is not known whether they were erased.
    fn pending_save(&self, follower: &FollowState, snapshot: &Snapshot) -> Option<PendingSave> {
        let (file, position) = (self.file.get()?, follower.position.as_ref()?);
        let removals = follower.saves.removals;
        if file.removals() != removals || !file.is_outdated(snapshot.len(), position) {
            return None;
        }
        let header = Header {
            fingerprint: follower.saves.fingerprint.clone()?,
            position: position.clone(),
            has_international_domain: snapshot.has_international_domain(),
        };
        Some(PendingSave { file: Arc::clone(file), header, removals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_saved_soon_once_after_removals_of_the_file() {
        let mut saves = SaveState::default();
        assert!(saves.is_due(), "there is no file yet");
        saves.postpone();
        saves.note_removals(0);
        let usual = saves.not_before;
        assert!(usual > Some(Instant::now() + SAVE_DELAY_AFTER_REMOVAL) && !saves.is_due());
        saves.note_removals(1);
        let soon = saves.not_before;
        assert!(soon < usual && !saves.is_due());
        saves.note_removals(2);
        assert_eq!(saves.not_before, soon, "another removal does not delay the save");
    }
}
