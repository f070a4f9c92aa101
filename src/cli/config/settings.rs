//! Settings: the flag, the environment variable, the default and the description of each.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use tracing_subscriber::filter::LevelFilter;

use super::backups::Backups;
use super::documents::DocumentSettings;
use super::listen::Listen;
use super::mail::Mail;
use super::search_index::SearchIndexSettings;
use super::secret::Secret;
use super::tls::TlsSettings;
use super::urls::{otlp_endpoint, public_url, requires_https};
use crate::auth::key_ring::KeyRing;
use crate::auth::password::{self, Hasher};
use crate::auth::policy::{Lifetime, SignInPolicy};
use crate::auth::redirect::AllowedPrefix;
use crate::auth::server_key::{self, HeldKeys};
use crate::trace::Recorder;
use crate::{db, http};

/// The default address that the server listens on.
pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:8000";

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
    /// TOML file with settings under the names of these flags, such as data-dir = "/var/lib/roster". Flags and environment variables
    /// take precedence. [default: none]
    #[arg(long, env = "ROSTER_CONFIG", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on: an IP address or host name with a port, only a port of 127.0.0.1, or a Unix socket as unix:PATH.
    #[arg(long, env = "ROSTER_LISTEN", default_value = DEFAULT_LISTEN, global = true, value_name = "ADDRESS:PORT",
          value_parser = Listen::parse)]
    pub listen: Listen,
    /// Address to serve metrics for Prometheus on, at /metrics: an IP address or host name with a port, only a port of 127.0.0.1,
    /// or a Unix socket as unix:PATH. [default: none, metrics are not served]
    #[arg(long, env = "ROSTER_METRICS_LISTEN", global = true, value_name = "ADDRESS:PORT", value_parser = Listen::parse)]
    pub metrics_listen: Option<Listen>,
    /// URL of an OpenTelemetry collector to which the traces of requests are sent, by OTLP over HTTP: `http://127.0.0.1:4318`.
    /// Only if Roster was built with the cargo feature otlp. [default: none, traces are not exported]
    #[arg(long, env = "ROSTER_OTLP_ENDPOINT", global = true, value_name = "URL",
          value_parser = Secret::value(otlp_endpoint))]
    pub otlp_endpoint: Option<String>,
    /// Directory of the SQLite file, the server key and emails. Created if missing. [default: roster-data; roster-demo for demo]
    #[arg(long, env = "ROSTER_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Whether the settings file names the data directory, and neither a flag nor a variable does.
    #[arg(skip)]
    pub data_dir_is_in_file: bool,
    #[arg(
        help = "URL of the database: postgres://user:password@host/database or sqlite:///path/to/file [default: a SQLite file in the data directory]"
    )]
    #[arg(long, env = "DATABASE_URL", global = true, value_name = "URL",
          value_parser = Secret::value(db::check_url), hide_env_values = true)]
    pub database_url: Option<String>,
    /// File that holds the URL of the database, instead of --database-url. Keeps the password out of the list of processes.
    /// [default: none]
    #[arg(long = "database-url-file", env = "DATABASE_URL_FILE", global = true, value_name = "FILE",
          value_parser = Secret::in_file(db::check_url), conflicts_with = "database_url")]
    pub database_url_in_file: Option<String>,
    /// URL of a standby of the PostgreSQL database. Queries of users, groups and institutions are read there whenever it has
    /// everything that the primary has. [default: none]
    #[arg(long, env = "ROSTER_READ_URL", global = true, value_name = "URL",
          value_parser = Secret::value(db::check_read_url), hide_env_values = true)]
    pub read_url: Option<String>,
    /// File that holds the URL of the standby, instead of --read-url. [default: none]
    #[arg(long = "read-url-file", env = "ROSTER_READ_URL_FILE", global = true, value_name = "FILE",
          value_parser = Secret::in_file(db::check_read_url), conflicts_with = "read_url")]
    pub read_url_in_file: Option<String>,
    /// Number of database connections for reading. PostgreSQL: as many again for transactions and for single statements that
    /// write, and half as many for expensive requests. SQLite: one for writing, and one per two processors for expensive
    /// requests.
    #[arg(long, env = "ROSTER_DATABASE_CONNECTIONS", default_value_t = 4, global = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub database_connections: u32,
    /// Maximum number of open HTTP connections. If one more is opened, the connection that has been idle longest is closed.
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
        help = "URL at which users reach the server, for links [default: http:// and the value of --listen, with localhost for 0.0.0.0 and [::]; https:// with --tls-cert]"
    )]
    #[arg(long, env = "ROSTER_PUBLIC_URL", global = true, value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// URLs to which users may be redirected after choosing a password, such as `https://app.example.org/welcome`, separated
    /// by commas. URLs below them are allowed too. The session token is passed on. Pages of emailed links tell users to sign in at
    /// the first one. [default: the public URL]
    #[arg(long, env = "ROSTER_NEXT_URLS", global = true, value_name = "URLS", value_delimiter = ',', value_parser = AllowedPrefix::parse)]
    pub next_urls: Vec<AllowedPrefix>,
    /// Origins of other sites whose pages may use the API in a browser, such as `https://app.example.org`, separated by commas.
    /// The public URL's own and those of --next-urls are allowed too. [default: none]
    #[arg(long, env = "ROSTER_ALLOWED_ORIGINS", global = true, value_name = "ORIGINS", value_delimiter = ',',
          value_parser = http::Origin::parse)]
    pub allowed_origins: Vec<http::Origin>,
    /// Number of the license in which visitors may register themselves. [default: none, registration is disabled]
    #[arg(long, env = "ROSTER_REGISTRATION", global = true, value_name = "NUMBER",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub registration: Option<String>,
    #[command(flatten)]
    pub tls: TlsSettings,
    #[command(flatten)]
    pub mail: Mail,
    /// Whether to serve GraphiQL at /.
    #[arg(long, env = "ROSTER_PLAYGROUND", default_value_t = true, global = true, value_name = "BOOL", action = clap::ArgAction::Set,
          value_parser = BoolishValueParser::new())]
    pub playground: bool,
    #[command(flatten)]
    pub documents: DocumentSettings,
    /// Maximum lifetime of a session, in days, however much it is used.
    #[arg(long, env = "ROSTER_SESSION_DAYS", default_value_t = 30, global = true, value_name = "DAYS",
          value_parser = clap::value_parser!(u64).range(1..=365))]
    pub session_days: u64,
    /// Hours without use after which a session ends.
    #[arg(long, env = "ROSTER_SESSION_IDLE_HOURS", default_value_t = 12, global = true, value_name = "HOURS",
          value_parser = clap::value_parser!(u64).range(1..=8_760))]
    pub session_idle_hours: u64,
    /// Maximum number of wrong passwords and PINs from one network address within 15 minutes. The same number of requests for
    /// emails is allowed.
    #[arg(long, env = "ROSTER_WRONG_SECRETS_PER_ADDRESS", default_value_t = 100, global = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub wrong_secrets_per_address: u32,
    /// Minimum length of a new password, in characters.
    #[arg(long, env = "ROSTER_PASSWORD_LENGTH", default_value_t = password::DEFAULT_MIN_LENGTH, global = true, value_name = "N",
          value_parser = clap::value_parser!(u8).range(8..=64))]
    pub password_length: u8,
    /// Server key, which goes into every password hash: 32 bytes in base64. While it is being replaced, several keys, separated
    /// by commas. [default: the content of the key file]
    #[arg(long, env = "ROSTER_KEY", global = true, value_name = "BASE64", value_parser = Secret::value(key_text),
          hide_env_values = true, allow_hyphen_values = true)]
    pub key: Option<HeldKeys>,
    /// File of the server key, or of several, one in each line. Created if missing. Back it up as well as the database; instances
    /// that share a database need the same keys. [default: roster.key in the data directory]
    #[arg(long, env = "ROSTER_KEY_FILE", global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    #[command(flatten)]
    pub backups: Backups,
    #[command(flatten)]
    pub search_index: SearchIndexSettings,
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
    /// Returns the source of the server keys: the setting, the file that is set, or the file in the data directory.
    #[must_use]
    pub fn key_source(&self, default_dir: &str) -> server_key::Source {
        match (&self.key, &self.key_file) {
            (Some(keys), _) => server_key::Source::Setting(keys.clone()),
            (None, Some(file)) => server_key::Source::File(file.clone()),
            (None, None) => server_key::Source::File(self.data_dir(default_dir).join("roster.key")),
        }
    }

    /// Returns the data directory: the one that is set, or the default one of the command.
    #[must_use]
    pub fn data_dir(&self, default_dir: &str) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| PathBuf::from(default_dir))
    }

    /// Returns the password hasher with server keys.
    #[must_use]
    pub fn hasher(&self, keys: impl Into<KeyRing>) -> Hasher {
        Hasher::new(keys, self.password_length.into())
    }

    /// Returns the maximum number of open connections from one network address.
    #[must_use]
    pub fn max_connections_per_address(&self) -> u32 {
        self.max_connections_per_address.unwrap_or_else(|| self.max_connections.div_ceil(2))
    }

    /// Returns the settings of the HTTP server that users reach at a URL.
    #[must_use]
    pub fn server_settings(&self, public_url: &str, tls: Option<http::Tls>) -> http::ServerSettings {
        http::ServerSettings {
            max_connections: self.max_connections as usize,
            max_connections_per_address: self.max_connections_per_address() as usize,
            trusted_proxies: self.trusted_proxies.clone(),
            allowed_origins: self.all_allowed_origins(public_url),
            request_deadline: Duration::from_secs(self.request_seconds),
            shutdown_grace: Duration::from_secs(4),
            subscriptions: http::SubscriptionTimeouts::default(),
            playground: self.playground,
            documents: self.documents.policy(self.playground),
            tls,
            requires_https: requires_https(public_url),
            metrics: http::HttpMetrics::default(),
            traces: Recorder::default(),
        }
    }

    /// Returns the policy of signing in.
    #[must_use]
    pub fn sign_in_policy(&self) -> SignInPolicy {
        SignInPolicy { lifetime: self.session_lifetime(), max_failures_per_address: self.wrong_secrets_per_address }
    }

    /// Returns the lifetime of sessions.
    #[must_use]
    pub fn session_lifetime(&self) -> Lifetime {
        Lifetime {
            absolute: Duration::from_secs(self.session_days * 24 * 60 * 60),
            idle: Duration::from_secs(self.session_idle_hours * 60 * 60),
        }
    }
}

fn key_text(text: &str) -> Result<HeldKeys, String> {
    HeldKeys::parse(text).ok_or_else(|| "expected 32 bytes in base64".to_owned())
}

fn log_filter(text: &str) -> Result<String, String> {
    // EnvFilter treats a word that is not a level as the name of a module, and then logs nothing else.
    let is_level = |part: &str| part.contains(['=', '[', ':']) || part.trim().parse::<LevelFilter>().is_ok();
    if let Some(unknown) = text.split(',').find(|part| !is_level(part)) {
        return Err(format!(
            "unknown level {unknown:?}; expected error, warn, info, debug, trace, off or module=level"
        ));
    }
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
