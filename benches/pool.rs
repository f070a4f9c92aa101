//! The pool of reading connections beside the pool of sqlx: the time of a small statement on each, in turns in the same
//! run. `cargo bench --bench pool -- [URL]`; without a URL, a new SQLite file.

#![expect(clippy::print_stdout, reason = "the figures are printed")]

use std::time::{Duration, Instant};

use anyhow::Result;
use roster::db::{DatabaseSettings, Db, url_of};
use roster::entity::license;
use roster::scalar::Id;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, EntityTrait};

/// The number of statements of a round.
const STATEMENTS: u32 = 5_000;
const ROUNDS: u32 = 10;

#[tokio::main]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let url = std::env::args().skip(1).find(|argument| argument.contains("://"));
    let url = url.unwrap_or_else(|| url_of(&dir.path().join("roster.db")));
    let settings = DatabaseSettings::new(url.clone(), 4);
    let db = Db::open(&settings).await?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(4).min_connections(4).test_before_acquire(false).sqlx_logging(false);
    let sqlx_pool = Database::connect(options).await?;

    let (mut own, mut theirs) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        own += time(db.read()).await?;
        theirs += time(&sqlx_pool).await?;
    }
    let per_statement = |total: Duration| total / (STATEMENTS * ROUNDS);
    println!("own pool        {:?} per statement", per_statement(own));
    println!("pool of sqlx    {:?} per statement", per_statement(theirs));
    println!("ratio           {:.2}", theirs.as_secs_f64() / own.as_secs_f64());
    Ok(())
}

async fn time(connection: &impl ConnectionTrait) -> Result<Duration> {
    let started = Instant::now();
    for _ in 0..STATEMENTS {
        license::Entity::find_by_id(Id::new()).one(connection).await?;
    }
    Ok(started.elapsed())
}
