//! The events of one subscription: first the changes that were missed, then those that are committed from then on.
//!
//! Rights are read after the data. An event is made with the rights of the last check; then the rights are read again, and the
//! event is sent only if they are the same. So everything in it was read before a moment at which the viewer had these rights,
//! and nothing that was committed after a withdrawal is ever sent. If the rights differ, the event is thrown away, and the page
//! that it comes from is judged again by the new ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Request, Response, ServerError, Value};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{App, errors};
use crate::access::{SignedIn, Viewer};
use crate::budget::Budget;
use crate::change::feed::Head;
use crate::change::follow::{Execution, Following};
use crate::change::{Change, ChangePage, ChangesRequest, Outcome, Position, read_latest_page, read_page};
use crate::error::{Error, TopLevelCode, unavailability};
use crate::graphql::pagination::CursorKey;
use crate::graphql::projection::SelectedFields;
use crate::http::{Caller, Event, Events, HttpError};
use crate::session::TokenUse;
use crate::share::{Requester, Share};

/// The number of changes that are read at once.
const PAGE_SIZE: usize = 100;
/// The time after which a subscriber for whom there is nothing moves on to the head of the trail. So it need not search all that
/// was committed meanwhile when there is something at last. Its document may have been withdrawn as well.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);
/// The time between two attempts while the database cannot be reached.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The time after which the changes of a page are judged anew by what the viewer can see.
const MAX_PAGE_AGE: Duration = Duration::from_secs(1);
/// Maximum number of failed attempts in a row, after which the subscription ends.
const MAX_FAILURES: u32 = 60;

/// A subscription, as it was requested.
pub(super) struct Subscription {
    pub(super) caller: Caller,
    /// The request with the document.
    pub(super) document: Request,
    /// The hash of the document if it is a trusted one.
    pub(super) trusted: Option<String>,
    pub(super) fields: Arc<SelectedFields>,
    pub(super) following: Following,
}

/// A subscriber, between two events.
pub(super) struct Follower {
    app: App,
    subscription: Subscription,
    /// The viewer as of the last check.
    viewer: SignedIn,
    heads: watch::Receiver<Head>,
    /// The history of the trail as of the last look at the head.
    history: u64,
    /// The position after the last change that was sent; `None` until the beginning is known.
    position: Option<Position>,
    /// Whether there may be changes after the position although the head tells of none.
    must_read: bool,
    /// The changes that were read and are still to be sent.
    page: VecDeque<Change>,
    page_read_at: Instant,
    /// The position after the page.
    end_of_page: Position,
    failures: u32,
}

impl Follower {
    /// Creates a follower for a viewer who was authenticated just now.
    pub(super) fn new(app: App, viewer: SignedIn, subscription: Subscription) -> Self {
        let heads = app.feed.subscribe(Viewer::SignedIn(viewer.clone()).license_of_lists());
        let history = heads.borrow().history;
        Self {
            app,
            subscription,
            viewer,
            heads,
            history,
            position: None,
            must_read: true,
            page: VecDeque::new(),
            page_read_at: Instant::now(),
            end_of_page: Position::START,
            failures: 0,
        }
    }

    /// Returns the events. Nothing is read before the next event is asked for, so a client that does not read costs nothing.
    pub(super) fn events(self) -> Events {
        stream::unfold(Some(self), |follower| async move {
            let mut follower = follower?;
            let event = follower.next().await;
            let is_last = matches!(event, Event::Failed(_) | Event::Refused(_));
            Some((event, (!is_last).then_some(follower)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Event {
        loop {
            match self.step().await {
                Ok(event) => {
                    self.failures = 0;
                    if let Some(event) = event {
                        return event;
                    }
                }
                Err(Error::Unavailable(cause)) if self.failures < MAX_FAILURES => {
                    if self.failures == 0 {
                        tracing::debug!(%cause, "{}; a subscriber waits", unavailability(&*cause));
                    }
                    self.failures += 1;
                    sleep(RETRY_INTERVAL).await;
                }
                Err(error) => return self.last_event(error),
            }
        }
    }

    /// Returns the event with which the subscription ends because of an error.
    fn last_event(&self, error: Error) -> Event {
        match error {
            Error::Unauthenticated => Event::Refused(HttpError::unauthenticated()),
            Error::DocumentNotTrusted => Event::Refused(HttpError::document_not_trusted()),
            Error::Unavailable(_) | Error::Internal(_) => {
                Event::Refused(errors::log(error, &self.subscription.caller, "a subscription failed"))
            }
            error => Event::Failed(errors::error_response(error)),
        }
    }

    /// Makes the next event, or reads the next page, or waits; `None` if there is no event yet.
    async fn step(&mut self) -> Result<Option<Event>, Error> {
        if !self.page.is_empty() && self.page_read_at.elapsed() > MAX_PAGE_AGE {
            self.page.clear();
            self.must_read = true;
        }
        if let Some(change) = self.page.front() {
            let change = change.clone();
            return self.send(change).await;
        }
        let (head, history, is_concerned) = {
            let (filter, viewer) = (&self.subscription.following.filter, self.viewer.user_id);
            let head = self.heads.borrow_and_update();
            let is_concerned = self.position.is_none_or(|position| head.may_concern(position, filter, viewer));
            (head.position, head.history, is_concerned)
        };
        if history != self.history {
            self.history = history;
            self.must_read = true;
        }
        match self.position {
            Some(position) if !self.must_read && !is_concerned => {
                // No event between the two is a change that is followed.
                self.position = Some(later(position, head));
                self.wait().await.map(|()| None)
            }
            _ => self.read(head).await,
        }
    }

    /// Makes the event for the first change of the page; `None` if the rights have changed.
    async fn send(&mut self, change: Change) -> Result<Option<Event>, Error> {
        let Some(slot) = self.slot(self.must_read || self.page.len() > 1).await else { return Ok(None) };
        let (viewer, position) = (self.viewer(), change.position);
        let Subscription { caller, document, fields, .. } = &mut self.subscription;
        let (caller, fields, event) = (caller.clone(), Arc::clone(fields), Execution::Event(change));
        let executed = self.app.execute_event(document, caller, viewer, fields, event).await;
        drop(slot);
        let bytes = executed.as_ref().map_or(0, |(_, bytes)| *bytes);
        let Ok(send_permit) = self.app.admit_long_response(self.requester(), bytes, false).await else {
            // It is made again, so that it need not be kept until the caller has read others.
            drop(executed);
            sleep(RETRY_INTERVAL).await;
            return Ok(None);
        };
        if !self.has_same_rights().await? {
            self.page.clear();
            self.must_read = true;
            return Ok(None);
        }
        let (response, _) = executed.ok_or_else(|| Error::internal("a subscription returned no event"))?;
        if is_unavailable(&response) {
            return Err(Error::Unavailable(Arc::new(std::io::Error::other("a field of an event cannot be read"))));
        }
        self.page.pop_front();
        self.position = Some(if self.page.is_empty() { self.end_of_page } else { position });
        Ok(Some(Event::Next { response, position: Some(self.encode(position)), send_permit }))
    }

    /// Reads the page after the position. The head was known before.
    async fn read(&mut self, head: Position) -> Result<Option<Event>, Error> {
        let Some(_slot) = self.slot(self.must_read).await else { return Ok(None) };
        let is_first = self.position.is_none();
        let after = if is_first { self.subscription.following.after } else { self.position };
        let request = ChangesRequest { after, filter: self.subscription.following.filter.clone(), first: PAGE_SIZE };
        let db = self.app.db.within(Budget::default(), self.requester());
        let viewer = self.viewer();
        // A client that writes and then subscribes begins after its own changes.
        let outcome = if is_first {
            read_latest_page(&db, &viewer, &request).await?
        } else {
            read_page(&db, &viewer, &request).await?
        };
        // The rights are checked here unless they are with each change of the page.
        let has_changes = matches!(&outcome, Outcome::Page(page) if !page.changes.is_empty());
        if !has_changes && !self.has_same_rights().await? {
            self.must_read = true;
            return Ok(None);
        }
        let ChangePage { changes, position, has_more } = match outcome {
            Outcome::Page(page) => page,
            Outcome::SnapshotRequired { current } => {
                return Err(Error::SnapshotRequired { position: self.encode(current) });
            }
        };
        let begin = after.unwrap_or(position);
        // Without more, everything up to the head was examined: it was committed before the page was read.
        self.end_of_page = if has_more { position } else { later(position, head) };
        self.must_read = has_more;
        self.position = Some(if changes.is_empty() { self.end_of_page } else { begin });
        (self.page, self.page_read_at) = (changes.into(), Instant::now());
        Ok(is_first.then(|| Event::Begin { position: self.encode(begin) }))
    }

    /// Waits for a slot of the viewer if the subscription catches up; otherwise none is needed. `None` if there is none in time.
    async fn slot(&self, is_catching_up: bool) -> Option<Option<Share<Requester>>> {
        if !is_catching_up {
            return Some(None);
        }
        let slot = self.app.catching_up.take(self.requester()).await;
        if slot.is_none() {
            sleep(RETRY_INTERVAL).await;
        }
        slot.map(Some)
    }

    /// Waits until there is a change, or for a while, and checks that the document was not withdrawn meanwhile.
    async fn wait(&mut self) -> Result<(), Error> {
        tokio::select! {
            changed = self.heads.changed() => changed.map_err(Error::internal)?,
            () = sleep(REFRESH_INTERVAL) => {}
        }
        match self.app.check_still_trusted(&self.viewer, self.subscription.trusted.as_deref()).await {
            // An outage is no reason to end a subscription that has nothing to send.
            Err(Error::Unavailable(_)) => Ok(()),
            checked => checked,
        }
    }

    /// Reads the viewer's rights again; returns whether they are the same as before.
    ///
    /// # Errors
    /// `Unauthenticated` if the session or the API key has ended, the user is inactive, or the license is not in force;
    /// `DocumentNotTrusted` if the document was withdrawn.
    async fn has_same_rights(&mut self) -> Result<bool, Error> {
        let caller = &self.subscription.caller;
        let token = caller.token.as_deref().ok_or(Error::Unauthenticated)?;
        let request_id = Some(caller.request_id.clone());
        let viewer = self.app.authenticator.authenticate(token, TokenUse::OpenConnection, request_id).await?;
        self.app.check_still_trusted(&viewer, self.subscription.trusted.as_deref()).await?;
        if viewer == self.viewer {
            return Ok(true);
        }
        self.viewer = viewer;
        self.heads = self.app.feed.subscribe(self.viewer().license_of_lists());
        Ok(false)
    }

    fn requester(&self) -> Requester {
        Requester::User(self.viewer.user_id)
    }

    fn viewer(&self) -> Viewer {
        Viewer::SignedIn(self.viewer.clone())
    }

    fn encode(&self, position: Position) -> String {
        position.encode(&CursorKey::new(&self.app.keys.keys()))
    }
}

/// Returns the later one of two positions.
fn later(one: Position, other: Position) -> Position {
    if other.seq() > one.seq() { other } else { one }
}

/// Returns whether a field of an event could not be read because the database cannot be reached. Such an event is made again.
fn is_unavailable(response: &Response) -> bool {
    let unavailable = Value::from(TopLevelCode::Unavailable.as_str());
    let code = |error: &ServerError| error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    response.errors.iter().any(|error| code(error).as_ref() == Some(&unavailable))
}
