//! The cost to other users of hostile requests by anonymous callers, and of the most expensive queries of one user.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::attacks::{self, Hostile};
use crate::everyday::{Tokens, read_workloads};
use crate::figures::Measured;
use crate::guessing::READERS;
use crate::http::Connection;
use crate::measuring::{Bench, Run, drive};
use crate::walk::walk;
use crate::workload::{Workload, in_turn};
use crate::{expensive, machine, table};

/// The time for which the readers read from the idle server: long enough for a steady 99th percentile.
const IDLE: Duration = Duration::from_secs(30);
/// The number of hostile requests.
const REQUESTS: usize = 100_000;
/// The number of connections that send hostile requests.
const CALLERS: usize = 32;
/// The number of connections that are opened and send no whole request: more than one address may have open.
const HELD: usize = 600;
/// The time after which a held connection is opened again.
const REOPEN: Duration = Duration::from_secs(1);
/// The number of expensive queries under way.
const EXPENSIVE: usize = 64;
/// The time for which a user waits after a rejected request: the load generator shares the machine with the server.
const PAUSE: Duration = Duration::from_millis(50);
/// The timeout of the response to a hostile request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time for which the readers read before they check whether the attack is over.
const STEP: Duration = Duration::from_millis(500);
/// The time between two requests for the health of the server.
const HEALTH_INTERVAL: Duration = Duration::from_millis(100);

/// The addresses of the attackers. The readers have another one, so that its limits are not used up.
const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const HOLDER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const USER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));

/// The number of responses of each status.
type Statuses = BTreeMap<u16, usize>;

/// The responses to the attackers.
#[derive(Default)]
struct Counts {
    hostile: Statuses,
    expensive: Statuses,
    /// The connections that were held.
    held: usize,
    /// One wrong response for each kind of request that got any.
    mismatches: BTreeMap<&'static str, String>,
}

/// The requests of the attackers.
struct Attack {
    address: SocketAddr,
    hostile: Vec<Hostile>,
    unfinished: Vec<Vec<u8>>,
    expensive: Vec<Vec<u8>>,
    /// The number of hostile requests that have been begun.
    started: AtomicUsize,
    counts: Mutex<Counts>,
}

/// The health of the server during the attack.
struct Health {
    responses: usize,
    worst: Duration,
}

impl Bench<'_> {
    /// Reads from an idle server, and again while it is attacked.
    pub async fn hostile(&self, tokens: &Tokens) -> Result<()> {
        let address = self.server.address;
        let walk = walk(&mut Connection::open(address).await?, address, &tokens.reader).await?;
        let [reads, ..] = read_workloads(address, &tokens.reader, &walk);
        self.read(&reads, IDLE / 10).await?; // the server has just started
        let idle = self.read(&reads, IDLE).await?;
        let expensive = expensive::requests(address, &tokens.other, &walk).await?;
        // On a thread of its own, so that the readers do not wait for the attackers.
        let attack = std::thread::spawn(move || attack(address, expensive));
        let (attacked, health) = tokio::try_join!(self.read_during(&reads, &attack), watch_health(address, &attack))?;
        let counts = attack.join().map_err(|_| anyhow!("the attack panicked"))??;
        self.print_attack([&idle, &attacked], &counts, &health)?;
        ensure!(counts.mismatches.is_empty(), "wrong responses: {:#?}", counts.mismatches);
        Ok(())
    }

    /// Reads until the attack is over.
    async fn read_during(&self, reads: &Arc<Workload>, attack: &JoinHandle<Result<Counts>>) -> Result<Measured> {
        let began = Instant::now();
        let mut run = Run { connections: self.readers().await?, ..Run::default() };
        while !attack.is_finished() {
            let connections = std::mem::take(&mut run.connections);
            run.join(drive(reads, connections, STEP, false).await?);
        }
        Ok(run.latencies(began.elapsed()))
    }

    fn print_attack(&self, [idle, attacked]: [&Measured; 2], counts: &Counts, health: &Health) -> Result<()> {
        let (resident, highest) = machine::memory(self.server.pid())?;
        let p99 = [idle, attacked].map(|measured| measured.percentile(99));
        let [idle, during] = p99;
        println!(
            "hostile: {READERS} readers; p99 {idle:.2} ms idle, {during:.2} ms attacked: {:.2} times (target below 3){}",
            during / idle,
            table::rejections(attacked.limited, attacked.late),
        );
        println!(
            "    {REQUESTS} hostile requests in {:.1} s, by status {}; {} connections with incomplete requests",
            attacked.elapsed.as_secs_f64(),
            list(&counts.hostile),
            counts.held,
        );
        println!("    {EXPENSIVE} concurrent expensive queries, by status {}", list(&counts.expensive));
        println!(
            "    /health/live: {} responses, the slowest {:.1} ms; memory {resident} MB, peak {highest} MB (target 300)",
            health.responses,
            health.worst.as_secs_f64() * 1e3,
        );
        Ok(())
    }
}

fn list(statuses: &Statuses) -> String {
    statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect::<Vec<_>>().join(", ")
}

/// Requests the health of the server until the attack is over, each time on a new connection.
async fn watch_health(address: SocketAddr, attack: &JoinHandle<Result<Counts>>) -> Result<Health> {
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut health = Health { responses: 0, worst: Duration::ZERO };
    while !attack.is_finished() {
        let began = Instant::now();
        let mut connection = Connection::open(address).await.context("/health/live")?;
        let response = connection.send(request.as_bytes()).await.context("/health/live")?;
        health.worst = health.worst.max(began.elapsed());
        health.responses += 1;
        ensure!(response.status == 200, "/health/live: {} {}", response.status, response.body);
        sleep(HEALTH_INTERVAL).await;
    }
    Ok(health)
}

/// Attacks the server until all hostile requests have a response.
#[tokio::main(flavor = "current_thread")]
async fn attack(address: SocketAddr, expensive: Vec<Vec<u8>>) -> Result<Counts> {
    machine::run_only_when_idle()?;
    let attack = Arc::new(Attack {
        address,
        hostile: attacks::requests(),
        unfinished: attacks::unfinished(),
        expensive,
        started: AtomicUsize::new(0),
        counts: Mutex::default(),
    });
    let (mut callers, mut others) = (JoinSet::new(), JoinSet::new());
    for _ in 0..CALLERS {
        callers.spawn(Caller { attack: Arc::clone(&attack), kept: None, request: Vec::new() }.send_all());
    }
    for turn in 0..EXPENSIVE {
        others.spawn(send_expensive(Arc::clone(&attack), turn));
    }
    for turn in 0..HELD {
        others.spawn(hold(Arc::clone(&attack), turn));
    }
    loop {
        tokio::select! {
            caller = callers.join_next() => match caller {
                Some(caller) => caller??,
                None => break,
            },
            Some(other) = others.join_next() => match other?? {},
        }
    }
    Ok(std::mem::take(&mut *attack.counts()))
}

impl Attack {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An anonymous caller that sends one hostile request after the other.
struct Caller {
    attack: Arc<Attack>,
    /// The connection, unless the server has closed it.
    kept: Option<Connection>,
    request: Vec<u8>,
}

/// The response to a hostile request.
struct Reply {
    status: u16,
    closes: bool,
    mismatch: Option<String>,
}

impl Caller {
    async fn send_all(mut self) -> Result<()> {
        let attack = Arc::clone(&self.attack);
        loop {
            let number = attack.started.fetch_add(1, Ordering::Relaxed);
            if number >= REQUESTS {
                return Ok(());
            }
            let hostile = in_turn(&attack.hostile, number)?;
            hostile.write(number, &mut self.request);
            let reply = self.send(hostile).await;
            let mut counts = attack.counts();
            let mismatch = match reply {
                Ok(Reply { status, mismatch, .. }) => {
                    *counts.hostile.entry(status).or_default() += 1;
                    mismatch
                }
                Err(error) => Some(format!("{error:#}")),
            };
            counts.mismatches.extend(mismatch.map(|mismatch| (hostile.name, mismatch)));
        }
    }

    /// Sends the request, and keeps the connection if the server does.
    async fn send(&mut self, hostile: &Hostile) -> Result<Reply> {
        let exchanged = match self.kept.take() {
            Some(connection) => self.exchange(connection, hostile).await?.ok(),
            None => None,
        };
        let (connection, reply) = match exchanged {
            Some(exchanged) => exchanged,
            // A connection that was kept may have been closed before the request.
            None => self.exchange(Connection::open_from(CALLER, self.attack.address).await?, hostile).await??,
        };
        self.kept = (!reply.closes).then_some(connection);
        Ok(reply)
    }

    /// Sends the request on a connection. The outer error means that the response takes too long, the inner one that
    /// the connection was closed without a response.
    async fn exchange(&self, mut connection: Connection, hostile: &Hostile) -> Result<Result<(Connection, Reply)>> {
        let response = timeout(TIMEOUT, connection.send(&self.request)).await.context("no response in time")?;
        let reply = response.map(|response| Reply {
            status: response.status,
            closes: response.closes,
            mismatch: hostile.mismatch(&response),
        });
        Ok(reply.map(|reply| (connection, reply)))
    }
}

/// Sends one expensive query after the other.
async fn send_expensive(attack: Arc<Attack>, mut turn: usize) -> Result<Infallible> {
    let mut connection = Connection::open_from(USER, attack.address).await?;
    loop {
        let request = in_turn(&attack.expensive, turn)?;
        let response = connection.send(request).await.context("an expensive query")?;
        let status = response.status;
        if !matches!(status, 200 | 429 | 503 | 504) {
            let mismatch = format!("{status} {} to {}", response.body, String::from_utf8_lossy(request));
            attack.counts().mismatches.insert("an expensive query", mismatch);
        }
        *attack.counts().expensive.entry(status).or_default() += 1;
        if matches!(status, 429 | 503) {
            sleep(PAUSE).await;
        }
        turn += 1;
    }
}

/// Holds a connection without a whole request, and opens it again each time the server closes it.
async fn hold(attack: Arc<Attack>, turn: usize) -> Result<Infallible> {
    let part = in_turn(&attack.unfinished, turn)?;
    loop {
        // The server may have no connection left for it at the moment.
        if let Ok(connection) = Connection::open_from(HOLDER, attack.address).await {
            attack.counts().held += 1;
            connection.hold(part).await;
        }
        sleep(REOPEN).await;
    }
}
