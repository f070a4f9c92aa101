//! The spans of a request: collected while it runs, and queued for the export when it has ended.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use tokio::task::futures::TaskLocalFuture;

use super::{StatementName, TraceContext};

/// Maximum number of spans within one request; further ones are only counted.
const MAX_CHILDREN: usize = 64;

tokio::task_local! {
    static CURRENT: Current;
}

/// The trace of the request under way; `None` if it is not recorded.
pub type Current = Option<Arc<RequestTrace>>;

/// The work of a span within a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// An SQL statement.
    Statement(StatementName),
    /// A password hash, or the strength of a password.
    PasswordHash,
}

/// A span within a request.
#[derive(Clone, Debug)]
pub struct ChildSpan {
    pub work: Work,
    pub start: SystemTime,
    pub end: SystemTime,
}

/// The facts about a request that its span shows. None of them is personal, and none is chosen by a client.
#[derive(Clone, Debug)]
pub struct RequestSummary {
    pub request_id: String,
    /// The HTTP method; `_OTHER` if it is not a usual one.
    pub method: &'static str,
    /// The type of the operation; `None` if there is none.
    pub operation_type: Option<&'static str>,
    /// The name of a trusted operation.
    pub operation: Option<String>,
    /// The ID of the trusted document.
    pub document: Option<String>,
    /// `None` if the caller disconnected.
    pub status: Option<u16>,
    /// The code of the first error, `ok` or `disconnected`.
    pub outcome: &'static str,
    /// Whether the server failed, rather than its caller.
    pub is_failure: bool,
}

/// A request that has ended, with its spans.
#[derive(Clone, Debug)]
pub struct FinishedTrace {
    pub context: TraceContext,
    pub start: SystemTime,
    pub end: SystemTime,
    pub summary: RequestSummary,
    pub children: Vec<ChildSpan>,
    /// The number of spans that were not recorded, because there were too many.
    pub dropped_children: u32,
}

/// Records requests if traces are exported; cheap to clone. By default, it records none.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Option<Sender<FinishedTrace>>);

impl Recorder {
    /// Creates a recorder and the queue of the requests that it has recorded. While `capacity` requests are under way or in the
    /// queue, no other is recorded.
    #[must_use]
    pub fn with_queue(capacity: usize) -> (Self, Receiver<FinishedTrace>) {
        let (sender, receiver) = channel(capacity);
        (Self(Some(sender)), receiver)
    }

    /// Begins to record a request, unless its caller does not record the trace or there is no room for it. Returns the context
    /// that the request has then.
    #[must_use]
    pub fn begin(&self, context: TraceContext) -> (TraceContext, Current) {
        let is_wanted = context.is_sampled() || context.begins_here();
        let queue = self.0.as_ref().filter(|_| is_wanted);
        let Some(permit) = queue.and_then(|queue| queue.clone().try_reserve_owned().ok()) else {
            return (context, None);
        };
        let context = context.sampled();
        let spans = Spans { permit: Some(permit), end: None, children: Vec::new(), dropped_children: 0 };
        let trace = RequestTrace { context, start: SystemTime::now(), spans: Mutex::new(spans) };
        (context, Some(Arc::new(trace)))
    }
}

/// The trace of a request under way. It is queued when it is dropped by all who work for the request.
pub struct RequestTrace {
    context: TraceContext,
    start: SystemTime,
    spans: Mutex<Spans>,
}

struct Spans {
    /// The place in the queue.
    permit: Option<OwnedPermit<FinishedTrace>>,
    end: Option<(SystemTime, RequestSummary)>,
    children: Vec<ChildSpan>,
    dropped_children: u32,
}

impl RequestTrace {
    /// Ends the span of the request.
    pub fn end(&self, summary: RequestSummary) {
        self.spans().end = Some((SystemTime::now(), summary));
    }

    /// Adds a span that ends now.
    fn add(&self, work: Work, elapsed: Duration) {
        let end = SystemTime::now();
        let start = end.checked_sub(elapsed).unwrap_or(end);
        let mut spans = self.spans();
        if spans.children.len() < MAX_CHILDREN {
            spans.children.push(ChildSpan { work, start, end });
        } else {
            spans.dropped_children = spans.dropped_children.saturating_add(1);
        }
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestTrace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RequestTrace").field(&self.context).finish()
    }
}

impl Drop for RequestTrace {
    fn drop(&mut self) {
        let spans = self.spans.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (Some(permit), Some((end, summary))) = (spans.permit.take(), spans.end.take()) else { return };
        drop(permit.send(FinishedTrace {
            context: self.context,
            start: self.start,
            end,
            summary,
            children: std::mem::take(&mut spans.children),
            dropped_children: spans.dropped_children,
        }));
    }
}

/// Returns `work`, whose spans belong to a trace.
pub fn within<F: Future>(trace: Current, work: F) -> TaskLocalFuture<Current, F> {
    CURRENT.scope(trace, work)
}

/// Returns `work`, whose spans belong to the trace of the current task. For work in a task of its own that its request waits for.
pub fn inherit<F: Future>(work: F) -> TaskLocalFuture<Current, F> {
    within(CURRENT.try_with(Clone::clone).ok().flatten(), work)
}

/// Returns whether the current task works for a request that is recorded.
#[must_use]
pub fn is_recorded() -> bool {
    CURRENT.try_with(Option::is_some).unwrap_or(false)
}

/// Records an SQL statement that has just ended.
pub fn record_statement(sql: &str, elapsed: Duration) {
    record(elapsed, || Work::Statement(StatementName::of(sql)));
}

/// Records a password hash that has just been computed.
pub fn record_hash(elapsed: Duration) {
    record(elapsed, || Work::PasswordHash);
}

fn record(elapsed: Duration, work: impl FnOnce() -> Work) {
    // Outside of a request, there is nothing to record.
    let _ = CURRENT.try_with(|trace| {
        if let Some(trace) = trace {
            trace.add(work(), elapsed);
        }
    });
}

#[cfg(test)]
mod tests {
    use poem::http::{HeaderMap, HeaderValue};

    use super::*;

    fn context(flags: &str) -> TraceContext {
        let mut headers = HeaderMap::new();
        let value = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        headers.insert("traceparent", HeaderValue::from_str(&value).unwrap());
        TraceContext::of_headers(&headers)
    }

    fn summary() -> RequestSummary {
        RequestSummary {
            request_id: "1".to_owned(),
            method: "POST",
            operation_type: Some("query"),
            operation: None,
            document: None,
            status: Some(200),
            outcome: "ok",
            is_failure: false,
        }
    }

    #[tokio::test]
    async fn the_spans_of_a_request_are_queued_when_all_of_its_work_has_ended() {
        let (recorder, mut queue) = Recorder::with_queue(1);
        let (context, trace) = recorder.begin(context("01"));
        assert!(context.is_sampled());
        let work = async {
            record_statement("SELECT 1 FROM site", Duration::from_millis(2));
            tokio::spawn(inherit(async { record_hash(Duration::from_millis(1)) })).await.unwrap();
            tokio::spawn(async { assert!(!is_recorded()) }).await.unwrap();
        };
        within(trace.clone(), work).await;
        let trace = trace.unwrap();
        trace.end(summary());
        assert!(queue.try_recv().is_err());
        drop(trace);
        let finished = queue.try_recv().unwrap();
        let names: Vec<Work> = finished.children.iter().map(|child| child.work.clone()).collect();
        let statement = StatementName { operation: "SELECT", table: Some("site".to_owned()) };
        assert_eq!(names, [Work::Statement(statement), Work::PasswordHash]);
        assert_eq!((finished.context, finished.dropped_children), (context, 0));
    }

    #[tokio::test]
    async fn many_spans_of_one_request_are_only_counted() {
        let (recorder, mut queue) = Recorder::with_queue(1);
        let (_, trace) = recorder.begin(context("01"));
        let work = async {
            for _ in 0..MAX_CHILDREN + 3 {
                record_hash(Duration::ZERO);
            }
        };
        within(trace.clone(), work).await;
        trace.unwrap().end(summary());
        let finished = queue.try_recv().unwrap();
        assert_eq!((finished.children.len(), finished.dropped_children), (MAX_CHILDREN, 3));
    }

    #[test]
    fn a_request_is_not_recorded_without_room_or_against_the_will_of_its_caller() {
        assert!(Recorder::default().begin(context("01")).1.is_none());
        let (recorder, _queue) = Recorder::with_queue(1);
        let (unsampled, trace) = recorder.begin(context("00"));
        assert!(trace.is_none() && !unsampled.is_sampled());
        let (begun, first) = recorder.begin(TraceContext::of_headers(&HeaderMap::new()));
        assert!(first.is_some() && begun.is_sampled());
        let (second, trace) = recorder.begin(TraceContext::of_headers(&HeaderMap::new()));
        assert!(trace.is_none() && !second.is_sampled(), "the queue is full");
        drop(first);
        assert!(recorder.begin(context("01")).1.is_some(), "a request that was given up leaves its place");
    }
}
