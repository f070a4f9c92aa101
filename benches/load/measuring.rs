//! Sending requests and measuring their cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::figures::{Figure, Measured};
use crate::http::Connection;
use crate::postgres::Postgres;
use crate::server::Server;
use crate::workload::{Outcome, Target, Workload};
use crate::{Arguments, machine, table};

/// The servers and the database that are measured.
pub struct Bench<'a> {
    pub arguments: &'a Arguments,
    pub server: Server,
    /// The bare server beside Roster.
    pub bare: Server,
    /// The server that Roster is compared with, once it has started.
    pub peer: Option<Server>,
    pub database: Option<&'a Postgres>,
}

impl Bench<'_> {
    pub fn is_selected(&self, name: &str) -> bool {
        self.arguments.only.is_empty() || self.arguments.names(name)
    }

    /// Measures the selected workloads, after the floors that they are compared with.
    pub async fn measure_all(&self, workloads: &[Arc<Workload>]) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        let is_floor = |workload: &&Arc<Workload>| matches!(workload.name, "poem" | "typename");
        let is_selected = |workload: &&Arc<Workload>| self.is_selected(workload.name.trim_end_matches("-sql"));
        if !workloads.iter().any(|workload| is_selected(&workload)) {
            return Ok(figures);
        }
        println!("\nload average {}\n{}", machine::load_average(), table::HEAD);
        for workload in workloads.iter().filter(|workload| is_floor(workload) || is_selected(workload)) {
            let name = workload.name;
            let concurrencies =
                workload.concurrency.map_or_else(|| self.arguments.concurrency.clone(), |fixed| vec![fixed]);
            for concurrency in concurrencies {
                let measured = self.measure(workload, concurrency).await?;
                figures.push(measured.figure(name, concurrency));
                table::print_last(&figures);
            }
        }
        Ok(figures)
    }

    /// Measures a workload once, after a warm-up.
    pub async fn measure(&self, workload: &Arc<Workload>, concurrency: usize) -> Result<Measured> {
        let server = self.server_of(workload.target)?;
        let mut connections = Vec::new();
        for _ in 0..concurrency {
            connections.push(Connection::open(server.address).await?);
        }
        let span = Duration::from_secs_f64(self.arguments.seconds);
        let warm = drive(workload, connections, span / 3, true).await?;
        let watch = self.watch(server)?;
        let run = drive(workload, warm.connections, span, false).await?;
        watch.measured(run)
    }

    fn server_of(&self, target: Target) -> Result<&Server> {
        Ok(match target {
            Target::Roster => &self.server,
            Target::Bare => &self.bare,
            Target::Peer => self.peer.as_ref().context("the peer has not started")?,
        })
    }

    /// Begins to watch the cost of a server.
    pub fn watch<'a>(&'a self, server: &'a Server) -> Result<Watch<'a>> {
        Watch::begin(server, self.database)
    }
}

/// The cost of a server and the database at the beginning of a measurement.
pub struct Watch<'a> {
    server: &'a Server,
    database: Option<&'a Postgres>,
    before: [Duration; 4],
    began: Instant,
}

impl<'a> Watch<'a> {
    /// Begins to watch the cost of a server and its database.
    pub fn begin(server: &'a Server, database: Option<&'a Postgres>) -> Result<Self> {
        Ok(Self { server, database, before: times(server, database)?, began: Instant::now() })
    }

    /// Returns the cost since then.
    pub fn measured(self, run: Run) -> Result<Measured> {
        let (elapsed, after) = (self.began.elapsed(), times(self.server, self.database)?);
        let [server, database, own, all] = [0, 1, 2, 3].map(|n| {
            let of = |times: &[Duration; 4]| times.get(n).copied().unwrap_or_default();
            of(&after).saturating_sub(of(&self.before))
        });
        let others = all.saturating_sub(server + database + own);
        let Run { mut latencies, limited, late, .. } = run;
        latencies.sort_unstable();
        Ok(Measured { latencies, limited, late, elapsed, cpu: [server, database, others] })
    }
}

/// Returns the processor time of a server, the database, this process, and all processes.
fn times(server: &Server, database: Option<&Postgres>) -> Result<[Duration; 4]> {
    let database = match database {
        Some(postgres) => machine::cpu_of_family(postgres.process()?)?,
        None => Duration::ZERO,
    };
    Ok([machine::cpu(server.pid())?, database, machine::cpu(std::process::id())?, machine::cpu_of_all()?])
}

/// The outcome of sending requests for some time.
#[derive(Default)]
pub struct Run {
    pub connections: Vec<Connection>,
    pub latencies: Vec<Duration>,
    pub limited: usize,
    pub late: usize,
}

impl Run {
    pub fn record(&mut self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Correct => self.latencies.push(took),
            Outcome::Late => self.late += 1,
            Outcome::Limited | Outcome::Rejected => self.limited += 1,
        }
    }

    pub fn join(&mut self, other: Self) {
        let Self { connections, latencies, limited, late } = other;
        self.connections.extend(connections);
        self.latencies.extend(latencies);
        self.limited += limited;
        self.late += late;
    }

    /// Returns the latencies over some time, without their cost.
    pub fn latencies(self, elapsed: Duration) -> Measured {
        let Self { mut latencies, limited, late, .. } = self;
        latencies.sort_unstable();
        Measured { latencies, limited, late, elapsed, cpu: [Duration::ZERO; 3] }
    }
}

/// Sends one request after the other on each connection. Requests that are rejected because there are too many, and those
/// that took the server too long, are counted separately.
pub async fn drive(
    workload: &Arc<Workload>,
    connections: Vec<Connection>,
    span: Duration,
    check_whole_body: bool,
) -> Result<Run> {
    let end = Instant::now() + span;
    let mut callers = JoinSet::new();
    for mut connection in connections {
        let workload = Arc::clone(workload);
        callers.spawn(async move {
            let mut run = Run { latencies: Vec::with_capacity(4096), ..Run::default() };
            loop {
                let began = Instant::now();
                if began >= end {
                    run.connections.push(connection);
                    return anyhow::Ok(run);
                }
                let outcome = workload.send(&mut connection, check_whole_body).await?;
                run.record(outcome, began.elapsed());
            }
        });
    }
    let mut run = Run::default();
    while let Some(caller) = callers.join_next().await {
        run.join(caller??);
    }
    Ok(run)
}
