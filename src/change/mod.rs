//! Changes: what was committed to users, groups, institutions and licenses, in the order of the commits.
//!
//! A change is an event of the audit trail. The numbers of the events have no gaps and follow the order of the commits,
//! so a position in the trail is a position among the changes. The viewer's rights are applied to each change
//! when a page is read.

mod arguments;
pub mod feed;
mod field;
pub mod follow;
mod kind;
pub mod query;
mod recent;
pub mod subscription;
mod trail;
mod visible;

use chrono::{DateTime, Utc};

pub use self::kind::{ChangeKind, NodeType};
use self::trail::{Bounds, Event, EventPage};
use crate::access::Viewer;
use crate::audit::sealer;
use crate::db::Db;
use crate::error::Error;
use crate::graphql::position;
pub use crate::graphql::position::Position;
use crate::scalar::Id;

/// The number of events that are read first. A page of changes seldom needs more.
const FIRST_EVENTS: usize = 100;
/// Maximum number of events that are read for one page. Most events of a trail may be no changes, such as sign-ins.
const MAX_EVENTS: usize = 1_000;

/// The objects whose changes are requested.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// The types of the objects; `None` for all.
    pub types: Option<Vec<NodeType>>,
    /// The IDs of the objects; `None` for all.
    pub ids: Option<Vec<Id>>,
}

impl ChangeFilter {
    /// Returns whether the changes of an object are requested.
    fn includes(&self, node_type: NodeType, id: Id) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&node_type))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&id))
    }
}

/// A request for a page of changes.
#[derive(Clone, Debug)]
pub struct ChangesRequest {
    /// The position after which the page begins; `None` for the current position, after which there is nothing yet.
    pub after: Option<Position>,
    /// The objects whose changes are on the page.
    pub filter: ChangeFilter,
    /// The maximum number of changes, at least 1.
    pub first: usize,
}

/// A change, as far as a viewer can see it.
#[derive(Clone, Debug)]
pub struct Change {
    pub position: Position,
    pub kind: ChangeKind,
    pub node_type: NodeType,
    /// The ID of the object.
    pub id: Id,
    /// The changed fields that the viewer can see. Empty if the object was deleted or removed.
    pub changed_fields: Vec<String>,
    pub at: DateTime<Utc>,
}

/// A page of changes.
#[derive(Clone, Debug)]
pub struct ChangePage {
    pub changes: Vec<Change>,
    /// The position after everything that was read for the page, visible or not.
    pub position: Position,
    /// Whether there are events after this position.
    pub has_more: bool,
}

/// The result of reading a page.
pub enum Outcome {
    Page(ChangePage),
    /// The trail does not contain the position of the request: it was restored from a backup, or is another one.
    SnapshotRequired {
        current: Position,
    },
}

/// Reads the changes after a position up to this moment, so that a client that writes and then reads finds its own. Otherwise
/// like [`read_page`].
///
/// # Errors
/// That the database cannot be reached.
pub async fn read_latest_page(db: &Db, viewer: &Viewer, request: &ChangesRequest) -> Result<Outcome, Error> {
    sealer::try_to_seal(db).await;
    read_page(db, viewer, request).await
}

/// Reads the changes after a position, as far as the viewer can see them. A page may have fewer changes than requested,
/// or none, although there are more.
///
/// # Errors
/// That the database cannot be reached.
pub async fn read_page(db: &Db, viewer: &Viewer, request: &ChangesRequest) -> Result<Outcome, Error> {
    let db = db.read();
    let Some(after) = request.after else {
        let position = position::current(db, viewer).await?;
        return Ok(Outcome::Page(ChangePage { changes: Vec::new(), position, has_more: false }));
    };
    // The end is read first: every event up to it is committed, and later ones belong to the next page.
    let Bounds { is_known, end } = trail::bounds(db, viewer, after).await?;
    if !is_known {
        return Ok(Outcome::SnapshotRequired { current: end });
    }
    let mut page = ChangePage { changes: Vec::new(), position: after, has_more: false };
    for limit in [FIRST_EVENTS, MAX_EVENTS - FIRST_EVENTS] {
        if page.position.seq() >= end.seq() || page.changes.len() >= request.first {
            break;
        }
        let EventPage { events, has_more, is_long } = trail::events(db, viewer, page.position, end, limit).await?;
        let read = events.last().filter(|_| has_more).map_or(end, Event::position);
        let room = request.first - page.changes.len();
        page.changes.extend(visible::changes(db, viewer, &request.filter, events, room).await?);
        let is_full = page.changes.len() >= request.first;
        page.position = page.changes.last().filter(|_| is_full).map_or(read, |last| last.position);
        if is_long {
            break;
        }
    }
    page.has_more = page.position.seq() < end.seq();
    Ok(Outcome::Page(page))
}
