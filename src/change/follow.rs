//! The executions of the subscriptions `changes` and `userChanged`.

use std::sync::{Arc, OnceLock};

use super::{Change, ChangeFilter, Position};

/// The changes that a subscriber follows.
#[derive(Clone, Debug)]
pub struct Following {
    /// The position after which the events begin; `None` for the current position.
    pub after: Option<Position>,
    /// The objects that are followed.
    pub filter: ChangeFilter,
}

/// The purpose of one execution of a subscription, in the data of its request. async-graphql resolves all events of a
/// subscription with the data that it was started with, the viewer among them. So its document is executed anew for each event,
/// with the viewer and the loaders of that moment.
pub enum Execution {
    /// Checks the viewer's right and the arguments, and records what is followed. Returns no event.
    Start(Arc<Start>),
    /// Returns this change as the only event.
    Event(Change),
}

/// The start of a subscription.
#[derive(Debug, Default)]
pub struct Start {
    /// The position after which the client resumes, in place of the argument `after`.
    pub last_event_id: Option<String>,
    following: OnceLock<Following>,
}

impl Start {
    /// Creates the start of a subscription that resumes after an event, or begins as its argument `after` says.
    #[must_use]
    pub fn new(last_event_id: Option<String>) -> Self {
        Self { last_event_id, following: OnceLock::new() }
    }

    /// Returns what is followed; `None` if the execution did not come to the field, or failed.
    #[must_use]
    pub fn following(&self) -> Option<&Following> {
        self.following.get()
    }

    /// Records what is followed. Only the first field of a document counts.
    pub(super) fn record(&self, following: Following) {
        let _ = self.following.set(following);
    }
}
