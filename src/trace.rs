//! Traces: the context that joins a request with the services that it came through, and the spans that requests record if traces
//! are exported.

mod context;
#[cfg(feature = "otlp")]
pub mod otlp;
mod recorder;
mod statement;

pub use self::context::TraceContext;
pub use self::recorder::{
    ChildSpan, Current, FinishedTrace, Recorder, RequestSummary, RequestTrace, Work, inherit, is_recorded, record_hash,
    record_statement, within,
};
pub use self::statement::StatementName;
