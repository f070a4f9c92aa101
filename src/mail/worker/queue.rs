//! Measures the queue for the metrics. It is done here and not by a scrape, so that scrapes cost the database nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{EntityTrait, PaginatorTrait, QueryOrder, QuerySelect};
use tokio::sync::watch;

use super::MailWorker;
use crate::entity::mail;
use crate::error::Error;
use crate::scalar::now;

/// The interval at which the queue is measured.
const INTERVAL: Duration = Duration::from_secs(15);

impl MailWorker {
    /// Measures the queue until `stopped`. Does nothing if nobody asks for the metrics.
    pub(super) async fn measure_queue(&self, mut stopped: watch::Receiver<bool>) {
        while self.measures_queue && !*stopped.borrow() {
            if let Err(error) = self.measure_queue_once().await {
                tracing::debug!(error = error.for_log(), "failed to measure the queue of emails");
            }
            let _ = tokio::time::timeout(INTERVAL, stopped.wait_for(|stopped| *stopped)).await;
        }
    }

    async fn measure_queue_once(&self) -> Result<(), Error> {
        let length = mail::Entity::find().count(self.db.read()).await?;
        let oldest = mail::Entity::find().select_only().column(mail::Column::CreatedAt);
        let oldest = oldest.order_by_asc(mail::Column::CreatedAt).limit(1);
        let oldest = oldest.into_tuple::<DateTime<Utc>>().one(self.db.read()).await?;
        self.metrics.set_queue(length, oldest.map_or(0, |oldest| (now() - oldest).num_seconds().max(0)));
        Ok(())
    }
}
