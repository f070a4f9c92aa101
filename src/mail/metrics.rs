//! Metrics of the email worker.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use crate::measure::gauge_value;

/// The metrics of the email worker; cheap to clone.
#[derive(Clone, Debug)]
pub struct MailMetrics {
    mails: Family<OutcomeLabel, Counter>,
    queued: Gauge,
    oldest_age: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The outcome of an attempt to send an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MailOutcome {
    Sent,
    /// The attempt failed; there will be another one.
    Retried,
    /// The email was given up.
    Failed,
    /// The email was no longer needed.
    Discarded,
}

impl MailOutcome {
    const ALL: [Self; 4] = [Self::Sent, Self::Retried, Self::Failed, Self::Discarded];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
        }
    }
}

impl Default for MailMetrics {
    fn default() -> Self {
        let metrics = Self { mails: Family::default(), queued: Gauge::default(), oldest_age: Gauge::default() };
        for outcome in MailOutcome::ALL {
            drop(metrics.mails.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }));
        }
        metrics
    }
}

impl MailMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help =
            "Attempts of this instance to send emails, by outcome: sent, retried, failed (given up) or discarded";
        registry.register("mails", help, self.mails.clone());
        let help = "Emails in the queue of the database, of all instances; looked at every 15 seconds";
        registry.register("mails_queued", help, self.queued.clone());
        let help = "Age of the oldest email in the queue";
        registry.register("mails_oldest_age_seconds", help, self.oldest_age.clone());
    }

    pub(super) fn count(&self, outcome: MailOutcome) {
        self.mails.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }

    /// Sets the length of the queue, and the age of its oldest email in seconds.
    pub(super) fn set_queue(&self, length: u64, oldest_age: i64) {
        self.queued.set(gauge_value(length));
        self.oldest_age.set(oldest_age.max(0));
    }
}
