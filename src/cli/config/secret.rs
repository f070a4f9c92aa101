//! Settings that hold a secret. Their values never appear in error messages, they can be read from a file, and a warning is given
//! if other users of the machine can read them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::mail::smtp_url::SmtpUrl;
use crate::{db, private_file};

/// The maximum size in bytes of a file with a secret.
const MAX_FILE_SIZE: u64 = 64 * 1024;

/// Parser of a secret. The error message of clap for an invalid value would contain the value.
#[derive(Clone)]
pub struct Secret<T> {
    /// Parses the value. Its error states the expected format and never repeats the value.
    parse: fn(&str) -> Result<T, String>,
    is_in_file: bool,
}

impl<T> Secret<T> {
    /// Creates a parser for a setting whose value is the secret.
    pub fn value(parse: fn(&str) -> Result<T, String>) -> Self {
        Self { parse, is_in_file: false }
    }

    /// Creates a parser for a setting whose value is the path of a file that holds only the secret.
    pub fn in_file(parse: fn(&str) -> Result<T, String>) -> Self {
        Self { parse, is_in_file: true }
    }

    fn read(&self, value: &OsStr) -> Result<T, String> {
        if !self.is_in_file {
            return value.to_str().ok_or_else(|| "expected text in UTF-8".to_owned()).and_then(self.parse);
        }
        let with_path = |error: String| format!("{}: {error}", Path::new(value).display());
        let mut text = String::new();
        let file = File::open(value).and_then(|file| file.take(MAX_FILE_SIZE).read_to_string(&mut text));
        file.map_err(|error| with_path(error.to_string()))?;
        (self.parse)(text.trim()).map_err(with_path)
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Secret<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> clap::error::Result<T> {
        self.read(value).map_err(|expected| {
            let flag = arg.map(ToString::to_string).unwrap_or_default();
            let variable = arg.and_then(Arg::get_env).unwrap_or_default().display();
            let message = format!("invalid value for '{flag}' ({variable}): {expected}\n");
            command.clone().error(ErrorKind::ValueValidation, message)
        })
    }
}

/// Returns a warning for each secret that other users of the machine can read: secrets given as flags, and files open to others.
pub fn exposure_warnings(matches: &ArgMatches) -> Vec<String> {
    let is_flag = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let value = |id: &str| matches.try_get_one::<String>(id).ok().flatten();
    let has_password = |url: &String| db::without_password(url) != *url;
    let smtp_url = matches.try_get_one::<SmtpUrl>("smtp_url").ok().flatten();
    let restore = matches.subcommand_matches("restore");
    let scratch_url = restore.filter(|restore| restore.value_source("scratch_url") == Some(ValueSource::CommandLine));
    let scratch_url = scratch_url.and_then(|restore| restore.get_one::<String>("scratch_url"));
    let secrets = [
        (scratch_url.is_some_and(has_password), "the password in --scratch-url", "ROSTER_SCRATCH_URL"),
        (is_flag("key"), "--key", "ROSTER_KEY or --key-file"),
        (
            is_flag("database_url") && value("database_url").is_some_and(has_password),
            "the password in --database-url",
            "DATABASE_URL or --database-url-file",
        ),
        (
            is_flag("read_url") && value("read_url").is_some_and(has_password),
            "the password in --read-url",
            "ROSTER_READ_URL or --read-url-file",
        ),
        (
            is_flag("smtp_url") && smtp_url.is_some_and(|url| url.login.is_some()),
            "the password in --smtp-url",
            "ROSTER_SMTP_URL or --smtp-url-file",
        ),
    ];
    let exposed = secrets.into_iter().filter(|(is_exposed, ..)| *is_exposed);
    let exposed = exposed.map(|(_, what, instead)| {
        format!("every user of this machine can see {what} in the list of processes; use {instead}")
    });
    exposed.chain(open_file_warnings(matches)).collect()
}

/// Returns a warning for each file with a secret that users other than its owner may access. The files may be mounted and belong
/// to another user, so their modes are not changed.
fn open_file_warnings(matches: &ArgMatches) -> impl Iterator<Item = String> {
    let flags = [
        ("key_file", "--key-file"),
        ("passphrase_in_file", "--passphrase-file"),
        ("database_url_in_file", "--database-url-file"),
        ("read_url_in_file", "--read-url-file"),
        ("smtp_url_in_file", "--smtp-url-file"),
        ("tls_key", "--tls-key"),
    ];
    flags.into_iter().filter_map(|(id, flag)| {
        let file = Path::new(matches.try_get_raw(id).ok().flatten()?.next()?);
        let mode = private_file::mode_for_others(file)?;
        Some(format!("{flag} {}: other users can read this file (mode {mode:04o}); expected mode 0600", file.display()))
    })
}
