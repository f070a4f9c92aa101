//! The load test: measures the release binary over HTTP, on both databases, for the figures of the README.
//!
//!     cargo bench --bench load                                        # 100,000 users, every workload
//!     cargo bench --bench load -- --only W1,W4 --seconds 1 --users 10000 --database sqlite
//!     cargo bench --bench load -- --only search,search-all            # every kind of search, one at a time
//!     cargo bench --bench load -- --only feed                         # from a change to its event at subscribers
//!     cargo bench --bench load -- --only hostile                      # reads while the server is attacked
//!     cargo bench --bench load -- --only import                       # `roster import` of a file of users
//!     cargo bench --bench load -- --only peers                        # beside Mercurius: see benches/peers/README.md
//!     cargo bench --features otlp --bench load -- --only overhead     # with metrics, and with traces
//!     cargo bench --bench load -- --growth --concurrency 16           # 10,000, 100,000 and 1,000,000 users
//!     cargo bench --bench load -- --growth --concurrency 16 --picture benches/speed.svg --markdown
//!
//! Creates the users of the demo, restarts the server, and measures each workload at each concurrency after a warm-up.
//! Compare by processor time: requests per second depend on the other load of the machine, and here server, database and
//! load generator share it. PostgreSQL is a private server of the installed programs, with its default durability, and
//! its tables are vacuumed once after the load.
//!
//! Three floors are measured in the same run, and each workload is compared with them: `poem` is a bare handler that
//! returns a constant, `typename` is Roster's `{ __typename }`, and `W1-sql` to `W4-sql` are bare handlers that
//! return the same with hand-written SQL.
//!
//! A wrong response ends the run; responses that took the server too long are counted.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]
#![allow(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key returns null")]

mod arguments;
mod attacks;
mod bare;
mod directory;
mod everyday;
mod expensive;
mod feed;
mod figures;
mod guessing;
mod hostile;
mod http;
mod import;
mod kinds;
mod machine;
mod measuring;
mod overhead;
mod peers;
mod picture;
#[path = "../../tests/api/postgres.rs"]
#[allow(dead_code, clippy::panic, clippy::unwrap_used, reason = "this module is shared with the tests")]
mod postgres;
mod searching;
mod server;
mod table;
mod walk;
mod workload;
mod writer;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use sea_orm::{ConnectionTrait as _, Database};

use arguments::{Arguments, Which};
use everyday::{Addresses, Tokens};
use figures::{Engine, Loading, Round};
use http::Connection;
use measuring::Bench;
use postgres::Postgres;
use server::{Place, Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GROWTH: [u32; 3] = [10_000, 100_000, 1_000_000];

const POSTGRES_SETTINGS: &str = "
shared_buffers = 256MB
max_wal_size = 1GB
autovacuum = on
";

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if !arguments.bench {
        println!("Run the benchmark with `cargo bench --bench load`.");
        return Ok(());
    }
    if let Some(url) = &arguments.bare {
        return bare::serve(url);
    }
    if arguments.growth {
        arguments.users = GROWTH.to_vec();
    }
    measure(&arguments)
}

// On one thread, which leaves the other cores to the server and the database.
#[tokio::main(flavor = "current_thread")]
async fn measure(arguments: &Arguments) -> Result<()> {
    if arguments.names("peers") && arguments.database != Which::Sqlite {
        server::peer_runtime()?;
    }
    println!("{}", machine::description());
    let (mut rounds, mut imports) = (Vec::new(), Vec::new());
    for users in &arguments.users {
        for engine in arguments.engines() {
            let postgres = match engine {
                Engine::Sqlite => None,
                Engine::Postgres => Some(Postgres::start_with(POSTGRES_SETTINGS)?),
            };
            if arguments.runs_import() {
                imports.push(import::measure(*users, postgres.as_ref()).await.context(engine.name())?);
            }
            if arguments.runs_server() {
                rounds.push(run(arguments, *users, postgres.as_ref()).await.context(engine.name())?);
            }
        }
    }
    table::print_imports(&imports);
    let shown = arguments.concurrency.iter().copied().find(|concurrency| *concurrency == 16);
    let shown = shown.or(arguments.concurrency.first().copied()).unwrap_or(1);
    table::print_sizes(&rounds);
    table::print_growth(&rounds, shown);
    table::print_compared(&rounds);
    let usual = arguments.users.iter().copied().find(|users| *users == 100_000);
    let usual = usual.or(arguments.users.first().copied()).unwrap_or_default();
    if arguments.markdown {
        table::print_markdown(&rounds, usual, shown);
    }
    if let Some(file) = &arguments.picture {
        std::fs::write(file, picture::draw(&rounds, usual, shown))?;
    }
    Ok(())
}

async fn run(arguments: &Arguments, users: u32, postgres: Option<&Postgres>) -> Result<Round> {
    let folder = tempfile::tempdir()?;
    let url = match postgres {
        Some(postgres) => Some(postgres.fresh_database().await),
        None => None,
    };
    let place = Place { folder: folder.path(), url: url.as_deref() };
    let database = if url.is_some() { Engine::Postgres } else { Engine::Sqlite };
    println!("\n{users} users on {}", database.name());
    let (tokens, loading) = load(users, place, postgres).await?;
    println!(
        "created in {:.1} s; peak memory {} MB, {} MB on disk",
        loading.took.as_secs_f64(),
        loading.memory,
        loading.on_disk
    );

    if arguments.names("overhead") {
        overhead::measure(arguments, place, postgres, &tokens).await.context("overhead")?;
    }
    let began = Instant::now();
    // Every guess of the flood must be hashed, although all come from one address.
    let server = Server::start(place, &["serve", "--wrong-secrets-per-address", "1000000"])?;
    first_response(&server, &tokens).await?;
    let start = began.elapsed();
    println!("{} ms from the start to the first response", start.as_millis());

    let mut bench = Bench { arguments, server, bare: Server::start_bare(place)?, peer: None, database: postgres };
    let figures = measure_workloads(&bench, &tokens).await?;
    let comparisons = if arguments.names("peers") { bench.compare(&tokens, place).await? } else { Vec::new() };
    let memory = machine::memory(bench.server.pid())?;
    println!("memory at the end {} MB, peak {} MB", memory.0, memory.1);
    if bench.is_selected("feed") {
        bench.feed(&tokens, place).await.context("feed")?;
    }
    let runs_hostile = bench.is_selected("hostile");
    let Bench { server, bare, .. } = bench;
    server.stop()?;
    if runs_hostile {
        // With the default limit of wrong secrets, and with registration open to everyone.
        let server = Server::start(place, &["serve", "--registration", "DEMO-0001"])?;
        Bench { arguments, server, bare, peer: None, database: postgres }.hostile(&tokens).await.context("hostile")?;
    }
    Ok(Round { database, users, loading, start, memory, figures, comparisons })
}

/// Measures the selected workloads.
async fn measure_workloads(bench: &Bench<'_>, tokens: &Tokens) -> Result<Vec<figures::Figure>> {
    let addresses = Addresses { roster: bench.server.address, bare: bench.bare.address };
    let walk = walk::walk(&mut Connection::open(addresses.roster).await?, addresses.roster, &tokens.reader).await?;
    println!("{} users listed; W3 requests page {}, with {} users per page", walk.users.len(), walk.deep.0, walk::PAGE);
    // Before any user is created that the walk has not found.
    for (name, token) in [("search", &tokens.reader), ("search-all", &tokens.writer)] {
        if bench.is_selected(name) && (name == "search" || !bench.arguments.only.is_empty()) {
            bench.search(name, addresses, token, &walk).await?;
        }
    }
    let workloads = everyday::workloads(addresses, tokens, &walk).await?;
    let figures = bench.measure_all(&workloads).await?;
    let of = |name: &str| workloads.iter().find(|workload| workload.name == name).context("no such workload");
    if bench.is_selected("rank") {
        bench.rank(of("login")?, &everyday::logins(&walk)).await?;
    }
    if bench.is_selected("flood") {
        bench.flood(of("W1")?).await?;
    }
    Ok(figures)
}

/// Creates the users, and stops the server that did it.
async fn load(users: u32, place: Place<'_>, postgres: Option<&Postgres>) -> Result<(Tokens, Loading)> {
    let file = place.folder.join("tokens.json");
    let (users, file_name) = (users.to_string(), file.to_string_lossy());
    let database_cpu = || match postgres {
        Some(postgres) => anyhow::Ok(machine::cpu_of_family(postgres.process()?)?),
        None => Ok(Duration::ZERO),
    };
    let before = database_cpu()?;
    let server = Server::start(place, &["demo", "--users", &users, "--tokens", &file_name])?;
    let took = server.took;
    let cpu = [machine::cpu(server.pid())?, database_cpu()?.saturating_sub(before)];
    let (_, memory) = machine::memory(server.pid())?;
    let tokens = read_tokens(&file)?;
    first_response(&server, &tokens).await?;
    server.stop()?;
    let on_disk = match place.url {
        Some(url) => vacuum(url).await?,
        None => std::fs::metadata(place.folder.join("roster.db"))?.len(),
    };
    Ok((tokens, Loading { took, cpu, memory, on_disk: on_disk / 1_000_000 }))
}

/// Vacuums a PostgreSQL database, writes a checkpoint, and returns its size in bytes.
async fn vacuum(url: &str) -> Result<u64> {
    let database = Database::connect(url).await?;
    database.execute_unprepared("VACUUM ANALYZE").await?;
    database.execute_unprepared("CHECKPOINT").await?;
    let pool = database.get_postgres_connection_pool();
    let size: i64 = sea_orm::sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(pool).await?;
    database.close().await?;
    Ok(size.try_into()?)
}

async fn first_response(server: &Server, tokens: &Tokens) -> Result<()> {
    let request = http::post(server.address, &tokens.reader, r#"{"query":"{ viewer { id } }"}"#);
    let mut connection = Connection::open(server.address).await?;
    let response = connection.send(&request).await?;
    ensure!(response.body.starts_with(r#"{"data":{"viewer":{"id":""#), "{} {}", response.status, response.body);
    Ok(())
}

fn read_tokens(file: &Path) -> Result<Tokens> {
    let tokens: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let token = |kind: &str| tokens[kind].as_str().map(str::to_owned).context("a token is missing");
    Ok(Tokens { reader: token("user")?, writer: token("superuser")?, other: token("group_owner")? })
}
