//! The results of the measurements.

use std::time::Duration;

/// The results for one database with a number of users.
pub struct Round {
    pub database: Engine,
    pub users: u32,
    pub loading: Loading,
    /// The time from the start of the process to the first response.
    pub start: Duration,
    /// The memory of the server in MB, at the end and at its highest.
    pub memory: (u64, u64),
    pub figures: Vec<Figure>,
    /// Empty if Roster was not compared with the peer.
    pub comparisons: Vec<Comparison>,
}

/// The results of one workload on Roster and on the peer.
pub struct Comparison {
    pub workload: &'static str,
    pub roster: Figure,
    /// `None` on SQLite, which the peer does not read.
    pub peer: Option<Figure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// The cost of creating the users.
#[derive(Clone, Copy, Default)]
pub struct Loading {
    pub took: Duration,
    /// The processor time of server and database.
    pub cpu: [Duration; 2],
    /// The highest memory of the server, in MB.
    pub memory: u64,
    /// The size of the database in MB.
    pub on_disk: u64,
}

/// The cost of importing a file of users.
pub struct Import {
    pub database: Engine,
    pub users: u32,
    pub took: Duration,
    /// The processor time of the command and of the database.
    pub cpu: [Duration; 2],
    /// The highest memory of the command, in MB.
    pub memory: u64,
}

/// The results of one workload at one concurrency.
pub struct Figure {
    pub workload: &'static str,
    pub concurrency: usize,
    pub per_second: f64,
    /// The latencies, in milliseconds.
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// The processor time, in microseconds per request.
    pub server: f64,
    pub database: f64,
    /// The processor time of everything else, in percent of one core.
    pub others: f64,
    /// The number of requests that were rejected because there were too many.
    pub limited: usize,
    /// The number of requests that took too long.
    pub late: usize,
}

impl Figure {
    pub fn cpu(&self) -> f64 {
        self.server + self.database
    }
}

/// The outcome of sending requests for some time, and its cost.
#[derive(Default)]
pub struct Measured {
    /// The latencies of the successful requests, sorted.
    pub latencies: Vec<Duration>,
    pub limited: usize,
    pub late: usize,
    pub elapsed: Duration,
    /// The processor time of server, database and everything else but the load generator.
    pub cpu: [Duration; 3],
}

impl Measured {
    /// Adds another measurement of the same workload.
    pub fn join(&mut self, other: Self) {
        let Self { latencies, limited, late, elapsed, cpu } = other;
        self.latencies.extend(latencies);
        self.latencies.sort_unstable();
        self.limited += limited;
        self.late += late;
        self.elapsed += elapsed;
        for (sum, time) in self.cpu.iter_mut().zip(cpu) {
            *sum += time;
        }
    }

    pub fn figure(&self, workload: &'static str, concurrency: usize) -> Figure {
        let [server, database, others] = self.cpu;
        Figure {
            workload,
            concurrency,
            per_second: self.requests() / self.elapsed.as_secs_f64(),
            p50: self.percentile(50),
            p99: self.percentile(99),
            max: self.percentile(100),
            server: self.each(server),
            database: self.each(database),
            others: others.as_secs_f64() / self.elapsed.as_secs_f64() * 100.0,
            limited: self.limited,
            late: self.late,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "the counts are small")]
    fn requests(&self) -> f64 {
        (self.latencies.len() + self.late) as f64
    }

    /// Returns the share of each request in a time, in microseconds.
    fn each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.requests()
    }

    /// Returns a percentile of the latencies, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        let place = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

impl Round {
    /// Returns the figure of a workload at a concurrency, or at the only one at which it was measured.
    pub fn figure(&self, workload: &str, concurrency: usize) -> Option<&Figure> {
        let of_workload = || self.figures.iter().filter(|figure| figure.workload == workload);
        of_workload().find(|figure| figure.concurrency == concurrency).or_else(|| of_workload().next())
    }
}
