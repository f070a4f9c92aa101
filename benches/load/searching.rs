//! Searches of every kind, one at a time: the time that a user waits for the results.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::everyday::Addresses;
use crate::figures::Measured;
use crate::http::Connection;
use crate::kinds::{Kind, kinds};
use crate::measuring::{Bench, Run};
use crate::walk::Walk;
use crate::workload::{Outcome, count_of_nodes, request};
use crate::{machine, table};

/// The longest time for one kind, however slow its responses, in multiples of the time of a measurement.
const TIME_LIMIT: u32 = 4;
/// The number of pages before the deep one.
const PAGES_BEFORE: usize = 5;
/// The number of searches with a deep page.
const DEEP_SEARCHES: usize = 8;

impl Bench<'_> {
    /// Sends every search of every kind once, with a token.
    pub async fn search(&self, name: &str, addresses: Addresses, token: &str, walk: &Walk) -> Result<()> {
        let mut kinds = kinds(addresses.roster, token, &walk.users);
        kinds.push(self.deep(addresses, token, &kinds).await?);
        println!("\n{name}: searches one at a time; load average {}", machine::load_average());
        println!(
            "{:<36}{:>9}{:>8}{:>10}{:>10}{:>10}{:>11}{:>8}",
            "kind of search", "requests", "found", "p50 ms", "p99 ms", "max ms", "server us", "db us"
        );
        for kind in kinds.iter().filter(|kind| !kind.requests.is_empty()) {
            let (measured, found) = self.search_all(kind).await?;
            let figure = measured.figure("search", 1);
            let completed = measured.latencies.len();
            println!(
                "{:<36}{:>9}{:>7}%{:>10.2}{:>10.2}{:>10.2}{:>11.0}{:>8.0}{}",
                kind.name,
                completed + measured.late + measured.limited,
                (found * 100).checked_div(completed).unwrap_or_default(),
                figure.p50,
                figure.p99,
                figure.max,
                figure.server,
                figure.database,
                table::rejections(measured.limited, measured.late),
            );
        }
        Ok(())
    }

    /// Sends all searches of a kind. Returns the cost of the responses, and the number of those that found a user.
    async fn search_all(&self, kind: &Kind) -> Result<(Measured, usize)> {
        let end = Instant::now() + Duration::from_secs_f64(self.arguments.seconds) * TIME_LIMIT;
        let mut connection = Connection::open(self.server.address).await?;
        let (mut run, mut found) = (Run::default(), 0);
        if let Some(first) = kind.requests.first() {
            connection.send(&first.bytes).await?;
        }
        let watch = self.watch(&self.server)?;
        for request in &kind.requests {
            let began = Instant::now();
            if began >= end {
                break;
            }
            let response = connection.send(&request.bytes).await?;
            let took = began.elapsed();
            let outcome = request.outcome(&response).with_context(|| request.describe(&response))?;
            found += usize::from(outcome == Outcome::Correct && count_of_nodes(response.body) > Some(0));
            run.record(outcome, took);
        }
        Ok((watch.measured(run)?, found))
    }

    /// Returns the sixth page of searches that find many users.
    async fn deep(&self, addresses: Addresses, token: &str, kinds: &[Kind]) -> Result<Kind> {
        let common = kinds.iter().find(|kind| kind.name == "three letters").context("no such kind")?;
        let mut requests = Vec::new();
        for (term, _) in common.terms.iter().zip(0..DEEP_SEARCHES) {
            let mut connection = Connection::open(addresses.roster).await?;
            let mut after = Value::Null;
            for _ in 0..PAGES_BEFORE {
                let query = "query($q: String!, $after: String) { searchUsers(query: $q, first: 100, after: $after) {
                    pageInfo { endCursor hasNextPage } } }";
                let variables = serde_json::json!({"q": term, "after": after});
                let response = connection.send(&request(addresses.roster, token, query, &variables, "").bytes).await?;
                let page = serde_json::from_str::<Value>(response.body)?["data"]["searchUsers"]["pageInfo"].take();
                after = if page["hasNextPage"] == true { page["endCursor"].clone() } else { Value::Null };
                if after.is_null() {
                    break;
                }
            }
            if !after.is_null() {
                let query = "query($q: String!, $after: String) { searchUsers(query: $q, first: 20, after: $after) {
                    nodes { id firstName lastName } } }";
                let variables = serde_json::json!({"q": term, "after": after});
                let begins = r#"{"data":{"searchUsers":{"nodes":["#;
                requests.push(request(addresses.roster, token, query, &variables, begins));
            }
        }
        let times = 100_usize.div_ceil(requests.len().max(1));
        let requests = requests.iter().cycle().take(requests.len() * times).cloned().collect();
        Ok(Kind { name: "three letters, after 500", terms: Vec::new(), requests })
    }
}
