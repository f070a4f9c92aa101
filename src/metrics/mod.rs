//! Metrics in the text format of Prometheus: what the parts of the server have counted, and their state at the moment of a scrape.
//! A scrape sends no statement to the database.

mod gauges;
#[cfg(target_os = "linux")]
mod process;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;

use self::gauges::Gauges;
#[cfg(target_os = "linux")]
use self::process::ProcessMetrics;
use crate::audit::sealer::SealerMetrics;
use crate::auth::password::Hasher;
use crate::backup::metrics::BackupMetrics;
use crate::db::Db;
use crate::http::HttpMetrics;
use crate::mail::MailMetrics;
use crate::search_index::SearchIndex;
use crate::session::SignInMetrics;

/// The prefix of the names of all metrics but those of the process, whose names are the same in all programs.
const PREFIX: &str = "roster";

/// The parts of a server that are measured.
pub struct Sources {
    /// The metrics of the schedule of backups, if there is one.
    pub backups: Option<BackupMetrics>,
    pub db: Db,
    pub hasher: Hasher,
    pub http: HttpMetrics,
    pub mails: MailMetrics,
    pub sealer: SealerMetrics,
    pub search_index: SearchIndex,
    pub sign_ins: SignInMetrics,
}

/// The metrics of a server.
pub struct Metrics {
    registry: Registry,
    sources: Sources,
    gauges: Gauges,
    #[cfg(target_os = "linux")]
    process: ProcessMetrics,
}

impl Metrics {
    /// Registers the metrics of a server that has just started.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let (mut registry, gauges) = (Registry::default(), Gauges::new());
        let ours = registry.sub_registry_with_prefix(PREFIX);
        gauges.register(ours);
        sources.http.register(ours);
        sources.sign_ins.register(ours);
        sources.hasher.metrics().register(ours);
        sources.mails.register(ours);
        sources.sealer.register(ours);
        sources.db.standby_metrics().register(ours);
        if let Some(backups) = &sources.backups {
            backups.register(ours);
        }
        registry.register("process_start_time_seconds", "Time of the start, since 1970", gauges.started_at.clone());
        #[cfg(target_os = "linux")]
        let process = ProcessMetrics::default();
        #[cfg(target_os = "linux")]
        process.register(&mut registry);
        Self {
            registry,
            sources,
            gauges,
            #[cfg(target_os = "linux")]
            process,
        }
    }

    /// Returns the metrics as they are at this moment.
    #[must_use]
    pub fn text(&self) -> String {
        self.gauges.update(&self.sources);
        #[cfg(target_os = "linux")]
        self.process.update();
        let mut text = String::new();
        if let Err(error) = prometheus_text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "failed to write the metrics");
        }
        text
    }
}
