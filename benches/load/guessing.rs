//! The cost of password guessing to other users, and whether response times reveal which logins exist.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::everyday::Logins;
use crate::figures::Measured;
use crate::http::{Connection, post};
use crate::machine;
use crate::measuring::{Bench, drive};
use crate::workload::Workload;

/// The number of concurrent guessers.
const GUESSERS: usize = 64;
/// The pause of a guesser after a rejected guess: the load generator shares the machine with the server.
const PAUSE: Duration = Duration::from_millis(50);
/// The number of concurrent readers.
pub const READERS: usize = 4;
/// The number of timed guesses of each kind.
const SAMPLES: usize = 300;

const QUERY: &str = "mutation($i: LoginInput!) { login(input: $i) { success errors { code } } }";

impl Bench<'_> {
    /// Reads from an idle server, and again while many guessers try passwords as fast as they can.
    pub async fn flood(&self, reads: &Arc<Workload>) -> Result<()> {
        let span = Duration::from_secs_f64(self.arguments.seconds);
        let idle = self.read(reads, span).await?;
        let (address, stop) = (self.server.address, Instant::now() + span * 2);
        // On a thread of its own, so that a reader does not wait for the guessers before its request is even sent.
        let guessing = std::thread::spawn(move || guess_until(address, stop));
        tokio::time::sleep(span / 2).await;
        let flooded = self.read(reads, span).await?;
        let (checked, rejected) = tokio::task::spawn_blocking(|| guessing.join())
            .await?
            .map_err(|_| anyhow::anyhow!("the guessing failed"))??;
        let (resident, highest) = machine::memory(self.server.pid())?;
        println!(
            "flood: {READERS} readers; p99 {:.2} ms idle, {:.2} ms during {GUESSERS} guessers ({:.2} times); {checked} \
             guesses hashed, {rejected} rejected without hashing; memory {resident} MB, peak {highest} MB",
            idle.percentile(99),
            flooded.percentile(99),
            flooded.percentile(99) / idle.percentile(99),
        );
        Ok(())
    }

    /// Reads for some time on new connections.
    pub async fn read(&self, reads: &Arc<Workload>, span: Duration) -> Result<Measured> {
        Ok(drive(reads, self.readers().await?, span, false).await?.latencies(span))
    }

    /// Opens the connections of the readers.
    pub async fn readers(&self) -> Result<Vec<Connection>> {
        let mut connections = Vec::new();
        for _ in 0..READERS {
            connections.push(Connection::open(self.server.address).await?);
        }
        Ok(connections)
    }

    /// Compares the times of wrong guesses by rank: how often a guess at an existing login takes longer than one at an
    /// unknown login. One half means that the time reveals nothing.
    pub async fn rank(&self, sign_ins: &Arc<Workload>, logins: &Logins) -> Result<()> {
        let Logins { with_password, without_password } = logins;
        let mut connection = Connection::open(self.server.address).await?;
        let (mut known, mut unknown, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        let of = |names: &[String], n: usize| {
            names.get(n % names.len().max(1)).cloned().context("a list of logins is empty")
        };
        for n in 0..SAMPLES {
            known.push(self.guess(&mut connection, &of(with_password, n)?).await?);
            unknown.push(self.guess(&mut connection, &format!("nobody.{n}@bench.example.org")).await?);
            bare.push(self.guess(&mut connection, &of(without_password, n)?).await?);
            if n % with_password.len() == with_password.len() - 1 {
                // The right password resets the counter before a user is locked out.
                for _ in 0..with_password.len() {
                    sign_ins.send(&mut connection, false).await?;
                }
            }
        }
        println!(
            "rank: share of pairs in which a guess takes longer than one at an unknown login: wrong password {:.3}, \
             user without a password {:.3} (0.5 reveals nothing)",
            share_of_longer(&known, &unknown),
            share_of_longer(&bare, &unknown),
        );
        Ok(())
    }

    async fn guess(&self, connection: &mut Connection, login: &str) -> Result<Duration> {
        let body =
            json!({"query": QUERY, "variables": {"i": {"login": login, "password": "not-the-password"}}}).to_string();
        let request = post(self.server.address, "", &body);
        let began = Instant::now();
        let response = connection.send(&request).await?;
        let took = began.elapsed();
        ensure!(response.body.contains("INVALID_CREDENTIALS"), "{} {}", response.status, response.body);
        Ok(took)
    }
}

/// Guesses at unknown logins, each time another one, because a locked login costs nothing. Returns the number of guesses
/// that were hashed, and of those that were rejected without hashing.
#[tokio::main(flavor = "current_thread")]
async fn guess_until(address: SocketAddr, stop: Instant) -> Result<(usize, usize)> {
    let mut guessers = tokio::task::JoinSet::new();
    for guesser in 0..GUESSERS {
        let mut connection = Connection::open(address).await?;
        guessers.spawn(async move {
            let (mut checked, mut rejected) = (0, 0);
            for n in 0_u64.. {
                if Instant::now() >= stop {
                    break;
                }
                let guess = json!({"login": format!("nobody.{guesser}.{n}"), "password": "not-the-password"});
                let body = json!({"query": QUERY, "variables": {"i": guess}}).to_string();
                let response = connection.send(&post(address, "", &body)).await?;
                if response.body.contains("INVALID_CREDENTIALS") {
                    checked += 1;
                } else {
                    ensure!(response.body.contains("RATE_LIMITED"), "{} {}", response.status, response.body);
                    rejected += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            anyhow::Ok((checked, rejected))
        });
    }
    let (mut checked, mut rejected) = (0, 0);
    while let Some(guesser) = guessers.join_next().await {
        let (more, less) = guesser??;
        (checked, rejected) = (checked + more, rejected + less);
    }
    Ok((checked, rejected))
}

/// Returns the Mann-Whitney statistic, from 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "the counts are small")]
fn share_of_longer(ones: &[Duration], others: &[Duration]) -> f64 {
    let pairs = ones.iter().flat_map(|one| others.iter().map(move |other| one.cmp(other)));
    let score: f64 = pairs.map(|order| f64::from(1 + order as i8) / 2.0).sum();
    score / (ones.len() * others.len()) as f64
}
