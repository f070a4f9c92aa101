//! Loading of the users: from the file, or from the database.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{FollowState, Shared};
use crate::audit::sealer;
use crate::error::Error;
use crate::scalar::Id;
use crate::search_index::file::{SavedUsers, Unusable, fingerprint};
use crate::search_index::snapshot::Snapshot;
use crate::search_index::trail::{self, TrailPosition};

/// The source from which the users were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexSource {
    Database,
    File,
}

/// The last loading of the users.
#[derive(Clone, Copy, Debug)]
pub struct IndexLoad {
    pub source: IndexSource,
    pub duration: Duration,
}

impl Shared {
    /// Loads every user.
    pub(super) async fn load(&self, follower: &mut FollowState) -> Result<(), Error> {
        let begun = Instant::now();
        let (count, changed) = self.changed.pending();
        let source = if self.load_file(follower, changed).await? {
            IndexSource::File
        } else {
            self.load_database(follower).await?;
            IndexSource::Database
        };
        self.changed.finish(count);
        self.applied.store(count + 1, Ordering::Release);
        let duration = begun.elapsed();
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Some(IndexLoad { source, duration });
        let source = if source == IndexSource::File { "file" } else { "database" };
        tracing::info!(users = self.current().len(), source, ?duration, "loaded the search index");
        Ok(())
    }

    async fn load_database(&self, follower: &mut FollowState) -> Result<(), Error> {
        let position = TrailPosition::current(self.db.read()).await?;
        let users = trail::read_all(self.db.read()).await?;
        let snapshot = spawn_blocking(move || Snapshot::of(&users)).await.map_err(Error::internal)?;
        self.begin_at(follower, position, snapshot);
        Ok(())
    }

    /// Loads the users of the file and applies the changes since then, and those of this process. Returns false if there is no
    /// file that can be used. Such a file is removed.
    async fn load_file(&self, follower: &mut FollowState, changed: BTreeSet<Id>) -> Result<bool, Error> {
        let Some(file) = self.file.get() else { return Ok(false) };
        let fingerprint = fingerprint(&trail::last_migration(self.db.read()).await?);
        follower.saves.begin(fingerprint.clone());
        // The trail was replaced: the file, and what is being saved, are of the former one.
        if follower.position.is_some() {
            self.remove_file().await;
            return Ok(false);
        }
        let file = Arc::clone(file);
        let read = spawn_blocking(move || file.read(&fingerprint)).await.map_err(Error::internal)?;
        let refusal = match read {
            Ok(None) => return Ok(false),
            Ok(Some(SavedUsers { position, snapshot })) => {
                // An erasure that is committed may not be in the trail yet.
                sealer::try_to_seal(&self.db).await;
                let head = TrailPosition::current(self.db.read()).await?;
                match trail::refusal(self.db.read(), &position, &head).await? {
                    Some(reason) => Unusable::new(reason),
                    None => return self.resume(follower, position, snapshot, changed).await,
                }
            }
            Err(refusal) => refusal,
        };
        tracing::info!(reason = %refusal, "the search index file cannot be used; removing it");
        self.remove_file().await;
        Ok(false)
    }

    /// Brings users who were saved up to date. Returns false if the trail does not have their position any more.
    async fn resume(
        &self,
        follower: &mut FollowState,
        position: TrailPosition,
        snapshot: Snapshot,
        changed: BTreeSet<Id>,
    ) -> Result<bool, Error> {
        self.begin_at(follower, position, snapshot);
        follower.saves.postpone();
        let outcome = match self.apply(follower, changed).await {
            Ok(()) => self.follow(follower).await,
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(true)) {
            follower.position = None;
        }
        outcome
    }

    /// Publishes users who were loaded, and follows their changes from a position.
    fn begin_at(&self, follower: &mut FollowState, position: TrailPosition, snapshot: Snapshot) {
        self.publish(snapshot);
        (follower.position, follower.merge, follower.purge_at) = (Some(position), None, None);
    }

    /// Removes the file, if there is to be one.
    pub(super) async fn remove_file(&self) {
        let Some(file) = self.file.get().cloned() else { return };
        if let Err(error) = spawn_blocking(move || file.remove()).await {
            tracing::error!(%error, "failed to remove the search index file");
        }
    }
}
