//! Settings: the flag, the environment variable, the default and the description of each.

mod environment;
mod listen;
mod mail;
mod secret;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use tracing_subscriber::filter::LevelFilter;

use crate::auth::password::{self, Hasher};
use crate::auth::policy::{Lifetime, SignInPolicy};
use crate::auth::redirect::{Allowed, NextUrls};
use crate::auth::server_key::{self, Key};
use crate::scalar::Date;
use crate::{db, http};

pub use self::listen::Listen;
pub use self::mail::Mail;
use self::secret::Secret;

/// A user directory for hospitals, institutes and platforms, served as a GraphQL API.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub settings: Settings,
}

impl Cli {
    /// Parses the command line and the environment. Returns with the settings the warnings to be logged. An invalid setting ends
    /// the process with exit code 2.
    #[must_use]
    pub fn read() -> (Self, Vec<String>) {
        let command = Self::command();
        let mut warnings = environment::unknown(&command, std::env::vars_os().map(|(name, _)| name));
        let mut command = environment::without_empty(command);
        let matches = command.get_matches_mut();
        warnings.extend(secret::exposed(&matches));
        match Self::from_arg_matches(&matches) {
            Ok(cli) => (cli, warnings),
            Err(error) => error.format(&mut command).exit(),
        }
    }
}

/// The command to run. Defaults to `serve`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the directory (the default).
    Serve,
    /// Serve a synthetic hospital group for trying things out. Its database must not hold other licenses.
    Demo(Demo),
    /// Print the GraphQL schema (SDL) to standard output.
    Schema,
    /// Apply pending database migrations and exit.
    Migrate,
    /// Import users, groups and institutions from an NDJSON file. May be repeated: existing records are updated.
    Import(Import),
    /// Create or recover administrators.
    #[command(subcommand)]
    Admin(Admin),
    /// Manage licenses. Each license is a tenant with its own users, groups and institutions.
    #[command(subcommand)]
    License(License),
    /// Verify the audit trail.
    #[command(subcommand)]
    Audit(Audit),
    /// Show the effective settings, the database with its parameters, and pending migrations. Changes nothing.
    Doctor,
}

/// Options of `roster demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Number of users, from 10 to 5,000,000.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=5_000_000))]
    pub users: u32,
    /// Seed of the random generator; the same seed gives the same users.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also write the bearer tokens to FILE: a JSON object from the kind of viewer to the token.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
}

/// Options of `roster import`.
#[derive(Debug, Args)]
pub struct Import {
    /// NDJSON file in UTF-8, one object per line: {"institution": {...}}, {"group": {...}} or {"user": {...}}. `-` reads
    /// standard input. If any line is invalid, nothing is imported; a user whose password hash cannot be used is imported
    /// without it.
    pub file: PathBuf,
    /// Check every line without writing anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Number of the license to import into. Required only if there are several licenses.
    #[arg(long, value_name = "NUMBER")]
    pub license: Option<String>,
}

/// Create or recover administrators.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Create a superuser, and print a one-time link for setting the password.
    Create(AdminCreate),
    /// Print a new one-time link with which an existing active user sets a password.
    Link(AdminLink),
}

/// Options of `roster admin link`.
#[derive(Debug, Args)]
pub struct AdminLink {
    /// The user's email address.
    #[arg(long)]
    pub email: String,
}

/// Manage licenses.
#[derive(Debug, Subcommand)]
pub enum License {
    /// Create a license.
    Create(LicenseCreate),
    /// Change or remove the last day of a license. Takes effect at once, also on a running server.
    Extend(LicenseExtend),
    /// List all licenses: number, holder, kind, first and last day, whether expired, and number of users.
    List,
}

/// Options of `roster license create`.
#[derive(Debug, Args)]
pub struct LicenseCreate {
    /// Unique number of the license, at most 50 characters.
    #[arg(long)]
    pub number: String,
    /// Holder of the license, at most 200 characters.
    #[arg(long)]
    pub holder: String,
    /// Kind of the license: commercial for an organisation, private for an individual or a household.
    #[arg(long, default_value = "commercial")]
    pub kind: LicenseKindArgument,
    /// First day on which the license is valid (UTC). Before it, users of the license cannot sign in. [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub starts_on: Option<Date>,
    /// Last day on which the license is valid (UTC). [default: none, the license never expires]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub expires_on: Option<Date>,
}

/// Options of `roster license extend`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("end").required(true).args(["expires_on", "no_end"]))]
pub struct LicenseExtend {
    /// Number of the license.
    #[arg(long)]
    pub number: String,
    /// New last day on which the license is valid (UTC).
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub expires_on: Option<Date>,
    /// Remove the last day: the license never expires.
    #[arg(long)]
    pub no_end: bool,
}

/// The kind of holder of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LicenseKindArgument {
    Commercial,
    Private,
}

/// Verify the audit trail.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Verify the hash chain of the audit trail, event by event. A server may run at the same time. Lists the first 100
    /// problems; the exit code is 1 if there are any.
    Verify,
}

/// Options of `roster admin create`.
#[derive(Debug, Args)]
pub struct AdminCreate {
    /// Email address to sign in with.
    #[arg(long)]
    pub email: String,
    /// The user's first name.
    #[arg(long)]
    pub first_name: String,
    /// The user's last name.
    #[arg(long)]
    pub last_name: String,
    /// Number of the license to which the administrator belongs. Required only if there are several licenses.
    #[arg(long, value_name = "NUMBER")]
    pub license: Option<String>,
    /// Create an administrator of this license only, instead of a superuser of every license.
    #[arg(long)]
    pub license_admin: bool,
    /// Read the password from standard input instead of printing a link.
    #[arg(long)]
    pub password_stdin: bool,
    /// Holder of the first license, which is created if there is none yet.
    #[arg(long, default_value = "This organisation")]
    pub holder: String,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Settings, each by flag or environment variable.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Where to listen: an address or a host name with a port, or only a port of 127.0.0.1.
    #[arg(long, env = "ROSTER_LISTEN", default_value = "127.0.0.1:8000", global = true, value_name = "ADDRESS:PORT",
          value_parser = Listen::parse)]
    pub listen: Listen,
    /// Directory of the SQLite file, the server key and emails. Created if missing. [default: roster-data; roster-demo for demo]
    #[arg(long, env = "ROSTER_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[arg(
        help = "URL of the database: postgres://user:password@host/database or sqlite:///path/to/file [default: a SQLite file in the data directory]"
    )]
    #[arg(long, env = "DATABASE_URL", global = true, value_name = "URL",
          value_parser = Secret::value(database_url), hide_env_values = true)]
    pub database_url: Option<String>,
    /// File that holds the URL of the database, instead of --database-url. Keeps the password out of the list of processes.
    /// [default: none]
    #[arg(long = "database-url-file", env = "DATABASE_URL_FILE", global = true, value_name = "FILE",
          value_parser = Secret::in_file(database_url), conflicts_with = "database_url")]
    pub database_url_in_file: Option<String>,
    /// Number of database connections for reading. PostgreSQL: as many again for writing, and half as many for expensive
    /// requests. SQLite: one for writing, and one per two processors for expensive requests.
    #[arg(long, env = "ROSTER_DATABASE_CONNECTIONS", default_value_t = 4, global = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub database_connections: u32,
    /// Maximum number of open HTTP connections. For one more, the connection that has been idle longest is closed.
    #[arg(long, env = "ROSTER_MAX_CONNECTIONS", default_value_t = 1_000, global = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,
    /// Maximum number of open HTTP connections from one IPv4 address or one IPv6 /64 network. Trusted proxies are exempt.
    /// [default: half of --max-connections]
    #[arg(long, env = "ROSTER_MAX_CONNECTIONS_PER_ADDRESS", global = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections_per_address: Option<u32>,
    /// Proxies whose X-Forwarded-For is trusted: addresses, or networks such as 10.0.0.0/8, separated by commas.
    /// [default: none]
    #[arg(long, env = "ROSTER_TRUSTED_PROXIES", global = true, value_name = "NETWORKS", value_delimiter = ',',
          value_parser = http::network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Maximum duration of a request, in seconds.
    #[arg(long, env = "ROSTER_REQUEST_SECONDS", default_value_t = 10, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=300))]
    pub request_seconds: u64,
    #[arg(
        help = "URL at which users reach the server, for links [default: http:// and the value of --listen, with localhost for 0.0.0.0 and [::]]"
    )]
    #[arg(long, env = "ROSTER_PUBLIC_URL", global = true, value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// URLs to which users may be redirected after choosing a password, such as `https://app.example.org/welcome`, separated
    /// by commas. URLs below them are allowed too. The session token is passed on. [default: the public URL]
    #[arg(long, env = "ROSTER_NEXT_URLS", global = true, value_name = "URLS", value_delimiter = ',', value_parser = Allowed::parse)]
    pub next_urls: Vec<Allowed>,
    /// Number of the license in which visitors may register themselves. [default: none, registration is disabled]
    #[arg(long, env = "ROSTER_REGISTRATION", global = true, value_name = "NUMBER",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub registration: Option<String>,
    #[command(flatten)]
    pub mail: Mail,
    /// Whether to serve GraphiQL at /.
    #[arg(long, env = "ROSTER_PLAYGROUND", default_value_t = true, global = true, value_name = "BOOL", action = clap::ArgAction::Set,
          value_parser = BoolishValueParser::new())]
    pub playground: bool,
    /// Maximum lifetime of a session, in days, however much it is used.
    #[arg(long, env = "ROSTER_SESSION_DAYS", default_value_t = 30, global = true, value_name = "DAYS",
          value_parser = clap::value_parser!(u64).range(1..=365))]
    pub session_days: u64,
    /// Hours without use after which a session ends.
    #[arg(long, env = "ROSTER_SESSION_IDLE_HOURS", default_value_t = 12, global = true, value_name = "HOURS",
          value_parser = clap::value_parser!(u64).range(1..=8_760))]
    pub session_idle_hours: u64,
    /// Maximum number of wrong passwords and PINs from one network address within 15 minutes, and of requests for emails.
    #[arg(long, env = "ROSTER_WRONG_SECRETS_PER_ADDRESS", default_value_t = 100, global = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub wrong_secrets_per_address: u32,
    /// Minimum length of a new password, in characters.
    #[arg(long, env = "ROSTER_PASSWORD_LENGTH", default_value_t = password::SHORTEST, global = true, value_name = "N",
          value_parser = clap::value_parser!(u8).range(8..=64))]
    pub password_length: u8,
    /// Server key, which goes into every password hash: 32 bytes in base64. [default: the content of the key file]
    #[arg(long, env = "ROSTER_KEY", global = true, value_name = "BASE64", value_parser = Secret::value(key_text),
          hide_env_values = true, allow_hyphen_values = true)]
    pub key: Option<Key>,
    /// File of the server key. Created if missing. Back it up as well as the database; instances that share a database need
    /// the same key. [default: roster.key in the data directory]
    #[arg(long, env = "ROSTER_KEY_FILE", global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Log level (error, warn, info, debug, trace or off), or a filter of the `tracing` crate: `info,roster::sql=trace`.
    #[arg(long, env = "ROSTER_LOG", default_value = "info", global = true, value_name = "FILTER", value_parser = log_filter)]
    pub log: String,
    /// Log format.
    #[arg(
        long,
        env = "ROSTER_LOG_FORMAT",
        default_value = "text",
        global = true,
        value_name = "FORMAT",
        ignore_case = true
    )]
    pub log_format: LogFormat,
}

impl Settings {
    /// Returns the settings of the database: the URL that is set, or the SQLite file in the data directory.
    #[must_use]
    pub fn database(&self, default_dir: &str) -> db::DatabaseSettings {
        let url = self.database_url().map(str::to_owned);
        let url = url.unwrap_or_else(|| db::url_of(&self.dir(default_dir).join("roster.db")));
        db::DatabaseSettings { url, connections: self.database_connections }
    }

    /// Returns the URL of the database, if it is set.
    #[must_use]
    pub fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref().or(self.database_url_in_file.as_deref())
    }

    /// Returns the source of the server key: the setting, the file that is set, or the file in the data directory.
    #[must_use]
    pub fn key(&self, default_dir: &str) -> server_key::Source {
        match (&self.key, &self.key_file) {
            (Some(key), _) => server_key::Source::Setting(key.clone()),
            (None, Some(file)) => server_key::Source::File(file.clone()),
            (None, None) => server_key::Source::File(self.dir(default_dir).join("roster.key")),
        }
    }

    fn dir(&self, default_dir: &str) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| PathBuf::from(default_dir))
    }

    /// Returns the password hasher with a server key.
    #[must_use]
    pub fn hasher(&self, key: Key) -> Hasher {
        Hasher::new(key, self.password_length.into())
    }

    /// Returns the maximum number of open connections from one network address.
    #[must_use]
    pub fn max_connections_per_address(&self) -> u32 {
        self.max_connections_per_address.unwrap_or_else(|| self.max_connections.div_ceil(2))
    }

    /// Returns the settings of the HTTP server.
    #[must_use]
    pub fn server(&self) -> http::ServerSettings {
        http::ServerSettings {
            max_connections: self.max_connections as usize,
            max_connections_per_address: self.max_connections_per_address() as usize,
            trusted_proxies: self.trusted_proxies.clone(),
            request_deadline: Duration::from_secs(self.request_seconds),
            shutdown_grace: Duration::from_secs(4),
            playground: self.playground,
        }
    }

    /// Returns the URL at which users reach the server: the public URL, or by default the one derived from `listen`.
    #[must_use]
    pub fn public_url(&self, listen: &Listen) -> String {
        self.public_url.clone().unwrap_or_else(|| listen.url())
    }

    /// Returns the URLs to which users may be redirected: those that are set, or by default the public URL.
    #[must_use]
    pub fn next_urls(&self, public_url: &str) -> NextUrls {
        if !self.next_urls.is_empty() {
            return NextUrls::new(self.next_urls.clone());
        }
        // Parsed and serialized, so that the URL has the form in which browsers send it. One that does not parse allows no
        // redirects.
        let public = url::Url::parse(public_url).ok();
        NextUrls::new(public.and_then(|url| Allowed::parse(url.as_str()).ok()).into_iter().collect())
    }

    /// Returns the rules of signing in.
    #[must_use]
    pub fn rules(&self) -> SignInPolicy {
        SignInPolicy { lifetime: self.lifetime(), max_failures_per_address: self.wrong_secrets_per_address }
    }

    /// Returns the lifetime of sessions.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        Lifetime {
            absolute: Duration::from_secs(self.session_days * 24 * 60 * 60),
            idle: Duration::from_secs(self.session_idle_hours * 60 * 60),
        }
    }
}

fn database_url(text: &str) -> Result<String, String> {
    db::check_url(text)
}

fn key_text(text: &str) -> Result<Key, String> {
    Key::parse(text).ok_or_else(|| "expected 32 bytes in base64".to_owned())
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| "expected a date, such as 2027-12-31".to_owned())
}

fn public_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    let is_plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    if is_plain && url.fragment().is_none() {
        Ok(text.to_owned())
    } else {
        Err("expected http(s)://host/path".to_owned())
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    // EnvFilter treats a word that is not a level as the name of a module, and then logs nothing else.
    let is_known = |part: &str| part.contains(['=', '[', ':']) || part.trim().parse::<LevelFilter>().is_ok();
    if let Some(unknown) = text.split(',').find(|part| !is_known(part)) {
        return Err(format!(
            "unknown level {unknown:?}; expected error, warn, info, debug, trace, off or module=level"
        ));
    }
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
