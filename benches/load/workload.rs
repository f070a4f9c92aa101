//! Workloads: the requests, and the check of their answers.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::http::{Answer, Connection, post, post_to};

/// One request, ready to be sent.
#[derive(Clone)]
pub struct Request {
    pub bytes: Vec<u8>,
    /// The beginning of the body of a right answer.
    begins: String,
}

/// The server that requests are sent to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Roster,
    /// The bare server beside Roster.
    Bare,
}

/// Requests of one kind, one after the other and then again from the start.
pub struct Workload {
    pub name: &'static str,
    pub asked: Asked,
    /// The number of concurrent requests, if it does not depend on the command line.
    pub concurrency: Option<usize>,
    source: Source,
    next: AtomicUsize,
    /// The number of nodes of a page. None if the answer is not a page, or their number varies.
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
pub enum Verdict {
    Right,
    /// Refused because there are too many requests.
    Limited,
    /// Ended because it took too long.
    Late,
    /// Refused because of an error in the request.
    Refused,
}

impl Workload {
    pub fn new(name: &'static str, concurrency: Option<usize>, source: Source) -> Arc<Self> {
        let next = AtomicUsize::new(0);
        Arc::new(Self { name, asked: Asked::Roster, concurrency, source, next, nodes: None })
    }

    pub fn ready(name: &'static str, requests: Vec<Request>) -> Arc<Self> {
        Self::new(name, None, Source::Ready(requests))
    }

    /// Returns requests to the bare server.
    pub fn bare(name: &'static str, requests: Vec<Request>) -> Arc<Self> {
        let (source, next) = (Source::Ready(requests), AtomicUsize::new(0));
        Arc::new(Self { name, asked: Asked::Bare, concurrency: None, source, next, nodes: None })
    }

    pub fn page(name: &'static str, request: Request, nodes: usize) -> Arc<Self> {
        let (source, next) = (Source::Ready(vec![request]), AtomicUsize::new(0));
        Arc::new(Self { name, asked: Asked::Roster, concurrency: None, source, next, nodes: Some(nodes) })
    }

    /// Sends the next request and checks its answer; with `closely`, the whole answer.
    pub async fn ask(&self, connection: &mut Connection, closely: bool) -> Result<Verdict> {
        let request = self.request()?;
        let answer = connection.ask(&request.bytes).await?;
        let verdict = request.verdict(&answer).filter(|verdict| *verdict != Verdict::Refused);
        let counts = closely && verdict == Some(Verdict::Right);
        let nodes_are_there = !counts || self.nodes.is_none_or(|nodes| count_of_nodes(answer.body) == Some(nodes));
        verdict.filter(|_| nodes_are_there).with_context(|| format!("{}: {}", self.name, request.complaint(&answer)))
    }

    /// Fails if the first answers of two workloads differ.
    pub async fn expect_same(&self, other: &Self, addresses: [SocketAddr; 2]) -> Result<()> {
        let mut answers = Vec::new();
        for (workload, address) in [self, other].into_iter().zip(addresses) {
            let Source::Ready(requests) = &workload.source else { return Ok(()) };
            let mut connection = Connection::open(address).await?;
            let answer = connection.ask(&in_turn(requests, 0)?.bytes).await?;
            answers.push(serde_json::from_str::<Value>(answer.body).with_context(|| answer.body.to_owned())?);
        }
        let (one, two) = (self.name, other.name);
        ensure!(answers.first() == answers.get(1), "{one} and {two} have different answers: {answers:#?}");
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
    /// Returns the verdict on an answer. None if the answer is wrong.
    pub fn verdict(&self, answer: &Answer<'_>) -> Option<Verdict> {
        let has = |code: &str| answer.body.contains(&format!(r#""{code}""#));
        if answer.status == 200 && answer.body.starts_with(&self.begins) && !answer.body.contains(r#""errors":[{"#) {
            Some(Verdict::Right)
        } else if has("RATE_LIMITED") {
            Some(Verdict::Limited)
        } else if has("UNAVAILABLE") || has("DEADLINE_EXCEEDED") {
            Some(Verdict::Late)
        } else {
            has("BAD_USER_INPUT").then_some(Verdict::Refused)
        }
    }

    /// Returns the request and the beginning of its answer, for an error message.
    pub fn complaint(&self, answer: &Answer<'_>) -> String {
        let sent = String::from_utf8_lossy(&self.bytes);
        let sent = sent.split("\r\n\r\n").nth(1).unwrap_or_default();
        let body: String = answer.body.chars().take(500).collect();
        format!("a wrong answer to {sent}\n{} {body}", answer.status)
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
    let answer: Value = serde_json::from_str(body).ok()?;
    let connection = answer.get("data")?.as_object()?.values().next()?;
    connection.get("nodes")?.as_array().map(Vec::len)
}
