//! The database and its standby, as they are set.

use std::time::Duration;

use super::Settings;
use crate::db;

impl Settings {
    /// Returns the settings of the database: the URL that is set, or the SQLite file in the data directory.
    #[must_use]
    pub fn database(&self, default_dir: &str) -> db::DatabaseSettings {
        let url = self.database_url().map(str::to_owned);
        let url = url.unwrap_or_else(|| db::url_of(&self.data_dir(default_dir).join("roster.db")));
        let settings = db::DatabaseSettings::new(url, self.database_connections);
        let caller = Duration::from_secs(self.request_seconds);
        db::DatabaseSettings { timeouts: db::DatabaseTimeouts { caller, ..settings.timeouts }, ..settings }
    }

    /// Returns the settings of the database of a server, with the standby that queries may read from.
    #[must_use]
    pub fn database_with_standby(&self, default_dir: &str) -> db::DatabaseSettings {
        db::DatabaseSettings { read_url: self.read_url().map(str::to_owned), ..self.database(default_dir) }
    }

    /// Checks that a standby is set only for PostgreSQL.
    ///
    /// # Errors
    /// The setting that is wrong, and why.
    pub fn check_standby(&self, default_dir: &str) -> Result<(), String> {
        if self.read_url().is_none() || db::is_postgres(&self.database(default_dir).url) {
            return Ok(());
        }
        let by_file = self.read_url_in_file.is_some();
        let setting = if by_file { "--read-url-file (ROSTER_READ_URL_FILE)" } else { "--read-url (ROSTER_READ_URL)" };
        Err(format!("{setting}: SQLite has no standby; the database must be PostgreSQL"))
    }

    /// Returns the URL of the database, if it is set.
    #[must_use]
    pub fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref().or(self.database_url_in_file.as_deref())
    }

    /// Returns the URL of the standby, if it is set.
    #[must_use]
    pub fn read_url(&self) -> Option<&str> {
        self.read_url.as_deref().or(self.read_url_in_file.as_deref())
    }
}
