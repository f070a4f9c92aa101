//! The settings of the database.

use std::time::Duration;

/// The URL of the database, the number of connections, and the timeouts.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `sqlite:///path/to/file` or `postgres://...`.
    pub url: String,
    /// The URL of a standby of PostgreSQL that queries may read from.
    pub read_url: Option<String>,
    /// The number of connections for reading; on PostgreSQL there are as many again for transactions, and for single statements
    /// that write.
    pub connections: u32,
    pub timeouts: DatabaseTimeouts,
}

impl DatabaseSettings {
    /// Returns the settings with the default timeouts, and without a standby.
    #[must_use]
    pub fn new(url: String, connections: u32) -> Self {
        Self { url, read_url: None, connections, timeouts: DatabaseTimeouts::default() }
    }
}

/// The timeouts of the database. After each, an error serves the caller better.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseTimeouts {
    /// For a connection to become free, or to be opened.
    pub acquire: Duration,
    /// For other statements of the same caller. The program takes the deadline of a request.
    pub caller: Duration,
    /// For a statement on PostgreSQL.
    pub statement: Duration,
}

impl Default for DatabaseTimeouts {
    fn default() -> Self {
        Self { acquire: Duration::from_secs(2), caller: Duration::from_secs(10), statement: Duration::from_secs(5) }
    }
}
