//! The feed of a process: one task looks for new events in the audit trail, and wakes the subscribers of their licenses.
//! So the number of statements does not depend on the number of subscribers whom no change concerns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::recent::{RecentChange, RecentChanges};
use super::{ChangeFilter, ChangeKind, NodeType, Position};
use crate::audit::{self, sealer};
use crate::db::{Db, Reader};
use crate::entity::audit_event::{self, SubjectType};
use crate::error::Error;
use crate::repeated::Repeated;
use crate::scalar::Id;
use crate::search_index::SearchIndex;

/// The time between two looks at the head of the trail, unless this process commits something: other processes may.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The time for which commits are gathered, so that many of them take few looks.
const GATHER_INTERVAL: Duration = Duration::from_millis(5);
/// The same while the database cannot be reached.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of new events that are searched for changes; with more, as after an import, every subscriber reads
/// them.
const MAX_SEARCHED: i64 = 10_000;

/// The head of the trail, as the subscribers of a license know it.
#[derive(Debug)]
pub struct Head {
    /// The position after the last event, of whatever license.
    pub position: Position,
    /// Changes when the trail is replaced by another one, as by a backup that is restored.
    pub history: u64,
    /// The last changes of the license up to `position`.
    recent: RecentChanges,
}

impl Head {
    /// Returns whether an event after a position may be a change that a viewer follows, or may have changed their
    /// rights.
    #[must_use]
    pub fn may_concern(&self, after: Position, filter: &ChangeFilter, viewer: Id) -> bool {
        self.recent.may_concern(after, filter, viewer)
    }
}

/// The feed of a process; cheap to clone.
#[derive(Clone)]
pub struct Feed {
    db: Db,
    search_index: SearchIndex,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The head of the trail at the last look; `None` before the first.
    head: Option<Position>,
    /// How often the trail was replaced by another one.
    history: u64,
    /// The subscribers of each license; `None` for those of all licenses.
    channels: HashMap<Option<Id>, watch::Sender<Head>>,
    /// Whether the task runs that looks for new events.
    is_polling: bool,
}

impl Feed {
    /// Creates the feed of a database. It does nothing until somebody subscribes. The search index has each change before the
    /// feed tells of it: clients search again as soon as they hear of a change.
    #[must_use]
    pub fn new(db: Db, search_index: SearchIndex) -> Self {
        Self { db, search_index, state: Arc::default() }
    }

    /// Subscribes to the changes of a license, or of all licenses. The receiver is woken by each change that is committed from
    /// now on; the head itself may be updated without waking it.
    #[must_use]
    pub fn subscribe(&self, license: Option<Id>) -> watch::Receiver<Head> {
        let mut state = self.lock();
        let (position, history) = (state.head.unwrap_or(Position::START), state.history);
        // Any event up to the head may be a change: nobody searched for those of this license.
        let channel = || watch::Sender::new(Head { position, history, recent: RecentChanges::since(position) });
        let receiver = state.channels.entry(license).or_insert_with(channel).subscribe();
        if !state.is_polling {
            state.is_polling = true;
            tokio::spawn(self.clone().poll());
        }
        receiver
    }

    /// Looks for new events as long as there are subscribers.
    async fn poll(self) {
        let (failures, mut commits) = (Repeated::new(), self.db.committed());
        while self.has_subscribers() {
            // Before the look, so that a commit during it ends the pause.
            commits.mark_unchanged();
            if let Err(error) = self.look().await {
                if let Some(times) = failures.count() {
                    let error = error.for_log();
                    tracing::warn!(error, times, "failed to read the head of the audit trail; subscribers wait");
                }
                sleep(RETRY_INTERVAL).await;
            } else if timeout(POLL_INTERVAL, commits.changed()).await.is_ok() {
                sleep(GATHER_INTERVAL).await;
            }
        }
    }

    /// Forgets the channels without subscribers; returns whether there are others. If not, the task ends.
    fn has_subscribers(&self) -> bool {
        let mut state = self.lock();
        state.channels.retain(|_, channel| channel.receiver_count() > 0);
        state.is_polling = !state.channels.is_empty();
        if !state.is_polling {
            state.head = None;
        }
        state.is_polling
    }

    /// Reads the head of the trail, and wakes the subscribers of the licenses with changes since the last look.
    async fn look(&self) -> Result<(), Error> {
        let known = self.lock().head;
        // The sealer of the process does the same, but not in the same moment.
        sealer::try_to_seal(&self.db).await;
        let head = read_head(self.db.read()).await?;
        if known == Some(head) {
            return Ok(());
        }
        self.search_index.keep_up().await;
        if let Some(known) = known
            && !contains(self.db.read(), known).await?
        {
            self.lock().history += 1;
            self.publish(head, None);
            return Ok(());
        }
        let searched = known.filter(|known| (1..=MAX_SEARCHED).contains(&(head.seq() - known.seq())));
        let changes = match searched {
            Some(known) => Some(changes_between(self.db.read(), known, head).await?),
            None => None,
        };
        self.publish(head, changes.as_deref());
        Ok(())
    }

    /// Tells the subscribers the head. `changes` has the new changes with their licenses, oldest first; `None` if they
    /// are not known.
    fn publish(&self, head: Position, changes: Option<&[(Id, RecentChange)]>) {
        let mut state = self.lock();
        state.head = Some(head);
        let history = state.history;
        for (license, channel) in &state.channels {
            channel.send_if_modified(|known| {
                (known.position, known.history) = (head, history);
                let Some(changes) = changes else {
                    known.recent = RecentChanges::since(head);
                    return true;
                };
                let of_license = changes.iter().filter(|(of, _)| license.is_none_or(|license| license == *of));
                known.recent.add(of_license.map(|(_, change)| *change))
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_head(db: &Reader) -> Result<Position, Error> {
    let audit::Head { seq, hash } = audit::Head::current(db).await?;
    Ok(if seq == 0 { Position::START } else { Position::after(seq, &hash) })
}

/// Returns whether the trail has this position. If not, it was replaced by another one.
async fn contains(db: &Reader, position: Position) -> Result<bool, Error> {
    use audit_event::Column;
    let event = audit_event::Entity::find()
        .select_only()
        .columns([Column::Seq, Column::Hash])
        .filter(Column::Seq.eq(position.seq()))
        .into_tuple::<(i64, Vec<u8>)>()
        .one(db)
        .await?;
    Ok(event.map_or(Position::START, |(seq, hash)| Position::after(seq, &hash)) == position)
}

/// Returns the changes among the events between two positions with their licenses, oldest first.
async fn changes_between(db: &Reader, after: Position, until: Position) -> Result<Vec<(Id, RecentChange)>, Error> {
    use audit_event::Column;
    let events = audit_event::Entity::find()
        .select_only()
        .columns([Column::Seq, Column::LicenseId, Column::SubjectType, Column::SubjectId])
        .filter(Column::Seq.gt(after.seq()))
        .filter(Column::Seq.lte(until.seq()))
        .filter(Column::Action.is_in(ChangeKind::actions()))
        .order_by_asc(Column::Seq)
        .into_tuple::<(i64, Id, SubjectType, Id)>()
        .all(db)
        .await?;
    let change = |(seq, license, subject, id)| {
        NodeType::of_subject(subject).map(|node_type| (license, RecentChange { seq, node_type, id }))
    };
    Ok(events.into_iter().filter_map(change).collect())
}
