//! The arguments of the load test.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::figures::Engine;

/// The name of the import among the workloads.
const IMPORT: &str = "import";

/// Measures Roster under load.
#[derive(Parser)]
pub struct Arguments {
    /// The number of users in the directory. Several numbers are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    pub users: Vec<u32>,
    /// Measure 10,000, 100,000 and 1,000,000 users.
    #[arg(long, conflicts_with = "users")]
    pub growth: bool,
    /// Seconds for each measurement, after a warm-up of a third of that.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// The workloads to measure besides the floors: token (typename with a token to check), W1 to W5, W4-short (words of
    /// two letters), W8, update, login, flood (reads while many guess passwords), rank (whether the time of a guess
    /// reveals a login), feed (the time from a change to its event at subscribers), hostile (reads while anonymous
    /// callers send 100,000 hostile requests and a user the most expensive queries), search (every kind of search),
    /// search-all (the same, in all licenses), import (`roster import` into an empty directory), peers (Roster beside
    /// Mercurius) and overhead (the same requests with and without metrics and traces). Defaults to all but search-all,
    /// peers and overhead.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    #[arg(long, default_value = "both")]
    pub database: Which,
    /// The number of requests under way at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    pub concurrency: Vec<usize>,
    /// Draw the results into an SVG file.
    #[arg(long)]
    pub picture: Option<PathBuf>,
    /// Print the results as the table of the README.
    #[arg(long)]
    pub markdown: bool,
    /// Serve as the bare server on a database. The bench starts itself with it.
    #[arg(long, hide = true)]
    pub bare: Option<String>,
    /// Set by cargo bench.
    #[arg(long, hide = true)]
    pub bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    Sqlite,
    Postgres,
    Both,
}

impl Arguments {
    /// Returns whether a workload is selected by its name, and not by default.
    pub fn names(&self, workload: &str) -> bool {
        self.only.iter().any(|selected| selected.eq_ignore_ascii_case(workload))
    }

    pub fn engines(&self) -> Vec<Engine> {
        match self.database {
            Which::Sqlite => vec![Engine::Sqlite],
            Which::Postgres => vec![Engine::Postgres],
            Which::Both => vec![Engine::Sqlite, Engine::Postgres],
        }
    }

    /// Returns whether the import is measured.
    pub fn runs_import(&self) -> bool {
        self.only.is_empty() || self.names(IMPORT)
    }

    /// Returns whether anything else is measured.
    pub fn runs_server(&self) -> bool {
        self.only.is_empty() || self.only.iter().any(|selected| !selected.eq_ignore_ascii_case(IMPORT))
    }
}
