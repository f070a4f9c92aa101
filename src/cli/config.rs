//! The command line: the commands with their options, and the settings.

mod backups;
mod commands;
mod database;
mod documents;
mod environment;
mod file;
mod help;
mod invite;
mod license;
mod listen;
mod mail;
mod search_index;
mod secret;
mod settings;
mod tls;
mod transfer;
mod urls;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};

pub use self::backups::Backups;
pub use self::commands::{
    Admin, AdminCreate, AdminLink, Audit, Backup, CheckFormat, Command, Completions, Demo, Documents, DocumentsPublish,
    DocumentsWithdraw, Health, KeyCommand, KeyRetire, Migrate, Restore, Schema, SchemaFormat,
};
pub use self::documents::{AllowedDocuments, DocumentSettings, SchemaReaders};
pub use self::invite::Invite;
pub use self::license::{License, LicenseCreate, LicenseExtend, LicenseKindArgument, LicenseRename};
pub use self::listen::Listen;
pub use self::mail::Mail;
pub use self::search_index::{SearchIndexFileMode, SearchIndexSettings};
pub use self::settings::{LogFormat, Settings};
pub use self::tls::TlsSettings;
pub use self::transfer::{Export, ExportFormat, Import, OnError};

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
    /// Parses the command line, the environment and the settings file. Returns with the settings the warnings to be logged. An
    /// invalid setting ends the process with exit code 2.
    #[must_use]
    pub fn parse_with_warnings() -> (Self, Vec<String>) {
        let command = Self::command();
        let mut warnings = environment::unknown_warnings(&command, std::env::vars_os().map(|(name, _)| name));
        let (command, of_file) = file::add_to(environment::ignore_empty(command))
            .unwrap_or_else(|error| Self::command().error(ErrorKind::ValueValidation, error).exit());
        warnings.extend(of_file);
        let (mut command, arguments) = help::prepare(command, std::env::args_os().collect());
        let matches = command.try_get_matches_from_mut(arguments).unwrap_or_else(|error| error.exit());
        warnings.extend(secret::exposure_warnings(&matches));
        match Self::from_arg_matches(&matches) {
            Ok(Self { command, settings }) => {
                // The values of the file are the defaults of the arguments.
                let data_dir_is_in_file = matches.value_source("data_dir") == Some(ValueSource::DefaultValue);
                (Self { command, settings: Settings { data_dir_is_in_file, ..settings } }, warnings)
            }
            Err(error) => error.format(&mut command).exit(),
        }
    }
}
