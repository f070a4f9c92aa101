//! A client of event streams.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::app::Caller;

/// The timeout of every wait.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An open event stream.
pub struct EventStream {
    pub response: reqwest::Response,
    received: String,
}

/// A block of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamEvent {
    pub id: Option<String>,
    /// Empty if the block is no event.
    pub event: String,
    pub data: Value,
}

impl EventStream {
    /// Sends a request that accepts event streams only.
    pub async fn open(url: &str, token: Option<&str>, body: &Value, last_event_id: Option<&str>) -> Self {
        let client = reqwest::Client::new();
        Self::of(Self::request(&client, url, token, body, last_event_id).send().await.unwrap())
    }

    /// Sends the same to a server that may be killed at any moment; `None` if it does not open a stream.
    pub async fn try_open(
        client: &reqwest::Client,
        url: &str,
        token: Option<&str>,
        body: &Value,
        last_event_id: Option<&str>,
    ) -> Option<Self> {
        let response = Self::request(client, url, token, body, last_event_id).send().await.ok()?;
        response.status().is_success().then(|| Self::of(response))
    }

    fn request(
        client: &reqwest::Client,
        url: &str,
        token: Option<&str>,
        body: &Value,
        last_event_id: Option<&str>,
    ) -> reqwest::RequestBuilder {
        let mut request = client.post(url).header("accept", "text/event-stream").json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        request
    }

    pub fn of(response: reqwest::Response) -> Self {
        Self { response, received: String::new() }
    }

    /// The text up to the next blank line; `None` if the stream ends before.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.received.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.received = rest;
                return Some(block);
            }
            let chunk = timeout(TIMEOUT, self.response.chunk()).await.expect("the stream goes on or ends");
            // An error means that the connection has broken off, perhaps within an event.
            let Some(chunk) = chunk.ok()? else {
                assert_eq!(self.received, "", "an event is incomplete");
                return None;
            };
            self.received.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next block that is no comment; `None` if the stream ends before.
    pub async fn event(&mut self) -> Option<StreamEvent> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                continue;
            }
            let mut event = StreamEvent::default();
            for line in block.lines() {
                match line.split_once(':').unwrap_or_else(|| panic!("{block}")) {
                    ("id", id) => event.id = Some(id.trim().to_owned()),
                    ("event", name) => name.trim().clone_into(&mut event.event),
                    ("data", "") => event.data = Value::Null,
                    ("data", data) => event.data = serde_json::from_str(data).unwrap(),
                    _ => panic!("{block}"),
                }
            }
            return Some(event);
        }
    }

    /// The ID with which the stream begins.
    pub async fn begin(&mut self) -> String {
        let begin = self.event().await.expect("a beginning");
        assert_eq!((begin.event.as_str(), &begin.data), ("", &Value::Null), "{begin:?}");
        begin.id.unwrap()
    }

    /// The next result, which must have no errors, and its ID.
    pub async fn next(&mut self) -> (String, Value) {
        let event = self.event().await.expect("an event");
        assert!(event.event == "next" && event.data.get("errors").is_none(), "{event:#?}");
        (event.id.unwrap(), event.data["data"].clone())
    }

    /// The code of the error with which the stream ends.
    pub async fn failure(&mut self) -> String {
        let event = self.event().await.expect("an error");
        assert_eq!(event.event, "next", "{event:#?}");
        let code = event.data.pointer("/errors/0/extensions/code").and_then(Value::as_str);
        let code = code.unwrap_or_else(|| panic!("{event:#?}")).to_owned();
        self.complete().await;
        code
    }

    /// Checks that the stream is complete.
    pub async fn complete(&mut self) {
        let last = StreamEvent { event: "complete".to_owned(), ..StreamEvent::default() };
        assert_eq!(self.event().await, Some(last));
        assert_eq!(self.event().await, None);
    }
}

impl Caller<'_> {
    /// Starts a subscription over an event stream, and reads its beginning.
    pub async fn stream(&self, query: &str, variables: Value) -> EventStream {
        let mut stream = self.open_stream(query, variables, None).await;
        stream.begin().await;
        stream
    }

    pub async fn open_stream(&self, query: &str, variables: Value, last_event_id: Option<&str>) -> EventStream {
        let body = serde_json::json!({ "query": query, "variables": variables });
        let url = format!("{}/graphql", self.app.url());
        EventStream::open(&url, self.token.as_deref(), &body, last_event_id).await
    }
}
