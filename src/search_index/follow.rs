//! Loads the search index, and keeps it up to date with the audit trail.
//!
//! The index belongs to a position of the trail: it has every change up to there. Loading reads the position first and then the
//! users, so that whatever is committed meanwhile comes after the position, and is applied again. To apply an event is to read
//! the row of its user as it is now, so applying one twice does no harm. A large directory saves its users with the position in
//! a file (`upkeep`), and the next process begins there (`load`).
//!
//! Changes of this process need not be in the trail yet: a search reads the rows of the users whom the process has changed since
//! the last search, and the events of these changes are skipped later. Commits of other processes are looked for ten times a
//! second.

mod load;
mod status;
mod task;
mod upkeep;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

pub use self::load::{IndexLoad, IndexSource};
pub use self::status::SearchIndexStatus;
use self::upkeep::SaveState;
use super::admission::Admission;
use super::file::SearchIndexFile;
use super::merge::MergeTask;
use super::request::{Found, SearchRequest};
use super::snapshot::Snapshot;
use super::trail::{self, TrailPosition};
use crate::audit::sealer;
use crate::db::{Db, PendingRows};
use crate::error::Error;
use crate::scalar::Id;
use crate::share::Requester;

/// The time for which the names of users who were removed may stay in memory, unless a merge takes longer.
const PURGE_INTERVAL: Duration = Duration::from_secs(10);
/// The maximum time that a look at the trail may delay the shutdown.
const LAST_LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// The search index of a process; cheap to clone.
#[derive(Clone)]
pub struct SearchIndex(Arc<Shared>);

struct Shared {
    db: Db,
    snapshot: RwLock<Arc<Snapshot>>,
    /// One more than the number of changes of this process that the snapshot has; 0 before the users are loaded.
    applied: AtomicU64,
    /// The users whom this process has changed.
    changed: PendingRows,
    follower: Mutex<FollowState>,
    admission: Admission,
    is_started: AtomicBool,
    is_stopped: AtomicBool,
    /// The search index file, if there is to be one.
    file: OnceLock<Arc<SearchIndexFile>>,
    /// `None` before the users are loaded.
    loaded: RwLock<Option<IndexLoad>>,
    /// The last moment at which the snapshot had every change in the trail; at first, that at which the index was created.
    caught_up_at: RwLock<Instant>,
}

/// The state of following the trail.
#[derive(Default)]
struct FollowState {
    /// `None` before the users are loaded.
    position: Option<TrailPosition>,
    merge: Option<MergeTask>,
    /// The time at which the names of removed users are to be removed from memory.
    purge_at: Option<Instant>,
    saves: SaveState,
}

impl SearchIndex {
    /// Creates the index of a database. It loads the users when it is started or searched.
    #[must_use]
    pub fn new(db: &Db) -> Self {
        Self(Arc::new(Shared {
            db: db.silent(),
            snapshot: RwLock::default(),
            applied: AtomicU64::new(0),
            changed: db.changed_rows(),
            follower: Mutex::default(),
            admission: Admission::default(),
            is_started: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            file: OnceLock::new(),
            loaded: RwLock::default(),
            caught_up_at: RwLock::new(Instant::now()),
        }))
    }

    /// Starts the index. If it has a file, the users are loaded from there, and saved there from time to time.
    pub fn start_with(&self, file: Option<SearchIndexFile>) {
        if let Some(file) = file {
            let _ = self.0.file.set(Arc::new(file));
        }
        self.start();
    }

    /// Starts to load the users and to follow their changes. Does nothing if the index is started.
    pub fn start(&self) {
        if self.0.is_started.swap(true, Ordering::Relaxed) {
            return;
        }
        let (_, runtime) = self.0.db.unlimited();
        runtime.spawn(task::run(Arc::downgrade(&self.0)));
    }

    /// Stops following changes, before the database is closed. Waits a moment for what is under way, and saves the users if that
    /// is a matter of writing them.
    pub async fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
        if let Ok(mut follower) = timeout(LAST_LOOK_TIMEOUT, self.0.follower.lock()).await {
            self.0.save_at_stop(&mut follower).await;
        } else {
            tracing::debug!("the search index was still being loaded when the server stopped");
        }
        self.0.cancel_save().await;
    }

    /// Removes the file, before the erasure of a user is acknowledged. It is written again later, without the user.
    pub async fn remove_file(&self) {
        self.0.remove_file().await;
    }

    /// Returns the users with every change that this process has committed, and those that others had committed a moment ago.
    /// Waits while the users are loaded.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached, or the server stops before the users are loaded.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        self.start();
        let changes = self.0.changed.count();
        if !self.0.has(changes) {
            self.0.catch_up_with_own(changes).await?;
        }
        Ok(self.0.current())
    }

    /// Returns the users with every change that was committed before, by whatever process.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub async fn latest_snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        self.start();
        sealer::try_to_seal(&self.0.db).await;
        self.0.catch_up().await?;
        Ok(self.0.current())
    }

    /// Applies every change in the trail, if the users are loaded. What fails is tried again later, as always.
    pub async fn keep_up(&self) {
        if self.0.has(0)
            && let Err(error) = self.0.catch_up().await
        {
            tracing::debug!(error = error.for_log(), "the search index could not be brought up to date");
        }
    }

    /// Searches a snapshot for a caller. Long searches wait until the caller's share and a processor are free.
    ///
    /// # Errors
    /// `RateLimited` if too many long searches of the caller wait.
    pub async fn search(
        &self,
        snapshot: Arc<Snapshot>,
        who: Requester,
        request: SearchRequest,
    ) -> Result<Found, Error> {
        self.0.admission.search(snapshot, who, request).await
    }
}

impl Shared {
    fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// Returns whether the users are loaded, with this number of changes of this process.
    fn has(&self, changes: u64) -> bool {
        self.applied.load(Ordering::Acquire) > changes
    }

    /// Returns whether changes are no longer followed, because the server stops. Fails if the users were not loaded before.
    fn has_stopped(&self, follower: &FollowState) -> Result<bool, Error> {
        let is_stopped = self.is_stopped.load(Ordering::Relaxed);
        if is_stopped && follower.position.is_none() {
            let cause = std::io::Error::other("the server stopped before the search index was loaded");
            return Err(Error::Unavailable(Arc::new(cause)));
        }
        Ok(is_stopped)
    }

    /// Applies every change of this process, and every one that is in the trail.
    async fn catch_up(&self) -> Result<(), Error> {
        let mut follower = self.follower.lock().await;
        if self.has_stopped(&follower)? {
            return Ok(());
        }
        let begun = Instant::now();
        follower.saves.note_removals(self.file.get().map_or(0, |file| file.removals()));
        self.apply_own(&mut follower).await?;
        if !self.follow(&mut follower).await? {
            self.load(&mut follower).await?;
        }
        *self.caught_up_at.write().unwrap_or_else(PoisonError::into_inner) = begun;
        self.merge_and_save(&mut follower);
        Ok(())
    }

    /// Applies a number of changes of this process, which need not be sealed for it.
    async fn catch_up_with_own(&self, changes: u64) -> Result<(), Error> {
        let mut follower = self.follower.lock().await;
        if self.has(changes) || self.has_stopped(&follower)? {
            return Ok(());
        }
        self.apply_own(&mut follower).await
    }

    /// Applies the changes of this process, or loads the users.
    async fn apply_own(&self, follower: &mut FollowState) -> Result<(), Error> {
        if follower.position.is_none() {
            return self.load(follower).await;
        }
        let (count, ids) = self.changed.pending();
        self.apply(follower, ids).await?;
        self.changed.finish(count);
        self.applied.store(count + 1, Ordering::Release);
        Ok(())
    }

    /// Applies the changes since the last time. Returns false if the users have to be loaded: for the first time, or because the
    /// trail was replaced by another one.
    async fn follow(&self, follower: &mut FollowState) -> Result<bool, Error> {
        let Some(mut position) = follower.position.clone() else { return Ok(false) };
        let head = TrailPosition::current(self.db.read()).await?;
        while position != head {
            let Some((next, events)) = trail::changed_users(self.db.read(), &position, &head).await? else {
                return Ok(false);
            };
            // The users of the others were read after the commits that the events tell of.
            let others = events.into_iter().filter(|event| !self.changed.forget_event(event.id));
            self.apply(follower, others.map(|event| event.user_id).collect()).await?;
            position = next;
            follower.position = Some(position.clone());
        }
        Ok(true)
    }

    /// Applies the changes of some users, by reading their rows.
    async fn apply(&self, follower: &mut FollowState, ids: BTreeSet<Id>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let rows = trail::read(self.db.read(), &ids).await?;
        let mut snapshot = Snapshot::clone(&self.current());
        let frozen = follower.merge.as_ref().map(|merge| merge.parts.clone()).unwrap_or_default();
        let applied = spawn_blocking(move || {
            let has_removed = snapshot.apply_beside(&ids, &rows, &frozen);
            (snapshot, has_removed)
        });
        let (snapshot, has_removed) = applied.await.map_err(Error::internal)?;
        self.publish(snapshot);
        if has_removed {
            self.remove_file().await;
            follower.purge_at = follower.purge_at.or_else(|| Some(Instant::now() + PURGE_INTERVAL));
        }
        Ok(())
    }
}
