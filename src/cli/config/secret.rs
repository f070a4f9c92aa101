//! Settings that hold a secret: read without showing it, from a file too, and a warning where every user of the machine can
//! read it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::db;
use crate::mail::smtp_url::SmtpUrl;
use crate::private_file;

/// The most bytes of a file with a secret.
const MAX_FILE: u64 = 64 * 1024;

/// Reads a secret. What clap says of a wrong value would show it.
#[derive(Clone)]
pub struct Secret<T> {
    /// Says of a wrong value what is expected, without repeating it.
    parse: fn(&str) -> Result<T, String>,
    is_in_file: bool,
}

impl<T> Secret<T> {
    /// The secret is the value.
    pub fn value(parse: fn(&str) -> Result<T, String>) -> Self {
        Self { parse, is_in_file: false }
    }

    /// The value names the file that holds the secret and nothing else.
    pub fn in_file(parse: fn(&str) -> Result<T, String>) -> Self {
        Self { parse, is_in_file: true }
    }

    fn read(&self, value: &OsStr) -> Result<T, String> {
        if !self.is_in_file {
            return value.to_str().ok_or_else(|| "expected text in UTF-8".to_owned()).and_then(self.parse);
        }
        let of_file = |error: String| format!("{}: {error}", Path::new(value).display());
        let mut text = String::new();
        let file = File::open(value).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
        file.map_err(|error| of_file(error.to_string()))?;
        (self.parse)(text.trim()).map_err(of_file)
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

/// Warnings about the secrets that other users of the machine can read: those given as flags, and files open to them.
pub fn exposed(matches: &ArgMatches) -> Vec<String> {
    let is_flag = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let value = |id: &str| matches.try_get_one::<String>(id).ok().flatten();
    let has_password = |url: &String| db::without_password(url) != *url;
    let relay = matches.try_get_one::<SmtpUrl>("smtp_url").ok().flatten();
    let secrets = [
        (is_flag("key"), "--key", "ROSTER_KEY or --key-file"),
        (
            is_flag("database_url") && value("database_url").is_some_and(has_password),
            "the password in --database-url",
            "DATABASE_URL or --database-url-file",
        ),
        (
            is_flag("smtp_url") && relay.is_some_and(|relay| relay.login.is_some()),
            "the password in --smtp-url",
            "ROSTER_SMTP_URL or --smtp-url-file",
        ),
    ];
    let exposed = secrets.into_iter().filter(|(is_exposed, ..)| *is_exposed);
    let exposed = exposed.map(|(_, what, instead)| {
        format!("every user of this machine can see {what} in the list of processes; use {instead}")
    });
    exposed.chain(open_files(matches)).collect()
}

/// Warnings about the files with secrets that others than their owner may read. They may belong to somebody else, who mounts
/// them: their modes are not changed.
fn open_files(matches: &ArgMatches) -> impl Iterator<Item = String> {
    let flags = [
        ("key_file", "--key-file"),
        ("database_url_in_file", "--database-url-file"),
        ("smtp_url_in_file", "--smtp-url-file"),
    ];
    flags.into_iter().filter_map(|(id, flag)| {
        let file = Path::new(matches.try_get_raw(id).ok().flatten()?.next()?);
        let mode = private_file::mode_for_others(file)?;
        Some(format!("{flag} {}: other users can read this file (mode {mode:04o}); expected mode 0600", file.display()))
    })
}
