//! The task that exports the traces of requests.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::config::Settings;
use super::open::WrongSetting;
use crate::trace::Recorder;

/// The maximum time that the last export may delay the shutdown.
const LAST_EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The task; `None` if traces are not exported.
pub(super) struct TraceTask(Option<(JoinHandle<()>, watch::Sender<bool>)>);

impl TraceTask {
    /// Starts to export traces, if a collector is set. Returns also the recorder of what is to be exported.
    pub(super) fn start(settings: &Settings) -> Result<(Recorder, Self), WrongSetting> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok((Recorder::default(), Self(None))) };
        let (end, ended) = watch::channel(false);
        let wrong =
            |reason: String| WrongSetting(format!("--otlp-endpoint {endpoint} (ROSTER_OTLP_ENDPOINT): {reason}"));
        let (recorder, task) = start_export(endpoint, ended).map_err(wrong)?;
        Ok((recorder, Self(Some((task, end)))))
    }

    /// Exports the traces of the last requests, after they were answered.
    pub(super) async fn finish(self) {
        let Some((mut task, end)) = self.0 else { return };
        end.send_replace(true);
        if timeout(LAST_EXPORT_TIMEOUT, &mut task).await.is_err() {
            tracing::warn!("the last traces were not exported");
            task.abort();
        }
    }
}

/// Starts to export at a low priority, so that no request waits for it.
#[cfg(feature = "otlp")]
fn start_export(endpoint: &str, ended: watch::Receiver<bool>) -> Result<(Recorder, JoinHandle<()>), String> {
    let (recorder, exporter) = crate::trace::otlp::exporter(endpoint).map_err(|error| error.to_string())?;
    Ok((recorder, tokio::spawn(crate::background::run(exporter.run(ended)))))
}

/// The setting was refused when it was parsed.
#[cfg(not(feature = "otlp"))]
fn start_export(_: &str, _: watch::Receiver<bool>) -> Result<(Recorder, JoinHandle<()>), String> {
    Err("traces are not exported without the cargo feature `otlp`".to_owned())
}
