//! Commands that end in order when they are told to stop, so that their temporary files are removed.

use std::fmt;

use crate::http;

/// The error of a command that was told to stop before its end.
#[derive(Debug)]
pub struct Interrupted {
    /// What it has done by then; empty if that goes without saying.
    effect: &'static str,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stopped by a signal before the end")?;
        if self.effect.is_empty() { Ok(()) } else { write!(formatter, "; {}", self.effect) }
    }
}

impl std::error::Error for Interrupted {}

/// Runs work to its end, or drops it when the process is told to stop. From then on, signals end nothing else: work that reads
/// from a terminal comes before.
///
/// # Errors
/// [`Interrupted`], or those of the work.
pub async fn until_stopped<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    until_stopped_with(|| "", work).await
}

/// Does the same as [`until_stopped`]. The error says what the work has done by then.
pub(super) async fn until_stopped_with<T>(
    effect: impl Fn() -> &'static str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let stopped = http::stop_signal()?;
    tokio::select! {
        result = work => result,
        () = stopped => Err(Interrupted { effect: effect() }.into()),
    }
}
