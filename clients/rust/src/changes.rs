//! Follows the changes by server-sent events.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use cynic::{GraphQlResponse, StreamingOperation};
use serde::de::IgnoredAny;
use tokio::time::{sleep, timeout};

use crate::error::{Error, Extensions};
use crate::operations::{Change, ChangesVariables, FollowChanges};
use crate::{Roster, data_of, media_type};

/// The time before the first try after the connection has broken off, doubled for each further one.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The maximum delay before a try.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);
/// The time without a sign of life, which the server shows every 12 seconds, after which a connection is given up.
const SILENCE: Duration = Duration::from_secs(40);
/// The codes of errors that pass by themselves.
const PASSING: [&str; 3] = ["RATE_LIMITED", "UNAVAILABLE", "DEADLINE_EXCEEDED"];

/// The changes of a directory, each exactly once and in the order of the commits. Resumes after the last one whenever the
/// connection breaks off: after a second, and after twice as long with each try that fails, up to half a minute. Each
/// delay is up to a quarter shorter at random, so that not all clients come back at once.
pub struct Changes {
    roster: Roster,
    response: reqwest::Response,
    /// What has been received of the next event.
    buffer: Vec<u8>,
    position: Option<String>,
    /// The tries since a connection has worked: since an event or another sign of life, not only a beginning.
    tries: u32,
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
        timeout(SILENCE, Self::begin(roster, position)).await.unwrap_or(Err(Error::Silent))
    }

    async fn begin(roster: Roster, position: Option<String>) -> Result<Self, Error> {
        let response = connect(&roster, position.as_deref()).await?;
        let mut changes = Self { roster, response, buffer: Vec::new(), position, tries: 0 };
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

    /// Waits for the next change; `None` if there will be no other. After an error, follow anew from
    /// [`position`](Self::position).
    pub async fn next(&mut self) -> Result<Option<Change>, Error> {
        loop {
            while let Some(event) = self.take_event() {
                match event.name.as_deref() {
                    Some("next") => {
                        let response: GraphQlResponse<FollowChanges, Extensions> = serde_json::from_str(&event.data)?;
                        let change = data_of(response)?.changes;
                        self.note_position(event.id);
                        self.tries = 0;
                        return Ok(Some(change));
                    }
                    Some("complete") => return Ok(None),
                    // The position at which the stream begins.
                    _ if event.id.is_some() => self.note_position(event.id),
                    // A comment: the connection works.
                    _ => self.tries = 0,
                }
            }
            match timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.buffer.extend_from_slice(&bytes),
                _ => self.reconnect().await?,
            }
        }
    }

    fn note_position(&mut self, position: Option<String>) {
        if position.is_some() {
            self.position = position;
        }
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        self.buffer.clear();
        loop {
            sleep(retry_delay(self.tries)).await;
            self.tries = self.tries.saturating_add(1);
            match timeout(SILENCE, connect(&self.roster, self.position.as_deref())).await {
                Ok(Ok(response)) => {
                    self.response = response;
                    return Ok(());
                }
                Ok(Err(error)) if !is_passing(&error) => return Err(error),
                _ => {}
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

/// Returns the time before a try, after this many since a connection has worked.
fn retry_delay(tries: u32) -> Duration {
    let longest = RETRY_DELAY.saturating_mul(2_u32.saturating_pow(tries)).min(MAX_RETRY_DELAY);
    // The keys of each state are random.
    let [random, ..] = RandomState::new().hash_one(()).to_le_bytes();
    longest - longest * u32::from(random) / 1024
}

async fn connect(roster: &Roster, position: Option<&str>) -> Result<reqwest::Response, Error> {
    let operation = StreamingOperation::<FollowChanges, _>::subscription(ChangesVariables { after: None });
    let request = roster.post("text/event-stream").json(&operation);
    let request = match position {
        Some(position) => request.header("Last-Event-ID", position),
        None => request,
    };
    let response = request.send().await?;
    if media_type(&response).starts_with("text/event-stream") {
        return Ok(response);
    }
    let unexpected =
        Error::Unexpected { status: response.status().as_u16(), media_type: media_type(&response).to_owned() };
    let body = response.bytes().await?;
    match serde_json::from_slice::<GraphQlResponse<IgnoredAny, Extensions>>(&body) {
        Ok(refused) => data_of(refused).and(Err(Error::NoData)),
        Err(_) => Err(unexpected),
    }
}

/// Returns whether an error is over after a while: the server cannot be reached, is busy or restarts.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Http(_) => true,
        // A proxy in front of a server that restarts, or is busy.
        Error::Unexpected { status, .. } => *status >= 500 || *status == 429,
        Error::Refused { code, .. } => PASSING.contains(&code.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute_and_are_up_to_a_quarter_shorter() {
        let longest = |tries: u32| match tries {
            0..5 => Duration::from_secs(1 << tries),
            _ => MAX_RETRY_DELAY,
        };
        for tries in (0..100).chain([u32::MAX]) {
            let delay = retry_delay(tries);
            assert!((longest(tries) * 3 / 4..=longest(tries)).contains(&delay), "{tries}: {delay:?}");
        }
    }

    #[test]
    fn delays_of_several_clients_differ() {
        let first = retry_delay(0);
        assert!((0..100).any(|_| retry_delay(0) != first));
    }
}
