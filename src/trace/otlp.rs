//! The export of traces to an OpenTelemetry collector, by OTLP over HTTP.

use std::mem;
use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use uuid::Uuid;

use super::{ChildSpan, FinishedTrace, Recorder, RequestSummary, TraceContext, Work};

/// The time between two exports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of requests that are recorded at a time, under way or waiting for their export. As each export takes all that
/// wait, it is also the maximum number per interval, which bounds the work of exporting.
const MAX_RECORDED: usize = 256;
/// The time within which the collector must accept an export.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The path of traces below the URL of a collector.
const PATH: &str = "/v1/traces";
const NAME: &str = "roster";

/// Exports what a recorder has recorded.
#[derive(Debug)]
pub struct Exporter {
    sender: SpanExporter,
    queue: mpsc::Receiver<FinishedTrace>,
    scope: InstrumentationScope,
    has_failed: bool,
}

/// Returns a recorder, and the exporter that sends what it records to a collector.
///
/// # Errors
/// The URL of the collector, or a variable of OpenTelemetry, is invalid.
pub fn exporter(endpoint: &str) -> anyhow::Result<(Recorder, Exporter)> {
    let connector = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring::default_provider())?;
    let client = HyperClient::new(connector.https_or_http().enable_http1().build(), TIMEOUT, None);
    let builder = SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
    let mut exporter = builder.with_endpoint(traces_url(endpoint)).with_timeout(TIMEOUT).build()?;
    let instance = Uuid::now_v7().to_string();
    let resource = Resource::builder_empty().with_service_name(NAME).with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
    ]);
    exporter.set_resource(&resource.build());
    let (recorder, queue) = Recorder::with_queue(MAX_RECORDED);
    let scope = InstrumentationScope::builder(NAME).with_version(env!("CARGO_PKG_VERSION")).build();
    Ok((recorder, Exporter { sender: exporter, queue, scope, has_failed: false }))
}

/// Returns the URL of traces of a collector: its own, if it names them already.
fn traces_url(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") }
}

impl Exporter {
    /// Exports what is recorded until `ended`, and then what is left.
    pub async fn run(mut self, mut ended: watch::Receiver<bool>) {
        loop {
            let is_last = timeout(INTERVAL, ended.wait_for(|ended| *ended)).await.is_ok();
            self.export_queued().await;
            if is_last {
                return;
            }
        }
    }

    async fn export_queued(&mut self) {
        let mut spans = Vec::new();
        for _ in 0..MAX_RECORDED {
            let Ok(trace) = self.queue.try_recv() else { break };
            self.add_spans(trace, &mut spans);
        }
        if spans.is_empty() {
            return;
        }
        // The client of the crate does not limit the time in which it reads the response.
        let failure = match timeout(TIMEOUT, self.sender.export(spans)).await {
            Ok(exported) => exported.err().map(|error| error.to_string()),
            Err(_) => Some("the collector did not respond in time".to_owned()),
        };
        let had_failed = mem::replace(&mut self.has_failed, failure.is_some());
        match failure {
            Some(error) if !had_failed => tracing::warn!(%error, "failed to export traces"),
            None if had_failed => tracing::info!("traces are exported again"),
            _ => {}
        }
    }

    /// Adds the span of a request, and those within it.
    fn add_spans(&self, trace: FinishedTrace, spans: &mut Vec<SpanData>) {
        let FinishedTrace { context, start, end, summary, children, dropped_children } = trace;
        let mut attributes = attributes_of(&summary);
        if dropped_children > 0 {
            attributes.push(KeyValue::new("roster.dropped_spans", i64::from(dropped_children)));
        }
        spans.push(SpanData {
            span_context: span_context(context, context.span_id),
            parent_span_id: context.parent_id.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: context.parent_id.is_some(),
            span_kind: SpanKind::Server,
            name: name_of(&summary).into(),
            start_time: start,
            end_time: end,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if summary.is_failure { Status::error(summary.outcome) } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
        spans.extend(children.into_iter().map(|child| self.child_span(context, child)));
    }

    fn child_span(&self, context: TraceContext, child: ChildSpan) -> SpanData {
        let (name, span_kind, attributes) = match child.work {
            Work::Statement(statement) => {
                let name = statement.span_name();
                let mut attributes = vec![KeyValue::new("db.operation.name", statement.operation)];
                attributes.extend(statement.table.map(|table| KeyValue::new("db.collection.name", table)));
                (name.into(), SpanKind::Client, attributes)
            }
            Work::PasswordHash => ("password hash".into(), SpanKind::Internal, Vec::new()),
        };
        SpanData {
            span_context: span_context(context, rand::random::<u64>().max(1)),
            parent_span_id: SpanId::from(context.span_id),
            parent_span_is_remote: false,
            span_kind,
            name,
            start_time: child.start,
            end_time: child.end,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

fn span_context(context: TraceContext, span_id: u64) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from(context.trace_id), SpanId::from(span_id));
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::default())
}

/// Returns the name of the span of a request: the type of its operation and the name of a trusted one, or else its method.
fn name_of(summary: &RequestSummary) -> String {
    match (summary.operation_type, &summary.operation) {
        (Some(operation_type), Some(name)) => format!("{operation_type} {name}"),
        (Some(operation_type), None) => operation_type.to_owned(),
        (None, _) => summary.method.to_owned(),
    }
}

fn attributes_of(summary: &RequestSummary) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("http.request.method", summary.method),
        KeyValue::new("roster.request_id", summary.request_id.clone()),
        KeyValue::new("roster.outcome", summary.outcome),
    ];
    let status = summary.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status)));
    let operation_type = summary.operation_type.map(|kind| KeyValue::new("graphql.operation.type", kind));
    let operation = summary.operation.clone().map(|name| KeyValue::new("graphql.operation.name", name));
    let document = summary.document.clone().map(|id| KeyValue::new("roster.document", id));
    attributes.extend([status, operation_type, operation, document].into_iter().flatten());
    attributes
}
