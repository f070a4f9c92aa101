//! The time from a change to its event at the subscribers of `changes`, within one process and across two.
//!
//! The commit is after the request for the change was sent, and before its answer arrives. So the time is measured from
//! both moments: it is between the two figures.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::everyday::{Tokens, search};
use crate::figures::Measured;
use crate::http::{Connection, EventStream};
use crate::machine;
use crate::measuring::{Bench, Run};
use crate::server::{Place, Server};
use crate::walk::{User, spread, walk};
use crate::workload::{Outcome, Request};
use crate::writer::Writer;

/// The number of subscribers. Each is a user of their own: the subscriptions of one user take turns.
const SUBSCRIBERS: usize = 10;
/// The number of changes per second.
const RATE: u32 = 200;
/// The number of changes before those that are measured.
const WARM_UP: usize = 200;
/// The number of changes that are measured. Each is to another user; with fewer users, there are fewer changes.
const CHANGES: usize = 2_000;
/// The timeout of an event.
const TIMEOUT: Duration = Duration::from_secs(30);

const QUERY: &str = "subscription { changes(types: [USER]) { kind nodeId changedFields } }";

/// The changes, and those who follow them.
struct Feed<'a> {
    writer: Writer,
    /// The users that are changed.
    users: Vec<&'a User>,
    /// The tokens of the subscribers.
    tokens: Vec<String>,
}

/// The moments around the commit of a change.
struct Change {
    /// The request was sent.
    sent: Instant,
    /// The answer arrived.
    answered: Instant,
}

impl Bench<'_> {
    /// Measures subscribers to the server that makes the changes and, on PostgreSQL, to another one. Several instances
    /// use PostgreSQL.
    pub async fn feed(&self, tokens: &Tokens, place: Place<'_>) -> Result<()> {
        let address = self.server.address;
        let mut connection = Connection::open(address).await?;
        let walk = walk(&mut connection, address, &tokens.reader).await?;
        let writer = Writer { address, token: tokens.writer.clone() };
        let tokens = writer.tokens(&mut connection, SUBSCRIBERS).await?;
        let feed = Feed { writer, users: spread(&walk.users, WARM_UP + CHANGES).collect(), tokens };
        println!(
            "\nfeed: {} changes, each sent to {SUBSCRIBERS} subscribers; load average {}\n\
             The commit is between the request and its answer. An event before the answer counts as 0 from there.",
            feed.users.len().saturating_sub(WARM_UP),
            machine::load_average()
        );
        println!(
            "{:<22}{:>9}{:>27}{:>27}{:>9}",
            "", "changes", "from the request, ms", "from the answer, ms", "target"
        );
        let columns = format!("{:>9}{:>9}{:>9}", "p50", "p99", "max").repeat(2);
        println!("{:<22}{:>9}{columns}{:>9}", "", "per sec.", "ms");
        feed.measure("within one process", address, "Load Follower", 20).await?;
        if self.database.is_some() {
            let other = Server::start(place, &["serve"])?;
            feed.measure("across two processes", other.address, "Load Leader", 150).await?;
            other.stop()?;
        }
        Ok(())
    }
}

impl Feed<'_> {
    /// Changes the users to a position, and prints the times until the subscribers to a server have the events.
    async fn measure(&self, name: &str, address: SocketAddr, position: &str, target: u32) -> Result<()> {
        self.wait_for_index(address).await?;
        let body = json!({"query": QUERY}).to_string();
        let mut subscribers = JoinSet::new();
        for token in &self.tokens {
            let stream = EventStream::open(address, token, &body).await?;
            subscribers.spawn(receive(stream, self.users.len()));
        }
        let (changes, took) = self.change(position).await?;
        let (mut from_request, mut from_answer) = (Run::default(), Run::default());
        while let Some(subscriber) = subscribers.join_next().await {
            let arrivals = subscriber??;
            for user in self.users.iter().skip(WARM_UP) {
                let change = changes.get(&user.id).context("a user was not changed")?;
                let arrival = arrivals.get(&user.id).context("a subscriber has no event of a change")?;
                from_request.latencies.push(arrival.saturating_duration_since(change.sent));
                from_answer.latencies.push(arrival.saturating_duration_since(change.answered));
            }
        }
        let per_second = f64::from(u32::try_from(changes.len())?) / took.as_secs_f64();
        let [from_request, from_answer] = [from_request, from_answer].map(|run| figures(&run.latencies(took)));
        println!("{name:<22}{per_second:>9.0}{from_request}{from_answer}{target:>9}");
        Ok(())
    }

    /// Waits until a server has loaded its search index, which it then updates before it sends an event.
    async fn wait_for_index(&self, address: SocketAddr) -> Result<()> {
        let user = self.users.first().context("no user")?;
        let token = self.tokens.first().context("no subscriber")?;
        let mut connection = Connection::open(address).await?;
        send(&mut connection, &search(address, token, &user.last)).await?;
        Ok(())
    }

    /// Changes the users at a fixed rate, however long the answers take. Returns the change of each user by id, and the
    /// time until the last request.
    async fn change(&self, position: &str) -> Result<(HashMap<String, Change>, Duration)> {
        let mut under_way: JoinSet<Result<(Connection, String, Change)>> = JoinSet::new();
        let (mut changes, mut idle) = (HashMap::new(), Vec::new());
        let (mut ticks, began) = (interval(Duration::from_secs(1) / RATE), Instant::now());
        for user in &self.users {
            ticks.tick().await;
            while let Some(answered) = under_way.try_join_next() {
                let (connection, id, change) = answered??;
                changes.insert(id, change);
                idle.push(connection);
            }
            let mut connection = match idle.pop() {
                Some(connection) => connection,
                None => Connection::open(self.writer.address).await?,
            };
            let (id, request) = (user.id.clone(), self.writer.update(user, position));
            under_way.spawn(async move {
                let change = send(&mut connection, &request).await?;
                anyhow::Ok((connection, id, change))
            });
        }
        let took = began.elapsed();
        while let Some(answered) = under_way.join_next().await {
            let (_, id, change) = answered??;
            changes.insert(id, change);
        }
        Ok((changes, took))
    }
}

/// Sends a request, whose response must be correct.
async fn send(connection: &mut Connection, request: &Request) -> Result<Change> {
    let sent = Instant::now();
    let response = connection.send(&request.bytes).await?;
    let answered = Instant::now();
    ensure!(request.outcome(&response) == Some(Outcome::Correct), "{}", request.describe(&response));
    Ok(Change { sent, answered })
}

/// Returns the moments at which the events arrive, by the id of the user. There is one for each user.
async fn receive(mut stream: EventStream, users: usize) -> Result<HashMap<String, Instant>> {
    let mut arrivals = HashMap::with_capacity(users);
    while arrivals.len() < users {
        let event = timeout(TIMEOUT, stream.next_event()).await.context("no event in time")??;
        let arrival = Instant::now();
        let result: Value = serde_json::from_str(&event)?;
        let id = result["data"]["changes"]["nodeId"].as_str().with_context(|| event.clone())?;
        ensure!(arrivals.insert(id.to_owned(), arrival).is_none(), "a second event of a change: {event}");
    }
    Ok(arrivals)
}

fn figures(measured: &Measured) -> String {
    [50, 99, 100].map(|percent| format!("{:>9.2}", measured.percentile(percent))).concat()
}
