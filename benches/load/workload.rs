//! Workloads: the requests, and the check of their responses.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::http::{Connection, Response, post, post_to};

/// One request, ready to be sent.
#[derive(Clone)]
pub struct Request {
    pub bytes: Vec<u8>,
    /// The beginning of the body of a correct response.
    begins: String,
}

/// The server that requests are sent to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Roster,
    /// The bare server beside Roster.
    Bare,
    /// Another GraphQL server on the same database as Roster.
    Peer,
}

/// Requests of one kind, one after the other and then again from the start.
pub struct Workload {
    pub name: &'static str,
    pub target: Target,
    /// The number of concurrent requests, if it does not depend on the command line.
    pub concurrency: Option<usize>,
    source: Source,
    next: AtomicUsize,
    /// The number of nodes of a page. None if the response is not a page, or their number varies.
    nodes: Option<usize>,
}

pub enum Source {
    Ready(Vec<Request>),
    /// Each request is different from all before it.
    Fresh(Box<dyn Fn(usize) -> Request + Send + Sync>),
    Mixed(Vec<Arc<Workload>>),
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Correct,
    /// Rejected because there are too many requests.
    Limited,
    /// Ended because it took too long.
    Late,
    /// Rejected because of an error in the request.
    Rejected,
}

impl Workload {
    pub fn new(name: &'static str, concurrency: Option<usize>, source: Source) -> Arc<Self> {
        Self::on(Target::Roster, name, concurrency, source, None)
    }

    pub fn ready(name: &'static str, requests: Vec<Request>) -> Arc<Self> {
        Self::new(name, None, Source::Ready(requests))
    }

    /// Returns requests to the bare server.
    pub fn bare(name: &'static str, requests: Vec<Request>) -> Arc<Self> {
        Self::on(Target::Bare, name, None, Source::Ready(requests), None)
    }

    pub fn page(name: &'static str, request: Request, nodes: usize) -> Arc<Self> {
        Self::on(Target::Roster, name, None, Source::Ready(vec![request]), Some(nodes))
    }

    /// Returns requests to a server. `nodes` is the number of nodes of each response, if each is a page of that size.
    pub fn on(
        target: Target,
        name: &'static str,
        concurrency: Option<usize>,
        source: Source,
        nodes: Option<usize>,
    ) -> Arc<Self> {
        Arc::new(Self { name, target, concurrency, source, next: AtomicUsize::new(0), nodes })
    }

    /// Sends the next request and checks its response; with `check_whole_body`, the whole body.
    pub async fn send(&self, connection: &mut Connection, check_whole_body: bool) -> Result<Outcome> {
        let request = self.request()?;
        let response = connection.send(&request.bytes).await?;
        let outcome = request.outcome(&response).filter(|outcome| *outcome != Outcome::Rejected);
        let counts = check_whole_body && outcome == Some(Outcome::Correct);
        let nodes_are_there = !counts || self.nodes.is_none_or(|nodes| count_of_nodes(response.body) == Some(nodes));
        outcome.filter(|_| nodes_are_there).with_context(|| format!("{}: {}", self.name, request.describe(&response)))
    }

    /// Fails if the first responses of two workloads differ.
    pub async fn expect_same(&self, other: &Self, addresses: [SocketAddr; 2]) -> Result<()> {
        let mut responses = Vec::new();
        for (workload, address) in [self, other].into_iter().zip(addresses) {
            let Source::Ready(requests) = &workload.source else { return Ok(()) };
            let mut connection = Connection::open(address).await?;
            let response = connection.send(&in_turn(requests, 0)?.bytes).await?;
            responses.push(serde_json::from_str::<Value>(response.body).with_context(|| response.body.to_owned())?);
        }
        let (one, two) = (self.name, other.name);
        ensure!(responses.first() == responses.get(1), "{one} and {two} have different responses: {responses:#?}");
        Ok(())
    }

    fn request(&self) -> Result<Cow<'_, Request>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match &self.source {
            Source::Ready(requests) => in_turn(requests, turn).map(Cow::Borrowed),
            Source::Fresh(make) => Ok(Cow::Owned(make(turn))),
            Source::Mixed(workloads) => in_turn(workloads, turn)?.request(),
        }
    }
}

impl Request {
    /// Returns the outcome of a request. None if the response is wrong.
    pub fn outcome(&self, response: &Response<'_>) -> Option<Outcome> {
        let has = |code: &str| response.body.contains(&format!(r#""{code}""#));
        if response.status == 200
            && response.body.starts_with(&self.begins)
            && !response.body.contains(r#""errors":[{"#)
        {
            Some(Outcome::Correct)
        } else if has("RATE_LIMITED") {
            Some(Outcome::Limited)
        } else if has("UNAVAILABLE") || has("DEADLINE_EXCEEDED") {
            Some(Outcome::Late)
        } else {
            has("BAD_USER_INPUT").then_some(Outcome::Rejected)
        }
    }

    /// Returns the request and the beginning of its response, for an error message.
    pub fn describe(&self, response: &Response<'_>) -> String {
        let sent = String::from_utf8_lossy(&self.bytes);
        let sent = sent.split("\r\n\r\n").nth(1).unwrap_or_default();
        let body: String = response.body.chars().take(500).collect();
        format!("a wrong response to {sent}\n{} {body}", response.status)
    }
}

/// Returns a request to Roster, made of a document and its variables.
pub fn request(address: SocketAddr, token: &str, query: &str, variables: &Value, begins: &str) -> Request {
    let body = json!({"query": query, "variables": variables}).to_string();
    Request { bytes: post(address, token, &body), begins: begins.to_owned() }
}

/// Returns a request to the bare server, made of a path and the parameters.
pub fn bare(address: SocketAddr, path: &str, token: &str, body: &Value) -> Request {
    Request { bytes: post_to(address, path, token, &body.to_string()), begins: r#"{"data":{""#.to_owned() }
}

pub fn in_turn<T>(list: &[T], turn: usize) -> Result<&T> {
    list.get(turn % list.len().max(1)).context("a workload without requests")
}

pub fn count_of_nodes(body: &str) -> Option<usize> {
    let response: Value = serde_json::from_str(body).ok()?;
    let connection = response.get("data")?.as_object()?.values().next()?;
    connection.get("nodes")?.as_array().map(Vec::len)
}
