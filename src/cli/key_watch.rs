//! Takes over the server keys of the database while the server runs: the next one, before and when it makes new hashes, and the
//! retirement of the old one. Tells the commands what this server holds.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::output::process_name;
use crate::auth::key_ring::{KeyRing, ServerKeys};
use crate::auth::key_state::{self, DatabaseKeys};
use crate::auth::server_key::{HeldKeys, Key, Source};
use crate::db::Db;
use crate::entity::server_key_report;
use crate::repeated::Repeated;
use crate::scalar::Id;

/// The interval at which the keys of the database are read.
const INTERVAL: Duration = Duration::from_secs(2);
/// The time after which every running server has told what it holds.
pub(super) const ANSWERED: Duration = Duration::from_secs(6);
/// The maximum time that deleting the server's report may delay the shutdown.
const LAST_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Failures to read the keys of the database.
static UNREADABLE: Repeated = Repeated::new();
/// Times that a needed key was missing.
static MISSING: Repeated = Repeated::new();

/// The task that follows the keys of the database.
pub(super) struct KeyWatch(JoinHandle<()>);

impl KeyWatch {
    /// Follows the keys of the database until the server stops.
    pub(super) fn start(db: Db, source: Source, ring: KeyRing, stopping: watch::Receiver<bool>) -> Self {
        let follower = KeyFollower { db, source, ring, server_id: Id::new(), seen: None, has_reported: false };
        Self(tokio::spawn(follower.run(stopping)))
    }

    /// Waits until the server's report is deleted.
    pub(super) async fn finish(mut self) {
        if timeout(LAST_REPORT_TIMEOUT, &mut self.0).await.is_err() {
            self.0.abort();
        }
    }
}

struct KeyFollower {
    db: Db,
    source: Source,
    ring: KeyRing,
    server_id: Id,
    /// The keys of the database when they were read last.
    seen: Option<DatabaseKeys>,
    has_reported: bool,
}

impl KeyFollower {
    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        // An error means that nobody can stop it any more.
        while timeout(INTERVAL, stopping.wait_for(|stopping| *stopping)).await.is_err() {
            if let Err(error) = self.follow().await
                && let Some(times) = UNREADABLE.count()
            {
                tracing::warn!(error = format!("{error:#}"), times, "failed to reload the server keys");
            }
        }
        if self.has_reported
            && let Err(error) = key_state::delete_report(&self.db, self.server_id).await
        {
            tracing::warn!(error = error.for_log(), "failed to delete the report of this server's keys");
        }
    }

    async fn follow(&mut self) -> anyhow::Result<()> {
        let known = DatabaseKeys::read(self.db.read()).await?;
        if known.current.is_none() || !known.is_rotating() && self.seen.as_ref() == Some(&known) {
            return Ok(());
        }
        let held = self.held().await;
        let selected = known.select(&held);
        let is_missing = selected.is_none();
        match selected {
            Some(keys) => self.take_over(keys),
            None => log_missing(&known),
        }
        if known.is_rotating() {
            self.has_reported = true;
            key_state::report(&self.db, self.report(&held)).await?;
        }
        // A key that is missing is looked for again.
        self.seen = (!is_missing).then_some(known);
        Ok(())
    }

    /// Returns the keys that are in use, and those of the source. A source that cannot be read any more takes away no key.
    async fn held(&self) -> HeldKeys {
        let source = self.source.clone();
        let found = match tokio::task::spawn_blocking(move || source.find()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                if let Some(times) = UNREADABLE.count() {
                    tracing::warn!(%error, source = %self.source, times, "failed to reload the server keys");
                }
                None
            }
            Err(_) => None,
        };
        let used = HeldKeys::from(&*self.ring.keys());
        let found = found.iter().flat_map(HeldKeys::all);
        found.fold(
            used,
            |held, key| {
                if held.find(&key.fingerprint_text()).is_some() { held } else { held.with(key.clone()) }
            },
        )
    }

    fn take_over(&self, keys: ServerKeys) {
        let before = self.ring.keys();
        let fingerprints = |keys: &ServerKeys| keys.all().map(Key::fingerprint_text).collect::<Vec<String>>();
        let (old, new) = (fingerprints(&before), fingerprints(&keys));
        if old == new {
            return;
        }
        let (current, others) = (keys.current().fingerprint_text(), keys.others().len());
        self.ring.replace(keys);
        tracing::info!(current, others, "switched to the server keys of the database");
    }

    fn report(&self, held: &HeldKeys) -> server_key_report::Model {
        let held: Vec<String> = held.all().map(Key::fingerprint_text).collect();
        server_key_report::Model {
            server_id: self.server_id,
            name: process_name(),
            held: held.join(" "),
            used: self.ring.keys().current().fingerprint_text(),
        }
    }
}

fn log_missing(known: &DatabaseKeys) {
    if let Some(times) = MISSING.count() {
        let needed = known.needed().join(" and ");
        tracing::error!(needed, times, "this server does not have the server key of the database: sign-ins fail");
    }
}
