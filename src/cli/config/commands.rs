//! The commands and their options.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::invite::Invite;
use super::license::License;
use super::secret::Secret;
use super::transfer::{Export, Import};
use crate::entity::license::UNKNOWN_HOLDER;
use crate::{db, document};

/// The command to run. Defaults to `serve`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the directory (the default).
    Serve,
    /// Serve a synthetic hospital group for trying things out. Its database must not hold other licenses.
    Demo(Demo),
    /// Print the GraphQL schema, how it has changed, or whether the operations of a client are valid.
    Schema(Schema),
    /// Apply pending database migrations and exit, or say whether servers can run meanwhile.
    Migrate(Migrate),
    /// Import users, groups and institutions from a file. May be repeated: existing records are updated.
    Import(Import),
    /// Export a license with its users, groups, institutions, attributes and pictures, or everything about one user. A server may
    /// run at the same time.
    Export(Export),
    /// Invite users by email, such as those of an import. A server, which may run at the same time, sends the emails.
    Invite(Invite),
    /// Create or recover administrators.
    #[command(subcommand)]
    Admin(Admin),
    /// Manage licenses. Each license is a tenant with its own users, groups and institutions.
    #[command(subcommand)]
    License(License),
    /// Manage trusted documents: the operations of clients that the server executes by their IDs.
    #[command(subcommand)]
    Documents(Documents),
    /// Verify the audit trail.
    #[command(subcommand)]
    Audit(Audit),
    /// Replace the server key, also while servers run.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Back up the directory to a file, also while a server runs.
    Backup(Backup),
    /// Restore a backup where no database is, or verify one.
    Restore(Restore),
    /// Check the health of the server at --listen on the same machine. The exit code is 0 if it is ready, otherwise 1.
    Health(Health),
    /// Print the completion script of a shell.
    Completions(Completions),
    /// Print the manual page, in roff.
    Man,
    /// Examine the settings and the database, and print what should be done. Changes nothing. The exit code is 1 if there are
    /// problems, and 3 if there are only warnings.
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
    /// Keep changing the positions and groups of users, so that there are changes to follow.
    #[arg(long)]
    pub busy: bool,
}

/// Options of `roster schema`. Without options, prints the schema in the schema definition language.
#[derive(Debug, Args)]
pub struct Schema {
    /// Print the changes since an older schema, in the schema definition language. The exit code is 1 if any is breaking.
    #[arg(long, value_name = "OLD.graphql", conflicts_with = "check_operations")]
    pub diff: Option<PathBuf>,
    /// Validate the operations of a client: a directory of .graphql and .gql files, one such file, or a manifest of trusted
    /// documents (.json). The exit code is 1 if any is invalid.
    #[arg(long, value_name = "PATH")]
    pub check_operations: Option<PathBuf>,
    /// Format of the output. json is the result of introspection, or a list of changes or errors. github is annotations of a
    /// GitHub workflow, for --diff and --check-operations.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: SchemaFormat,
}

/// The format of the output of `roster schema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    Text,
    Json,
    Github,
}

/// Options of `roster migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Print the pending migrations, and whether servers that run keep working. Changes nothing. The exit code is 0 if nothing is
    /// pending, 3 if servers keep working, and 4 if old servers must be stopped first.
    #[arg(long)]
    pub check: bool,
    /// Format of the output of --check.
    #[arg(long, value_name = "FORMAT", default_value = "text", requires = "check")]
    pub format: CheckFormat,
}

/// The format of the output of `roster migrate --check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    Text,
    Json,
}

/// Manage trusted documents.
#[derive(Debug, Subcommand)]
pub enum Documents {
    /// Publish the documents of a manifest. Servers of the same database execute them within seconds.
    Publish(DocumentsPublish),
    /// List the published documents: set, ID, name, length in bytes, and when they were published.
    List,
    /// Withdraw documents. Servers of the same database refuse them within seconds.
    Withdraw(DocumentsWithdraw),
}

/// Options of `roster documents publish`.
#[derive(Debug, Args)]
pub struct DocumentsPublish {
    /// Manifest in JSON: an object from IDs to documents, as the client preset of graphql-codegen writes it, or a persisted
    /// query manifest of Apollo. Every document is checked against the schema; if any is invalid, none is published.
    pub manifest: PathBuf,
    /// Name of the set that the documents are added to, to which API keys can be bound.
    #[arg(long, value_name = "NAME", default_value = document::DEFAULT_SET)]
    pub set: String,
}

/// Options of `roster documents withdraw`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("withdrawn").required(true).args(["id", "set"]))]
pub struct DocumentsWithdraw {
    /// ID of the document, which is withdrawn from all sets.
    pub id: Option<String>,
    /// Name of a set, of which all documents are withdrawn.
    #[arg(long, value_name = "NAME")]
    pub set: Option<String>,
}

/// Replace the server key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print a new key, for --key or --key-file. Changes nothing.
    Generate,
    /// Make new hashes with another key, which is added to the key file. The current one becomes the old one, and still verifies.
    /// Asks the servers that run first: nothing changes until all of them have the other key.
    Rotate,
    /// Retire the old key, once nothing needs it. Nothing is verified with it any more, and it is removed from the key file.
    Retire(KeyRetire),
}

/// Options of `roster key retire`.
#[derive(Debug, Args)]
pub struct KeyRetire {
    /// Retire the key even if something needs it, such as after it was leaked. Passwords and PINs that need it are deleted;
    /// everything else that needs it is not valid any more.
    #[arg(long)]
    pub force: bool,
}

/// Options of `roster backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// File to create, which must not exist, or a directory, in which the file is named by the time. A directory that does not
    /// exist ends with a slash. [default: --backup-dir]
    #[arg(value_name = "FILE|DIR")]
    pub path: Option<PathBuf>,
    /// Remove all but the N newest backups from the directory, after the new one was read again. Other files are left alone.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub keep: Option<u32>,
    /// Ask for a passphrase to encrypt with, unless one is set.
    #[arg(long)]
    pub encrypt: bool,
}

/// Options of `roster health`.
#[derive(Debug, Args)]
pub struct Health {
    /// Check only whether the server responds, also while it waits for its database.
    #[arg(long)]
    pub live: bool,
}

/// Options of `roster completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Shell that runs the script.
    pub shell: clap_complete::Shell,
}

/// Options of `roster restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Backup to restore, or a directory, such as --backup-dir, of which the newest backup is restored. It is read to its end and
    /// checked before anything is written.
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,
    /// Restore to a temporary place only, check everything there, and report.
    #[arg(long)]
    pub verify: bool,
    /// URL of an empty PostgreSQL database to verify a backup of PostgreSQL in. The restored data stays in it.
    #[arg(long, env = "ROSTER_SCRATCH_URL", value_name = "URL", hide_env_values = true,
          value_parser = Secret::value(scratch_url))]
    pub scratch_url: Option<String>,
    /// File that holds the URL, instead of --scratch-url. Keeps the password out of the list of processes.
    #[arg(long = "scratch-url-file", env = "ROSTER_SCRATCH_URL_FILE", value_name = "FILE",
          value_parser = Secret::in_file(scratch_url), conflicts_with = "scratch_url")]
    pub scratch_url_in_file: Option<String>,
}

/// Create or recover administrators.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Create a superuser, and print a one-time link for setting the password.
    Create(AdminCreate),
    /// Print a new one-time link with which an existing, active user can set a password.
    Link(AdminLink),
}

/// Options of `roster admin link`.
#[derive(Debug, Args)]
pub struct AdminLink {
    /// The user's email address.
    #[arg(long)]
    pub email: String,
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
    #[arg(long, default_value = UNKNOWN_HOLDER)]
    pub holder: String,
}

fn scratch_url(text: &str) -> Result<String, String> {
    if db::is_postgres(text) {
        db::check_url(text)
    } else {
        Err("expected postgres://user:password@host/database".to_owned())
    }
}
