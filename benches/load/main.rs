//! The figures of the README: the release binary under load, over HTTP, on both databases.
//!
//!     cargo bench --bench load -- --users 100000 --seconds 3
//!
//! Enters the people of the demonstration, starts the server again, and measures each workload at each concurrency after
//! a warm-up. Processor time is what to compare by: requests a second depend on what else the machine does, and here
//! server, database and load generator share it. PostgreSQL is a private server made from the installed programs, durable
//! as it comes, and its tables are vacuumed once after the load.
//!
//! An answer that is wrong ends the run.

#![allow(clippy::print_stdout, reason = "a bench prints what it has found")]
#![allow(clippy::indexing_slicing, reason = "what JSON does not have is null")]

mod guessing;
mod http;
mod machine;
#[path = "../../tests/api/postgres.rs"]
#[allow(dead_code, clippy::panic, clippy::unwrap_used, reason = "it is at home in the tests")]
mod postgres;
mod server;
mod workload;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use sea_orm::{ConnectionTrait as _, Database};
use tokio::task::JoinSet;

use http::Connection;
use postgres::Postgres;
use server::{Place, Server};
use workload::{Tokens, Verdict, Workload};

/// Measures Roster under load.
#[derive(Parser)]
struct Arguments {
    /// How many people the directory has.
    #[arg(long, default_value_t = 100_000)]
    users: u32,
    /// Seconds for each measurement, after a warm-up of a third of that.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// What to measure beside the floor: token (the floor with a token to check), W1 to W5, W4-short (words of two
    /// letters), W8, update, login, flood (reads while many guess passwords), rank (what the time of a guess tells).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[arg(long, default_value = "both")]
    database: Which,
    /// How many requests are under way at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    concurrency: Vec<usize>,
    /// Given by cargo bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Sqlite,
    Postgres,
    Both,
}

/// What a database is measured by.
struct Bench<'a> {
    arguments: &'a Arguments,
    server: Server,
    database: Option<&'a Postgres>,
}

/// What was found of one workload at one concurrency.
struct Measured {
    /// Sorted.
    latencies: Vec<Duration>,
    limited: usize,
    elapsed: Duration,
    server: Duration,
    database: Duration,
    others: Duration,
}

const POSTGRES_SETTINGS: &str = "
shared_buffers = 256MB
max_wal_size = 1GB
autovacuum = on
";

// On one thread, which leaves the other cores to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("Nothing is measured but by `cargo bench`.");
        return Ok(());
    }
    println!("{}", machine::description());
    if arguments.database != Which::Postgres {
        run(&arguments, None).await.context("on SQLite")?;
    }
    if arguments.database != Which::Sqlite {
        let postgres = Postgres::start_with(POSTGRES_SETTINGS)?;
        run(&arguments, Some(&postgres)).await.context("on PostgreSQL")?;
    }
    Ok(())
}

async fn run(arguments: &Arguments, postgres: Option<&Postgres>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = match postgres {
        Some(postgres) => Some(postgres.fresh_database().await),
        None => None,
    };
    let place = Place { folder: folder.path(), url: url.as_deref() };
    println!("\n{} people on {}", arguments.users, if url.is_some() { "PostgreSQL" } else { "SQLite" });
    let tokens = load(arguments.users, place).await?;

    let began = Instant::now();
    // Every guess of the flood is to be looked at, though all come from one address.
    let server = Server::start(place, &["serve", "--wrong-secrets-per-address", "1000000"])?;
    first_answer(&server, &tokens).await?;
    println!("{} ms from the start to the first answer", began.elapsed().as_millis());

    let (workloads, logins) = workload::all(server.address, &tokens).await?;
    let bench = Bench { arguments, server, database: postgres };
    bench.measure_all(&workloads).await?;
    let named = |name: &str| workloads.iter().find(|workload| workload.name == name).context("no such workload");
    if bench.is_wanted("rank") {
        bench.rank(named("login")?, &logins).await?;
    }
    if bench.is_wanted("flood") {
        bench.flood(named("W1")?).await?;
    }
    let (resident, highest) = machine::memory(bench.server.pid())?;
    println!("{resident} MB resident at the end, {highest} MB at most");
    bench.server.stop()
}

/// Enters the people and ends the server that did it.
async fn load(users: u32, place: Place<'_>) -> Result<Tokens> {
    let file = place.folder.join("tokens.json");
    let (users, file_name) = (users.to_string(), file.to_string_lossy());
    let server = Server::start(place, &["demo", "--users", &users, "--tokens", &file_name])?;
    println!("{:.1} s to enter them", server.took.as_secs_f64());
    let tokens = read_tokens(&file)?;
    first_answer(&server, &tokens).await?;
    server.stop()?;
    if let Some(url) = place.url {
        let database = Database::connect(url).await?;
        database.execute_unprepared("VACUUM ANALYZE").await?;
        database.execute_unprepared("CHECKPOINT").await?;
        database.close().await?;
    }
    Ok(tokens)
}

async fn first_answer(server: &Server, tokens: &Tokens) -> Result<()> {
    let request = http::post(server.address, &tokens.reader, r#"{"query":"{ viewer { id } }"}"#);
    let mut connection = Connection::open(server.address).await?;
    let answer = connection.ask(&request).await?;
    ensure!(answer.body.starts_with(r#"{"data":{"viewer":{"id":""#), "{} {}", answer.status, answer.body);
    Ok(())
}

fn read_tokens(file: &Path) -> Result<Tokens> {
    let tokens: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let token = |kind: &str| tokens[kind].as_str().map(str::to_owned).context("a token is missing");
    Ok(Tokens { reader: token("user")?, writer: token("superuser")? })
}

impl Bench<'_> {
    fn is_wanted(&self, name: &str) -> bool {
        let only = &self.arguments.only;
        only.is_empty() || only.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    }

    async fn measure_all(&self, workloads: &[Arc<Workload>]) -> Result<()> {
        println!("load average {}", machine::load_average());
        println!(
            "{:<10}{:>6}{:>10}{:>10}{:>10}{:>11}{:>8}{:>8}{:>9}{:>9}",
            "workload", "at a", "requests", "p50", "p99", "server us", "db us", "sum", "times", "others'"
        );
        println!(
            "{:<10}{:>6}{:>10}{:>10}{:>10}{:>11}{:>8}{:>8}{:>9}{:>9}",
            "", "time", "/s", "ms", "ms", "/request", "/req.", "us", "floor", "CPU %"
        );
        let mut floors: Vec<(usize, f64)> = Vec::new();
        for workload in workloads {
            if !self.is_wanted(workload.name) && workload.name != "floor" {
                continue;
            }
            let asked = workload.concurrency.map_or_else(|| self.arguments.concurrency.clone(), |fixed| vec![fixed]);
            for concurrency in asked {
                let measured = self.measure(workload, concurrency).await?;
                let (server, database) = (measured.each(measured.server), measured.each(measured.database));
                if workload.name == "floor" {
                    floors.push((concurrency, server + database));
                }
                let floor = floors.iter().find(|(of, _)| *of == concurrency).or(floors.first()).map(|(_, cost)| cost);
                println!(
                    "{:<10}{concurrency:>6}{:>10.0}{:>10.2}{:>10.2}{server:>11.0}{database:>8.0}{:>8.0}{:>9.1}{:>9.0}{}",
                    workload.name,
                    measured.requests() / measured.elapsed.as_secs_f64(),
                    measured.percentile(50),
                    measured.percentile(99),
                    server + database,
                    (server + database) / floor.copied().unwrap_or(f64::NAN),
                    measured.others.as_secs_f64() / measured.elapsed.as_secs_f64() * 100.0,
                    if measured.limited > 0 { format!("  {} refused", measured.limited) } else { String::new() },
                );
            }
        }
        Ok(())
    }

    async fn measure(&self, workload: &Arc<Workload>, concurrency: usize) -> Result<Measured> {
        let mut connections = Vec::new();
        for _ in 0..concurrency {
            connections.push(Connection::open(self.server.address).await?);
        }
        let span = Duration::from_secs_f64(self.arguments.seconds);
        let warm = drive(workload, connections, span / 3, true).await?;
        let (before, began) = (self.times()?, Instant::now());
        let driven = drive(workload, warm.connections, span, false).await?;
        let (elapsed, after) = (began.elapsed(), self.times()?);
        let [server, database, own, all] = [0, 1, 2, 3].map(|n| {
            let of = |times: &[Duration; 4]| times.get(n).copied().unwrap_or_default();
            of(&after).saturating_sub(of(&before))
        });
        let mut latencies = driven.latencies;
        latencies.sort_unstable();
        let others = all.saturating_sub(server + database + own);
        Ok(Measured { latencies, limited: driven.limited, elapsed, server, database, others })
    }

    /// The processor time of the server, the database, this process, and everything.
    fn times(&self) -> Result<[Duration; 4]> {
        let database = match self.database {
            Some(postgres) => machine::cpu_of_family(postgres.process()?)?,
            None => Duration::ZERO,
        };
        Ok([machine::cpu(self.server.pid())?, database, machine::cpu(std::process::id())?, machine::cpu_of_all()?])
    }
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "there are not that many")]
    fn requests(&self) -> f64 {
        self.latencies.len() as f64
    }

    /// The share of each request, in microseconds.
    fn each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.requests()
    }

    /// In milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let place = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// What came of sending requests for some time.
struct Driven {
    connections: Vec<Connection>,
    latencies: Vec<Duration>,
    limited: usize,
}

/// Sends one request after the other on each connection. Those that are refused because there are too many are counted
/// apart.
async fn drive(
    workload: &Arc<Workload>,
    connections: Vec<Connection>,
    span: Duration,
    closely: bool,
) -> Result<Driven> {
    let end = Instant::now() + span;
    let mut callers = JoinSet::new();
    for mut connection in connections {
        let workload = Arc::clone(workload);
        callers.spawn(async move {
            let (mut latencies, mut limited) = (Vec::with_capacity(4096), 0);
            loop {
                let began = Instant::now();
                if began >= end {
                    return anyhow::Ok((connection, latencies, limited));
                }
                match workload.ask(&mut connection, closely).await? {
                    Verdict::Right => latencies.push(began.elapsed()),
                    Verdict::Limited => limited += 1,
                }
            }
        });
    }
    let mut driven = Driven { connections: Vec::new(), latencies: Vec::new(), limited: 0 };
    while let Some(caller) = callers.join_next().await {
        let (connection, latencies, limited) = caller??;
        driven.connections.push(connection);
        driven.latencies.extend(latencies);
        driven.limited += limited;
    }
    Ok(driven)
}
