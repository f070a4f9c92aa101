//! The state of the server at the moment of a scrape.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use super::Sources;
use crate::db::PoolStatus;
use crate::measure::gauge_value;
use crate::search_index::{IndexSource, SearchIndexStatus};

/// Gauges that are set by each scrape.
pub(super) struct Gauges {
    build: Family<VersionLabel, Gauge>,
    pub(super) started_at: Gauge<f64, AtomicU64>,
    hashes_running: Gauge,
    hashes_waiting: Gauge,
    connections: Family<PoolLabel, Gauge>,
    connections_idle: Family<PoolLabel, Gauge>,
    connections_max: Family<PoolLabel, Gauge>,
    connections_waiting: Family<PoolLabel, Gauge>,
    statements: Counter,
    audit_lag: Gauge<f64, AtomicU64>,
    indexed_users: Gauge,
    index_bytes: Gauge,
    index_lag: Gauge<f64, AtomicU64>,
    index_load: Gauge<f64, AtomicU64>,
    index_from_file: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabel {
    pool: &'static str,
}

impl Gauges {
    /// Creates the gauges of a server that has just started.
    pub(super) fn new() -> Self {
        let gauges = Self {
            build: Family::default(),
            started_at: Gauge::default(),
            hashes_running: Gauge::default(),
            hashes_waiting: Gauge::default(),
            connections: Family::default(),
            connections_idle: Family::default(),
            connections_max: Family::default(),
            connections_waiting: Family::default(),
            statements: Counter::default(),
            audit_lag: Gauge::default(),
            indexed_users: Gauge::default(),
            index_bytes: Gauge::default(),
            index_lag: Gauge::default(),
            index_load: Gauge::default(),
            index_from_file: Gauge::default(),
        };
        gauges.build.get_or_create(&VersionLabel { version: env!("CARGO_PKG_VERSION") }).set(1);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauges.started_at.set(since_epoch.as_secs_f64());
        gauges
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("build_info", "The version of the server", self.build.clone());
        let help = "Password hashes that are computed, or about to be";
        registry.register("password_hashes_running", help, self.hashes_running.clone());
        let help = "Password hashes that wait for their turn";
        registry.register("password_hashes_waiting", help, self.hashes_waiting.clone());
        registry.register("database_connections", "Open database connections, by pool", self.connections.clone());
        let help = "Open database connections that nobody uses, by pool";
        registry.register("database_connections_idle", help, self.connections_idle.clone());
        let help = "Maximum number of open database connections, by pool";
        registry.register("database_connections_max", help, self.connections_max.clone());
        let help = "Callers that wait for a database connection, by pool";
        registry.register("database_connections_waiting", help, self.connections_waiting.clone());
        registry.register("database_statements", "Statements sent to the database", self.statements.clone());
        let help = "Time since everything that was committed had been added to the audit trail; 0 on SQLite";
        registry.register("audit_lag_seconds", help, self.audit_lag.clone());
        registry.register("search_index_users", "Users in the search index", self.indexed_users.clone());
        registry.register("search_index_bytes", "Memory of the search index", self.index_bytes.clone());
        let help = "Time since the search index had every change in the audit trail";
        registry.register("search_index_lag_seconds", help, self.index_lag.clone());
        let help = "Duration of loading the search index; 0 until it is loaded";
        registry.register("search_index_load_seconds", help, self.index_load.clone());
        let help = "Whether the search index was loaded from its file, 1 or 0";
        registry.register("search_index_from_file", help, self.index_from_file.clone());
    }

    /// Sets the gauges to the state of this moment.
    pub(super) fn update(&self, sources: &Sources) {
        let load = sources.hasher.load();
        self.hashes_running.set(gauge_value(load.running));
        self.hashes_waiting.set(gauge_value(load.waiting));
        for PoolStatus { name, max, open, idle, waiting } in sources.db.pools() {
            let label = PoolLabel { pool: name };
            self.connections.get_or_create(&label).set(gauge_value(open));
            self.connections_idle.get_or_create(&label).set(gauge_value(idle));
            self.connections_max.get_or_create(&label).set(gauge_value(max));
            self.connections_waiting.get_or_create(&label).set(gauge_value(waiting));
        }
        self.statements.inner().store(sources.db.statements(), Ordering::Relaxed);
        self.audit_lag.set(sources.sealer.lag().as_secs_f64());
        let SearchIndexStatus { users, bytes, lag, load } = sources.search_index.status();
        self.indexed_users.set(gauge_value(users));
        self.index_bytes.set(gauge_value(bytes));
        self.index_lag.set(lag.as_secs_f64());
        self.index_load.set(load.map_or(0.0, |load| load.duration.as_secs_f64()));
        self.index_from_file.set(load.is_some_and(|load| load.source == IndexSource::File).into());
    }
}
