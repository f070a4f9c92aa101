//! Follows the changes by server-sent events.

use std::time::Duration;

use cynic::{GraphQlResponse, StreamingOperation};
use serde::de::IgnoredAny;
use tokio::time::sleep;

use crate::error::{Error, Extensions};
use crate::operations::{Change, ChangesVariables, FollowChanges};
use crate::{Roster, data_of, is_event_stream};

/// The time before the next try after the connection has broken off.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The changes of a directory, each exactly once and in the order of the commits. Resumes after the last one whenever the
/// connection breaks off.
pub struct Changes {
    roster: Roster,
    response: reqwest::Response,
    /// What has been received of the next event.
    buffer: Vec<u8>,
    position: Option<String>,
}

/// A block of an event stream.
#[derive(Default)]
struct Event {
    name: Option<String>,
    id: Option<String>,
    data: String,
}

impl Changes {
    pub(crate) async fn open(roster: Roster, position: Option<String>) -> Result<Self, Error> {
        let response = connect(&roster, position.as_deref()).await?;
        let mut changes = Self { roster, response, buffer: Vec::new(), position };
        // The first block is the position at which the stream begins: no later change is missed.
        while !changes.buffer.ends_with(b"\n\n") {
            let bytes = changes.response.chunk().await?.ok_or(Error::NoData)?;
            changes.buffer.extend_from_slice(&bytes);
        }
        Ok(changes)
    }

    /// The position after the last change, from which to follow after a restart of the program.
    #[must_use]
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Waits for the next change; `None` if there will be no other.
    pub async fn next(&mut self) -> Result<Option<Change>, Error> {
        loop {
            while let Some(event) = self.take_event() {
                if event.id.is_some() {
                    self.position = event.id;
                }
                match event.name.as_deref() {
                    Some("next") => {
                        let response: GraphQlResponse<FollowChanges, Extensions> = serde_json::from_str(&event.data)?;
                        return data_of(response).map(|data| Some(data.changes));
                    }
                    Some("complete") => return Ok(None),
                    // The position at which the stream begins, or a comment.
                    _ => {}
                }
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.buffer.extend_from_slice(&bytes),
                Ok(None) | Err(_) => self.reconnect().await?,
            }
        }
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        self.buffer.clear();
        loop {
            sleep(RETRY_DELAY).await;
            match connect(&self.roster, self.position.as_deref()).await {
                Ok(response) => {
                    self.response = response;
                    return Ok(());
                }
                Err(Error::Http(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the first block that is complete.
    fn take_event(&mut self) -> Option<Event> {
        let end = self.buffer.windows(2).position(|two| two == b"\n\n")?;
        let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let mut event = Event::default();
        for line in String::from_utf8_lossy(&block).lines() {
            match line.split_once(": ") {
                Some(("event", name)) => event.name = Some(name.to_owned()),
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("data", data)) => event.data.push_str(data),
                _ => {}
            }
        }
        Some(event)
    }
}

async fn connect(roster: &Roster, position: Option<&str>) -> Result<reqwest::Response, Error> {
    let operation = StreamingOperation::<FollowChanges, _>::subscription(ChangesVariables { after: None });
    let request = roster.post("text/event-stream").json(&operation);
    let request = match position {
        Some(position) => request.header("Last-Event-ID", position),
        None => request,
    };
    let response = request.send().await?;
    if is_event_stream(&response) {
        return Ok(response);
    }
    let refused: GraphQlResponse<IgnoredAny, Extensions> = response.json().await?;
    data_of(refused).and(Err(Error::NoData))
}
