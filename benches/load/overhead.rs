//! The cost of metrics and traces: the same requests by turns to a server without either, to one with metrics that are scraped, and
//! to one that exports traces, all on the same database.
//!
//! Traces are measured only by `cargo bench --features otlp`. The collector is in the process of the load generator, which does not
//! count; it accepts everything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::arguments::Arguments;
use crate::everyday::{Tokens, by_id, search};
use crate::figures::Measured;
use crate::http::Connection;
use crate::machine;
use crate::measuring::{Watch, drive};
use crate::postgres::Postgres;
use crate::server::{Place, Server};
use crate::walk::{User, head, walk};
use crate::workload::{Workload, request};

/// The number of requests under way.
const UNDER_WAY: usize = 16;
/// The number of times that each workload is measured, on each server by turns.
const ROUNDS: usize = 10;
/// Far more often than Prometheus asks.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
/// The exporter sends what it has each second.
const LAST_EXPORT: Duration = Duration::from_secs(2);
const ACCEPTED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/// One of the servers.
struct Side {
    name: &'static str,
    server: Server,
    workloads: [Arc<Workload>; 2],
}

/// The results of one workload on one server: all rounds together, and the processor time of a request in each round.
#[derive(Default)]
struct Cost {
    all: Measured,
    rounds: Vec<f64>,
}

/// Measures the servers, and prints the ratios of their processor times.
///
/// # Errors
/// If a response is wrong, the metrics cannot be read, or no traces arrive.
pub async fn measure(
    arguments: &Arguments,
    place: Place<'_>,
    postgres: Option<&Postgres>,
    tokens: &Tokens,
) -> Result<()> {
    let collector = Collector::start().await?;
    let metrics = free_address()?;
    let (metrics_listen, endpoint) = (metrics.to_string(), format!("http://{}", collector.address));
    let mut variants =
        vec![("neither", vec!["serve"]), ("metrics", vec!["serve", "--metrics-listen", metrics_listen.as_str()])];
    if cfg!(feature = "otlp") {
        variants.push(("traces", vec!["serve", "--otlp-endpoint", endpoint.as_str()]));
    }
    let mut sides = Vec::new();
    for (name, command) in variants {
        sides.push(Side::start(name, place, &command, tokens).await.context(name)?);
    }
    let scraper = tokio::spawn(scrape(metrics));
    println!("\noverhead: {UNDER_WAY} under way, {ROUNDS} rounds; load average {}", machine::load_average());
    for number in 0..2 {
        let mut costs: Vec<Cost> = sides.iter().map(|_| Cost::default()).collect();
        for round in 0..ROUNDS {
            // Each server is the first as often as the others.
            for turn in 0..sides.len() {
                let next = (round + turn) % sides.len();
                let (Some(side), Some(cost)) = (sides.get(next), costs.get_mut(next)) else { continue };
                cost.add(side.measure(number, arguments.seconds, postgres).await.context(side.name)?);
            }
        }
        print_costs(number, &sides, &costs);
    }
    if scraper.is_finished() {
        scraper.await?.context("the metrics")?;
    } else {
        scraper.abort();
    }
    if cfg!(feature = "otlp") {
        tokio::time::sleep(LAST_EXPORT).await;
        let exports = collector.exports.load(Ordering::Relaxed);
        ensure!(exports > 0, "no traces arrived at the collector");
        println!("{exports} exports of traces");
    } else {
        println!("traces are measured by: cargo bench --features otlp --bench load -- --only overhead");
    }
    sides.into_iter().try_for_each(|side| side.server.stop())
}

impl Side {
    /// Starts a server, and waits until its search index is loaded.
    async fn start(name: &'static str, place: Place<'_>, command: &[&str], tokens: &Tokens) -> Result<Self> {
        let server = Server::start(place, command)?;
        let address = server.address;
        let mut connection = Connection::open(address).await?;
        let walk = walk(&mut connection, address, &tokens.reader).await?;
        let name_of_user = walk.users.first().map(|user: &User| head(&user.last, 3)).context("no users")?;
        let found = search(address, &tokens.reader, &name_of_user);
        let response = connection.send(&found.bytes).await?;
        ensure!(found.outcome(&response).is_some(), "{}", found.describe(&response));
        let floor = request(address, "", "{ __typename }", &json!({}), r#"{"data":{"__typename":"Query"}"#);
        let workloads = [
            Workload::ready("typename", vec![floor]),
            Workload::ready("W1", by_id(address, &tokens.reader, &walk.users)),
        ];
        Ok(Self { name, server, workloads })
    }

    /// Measures a workload once, after a warm-up.
    async fn measure(&self, number: usize, seconds: f64, postgres: Option<&Postgres>) -> Result<Measured> {
        let workload = self.workloads.get(number).context("no such workload")?;
        let mut connections = Vec::new();
        for _ in 0..UNDER_WAY {
            connections.push(Connection::open(self.server.address).await?);
        }
        let span = Duration::from_secs_f64(seconds);
        let warm = drive(workload, connections, span / 3, true).await?;
        let watch = Watch::begin(&self.server, postgres)?;
        let run = drive(workload, warm.connections, span, false).await?;
        watch.measured(run)
    }
}

impl Cost {
    fn add(&mut self, measured: Measured) {
        self.rounds.push(measured.figure("", UNDER_WAY).server);
        self.all.join(measured);
    }
}

/// Prints the processor time of the servers for a workload, as a multiple of that of the first server: of all rounds together, and
/// the median, the least and the greatest of the rounds.
fn print_costs(number: usize, sides: &[Side], costs: &[Cost]) {
    let Some(first) = costs.first() else { return };
    for (side, cost) in sides.iter().zip(costs) {
        let name = side.workloads.get(number).map_or("", |workload| workload.name);
        let figure = cost.all.figure(name, UNDER_WAY);
        let ratio = figure.server / first.all.figure(name, UNDER_WAY).server;
        let mut ratios: Vec<f64> = cost.rounds.iter().zip(&first.rounds).map(|(own, first)| own / first).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| ratios.get(place).copied().unwrap_or(f64::NAN);
        println!(
            "{name:<10}{:<10}{:>8.0} per sec.{:>8.1} us/req of the server  ratio {ratio:.3}, by rounds {:.3} ({:.3} to {:.3})",
            side.name,
            figure.per_second,
            figure.server,
            at(ratios.len() / 2),
            at(0),
            at(ratios.len().saturating_sub(1)),
        );
    }
}

/// Returns an address of this machine with a port that is free now.
fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Reads the metrics again and again, until one time fails.
async fn scrape(address: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
    loop {
        let response = connection.send(request.as_bytes()).await?;
        ensure!(response.status == 200, "{}", response.status);
        tokio::time::sleep(SCRAPE_INTERVAL).await;
    }
}

/// A collector of traces that accepts everything, and counts the exports.
struct Collector {
    address: SocketAddr,
    exports: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Collector {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let exports = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&exports);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                // The exporter closes the connection when it likes.
                tokio::spawn(async move { accept(stream, &counted).await });
            }
        });
        Ok(Self { address, exports, task })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts the exports of a connection, until it is closed.
async fn accept(stream: TcpStream, exports: &AtomicUsize) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(stream.read_line(&mut line).await? > 0, "closed");
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        stream.read_exact(&mut vec![0; length]).await?;
        stream.write_all(ACCEPTED).await?;
        exports.fetch_add(1, Ordering::Relaxed);
    }
}
