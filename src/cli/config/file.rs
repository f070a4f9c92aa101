//! The settings file: TOML with the names of the flags. Flags and environment variables take precedence.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::backups::PASSPHRASE;
use super::environment;
use crate::{db, private_file};

/// The flag that names the file.
const CONFIG: &str = "config";
/// The flags that say the same in two ways: if one is given as a flag or a variable, the file does not set the other.
const ALTERNATIVES: [[&str; 2]; 4] = [
    ["database-url", "database-url-file"],
    ["read-url", "read-url-file"],
    ["smtp-url", "smtp-url-file"],
    ["key", "key-file"],
];

/// The values of a settings file by the names of the flags.
type Values = BTreeMap<String, Vec<String>>;

/// The line of the file in which an error is, and the error.
type LineError = (usize, String);

/// Makes the values of the settings file the defaults of their arguments, if a flag or a variable names a file. Returns also the
/// warnings to be logged.
///
/// # Errors
/// The file and, each in a line, what is wrong with it.
pub fn add_to(command: Command) -> Result<(Command, Vec<String>), String> {
    // Whatever is wrong with the arguments is reported when they are parsed again.
    let given = command.clone().ignore_errors(true).try_get_matches().ok();
    let path = given.as_ref().and_then(|given| given.get_one::<PathBuf>(CONFIG));
    let (Some(given), Some(path)) = (&given, path) else { return Ok((command, Vec::new())) };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("--config {} (ROSTER_CONFIG): {error}", path.display()))?;
    let mut values = parse(&command, &text).map_err(|errors| describe(path, errors))?;
    let warnings = exposure_warning(path, &values).into_iter().collect();
    values.retain(|flag, _| !is_overridden(flag, &command, given));
    let command = command.mut_args(|arg| match arg.get_long().and_then(|flag| values.get(flag)) {
        Some(texts) => arg.default_values(texts.clone()).hide_default_value(true),
        None => arg,
    });
    Ok((command, warnings))
}

fn describe(path: &Path, mut errors: Vec<LineError>) -> String {
    errors.sort();
    let lines: Vec<String> =
        errors.into_iter().map(|(line, error)| format!("{}:{line}: {error}", path.display())).collect();
    lines.join("\n")
}

fn parse(command: &Command, text: &str) -> Result<Values, Vec<LineError>> {
    let line_of = |offset: usize| text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1);
    // The text of the whole error would quote the line, which may hold a secret.
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        vec![(line, format!("not valid TOML: {}", error.message()))]
    })?;
    let (mut values, mut errors) = (Values::new(), Vec::new());
    for (key, value) in table.get_ref() {
        match parse_setting(command, key.get_ref(), value.get_ref()) {
            Ok(texts) => drop(values.insert(key.get_ref().to_string(), texts)),
            Err(error) => errors.push((line_of(key.span().start), error)),
        }
    }
    for [flag, other] in ALTERNATIVES {
        if values.contains_key(flag) && values.contains_key(other) {
            let key = table.get_ref().keys().find(|key| key.get_ref() == other);
            let line = key.map_or(1, |key| line_of(key.span().start));
            errors.push((line, format!("{other}: not together with {flag}")));
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// Returns the values of the argument that has the name of a key.
fn parse_setting(command: &Command, key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let arg = argument(command, key).filter(|_| key != CONFIG).ok_or_else(|| unknown(command, key))?;
    let texts = texts_of(arg, value).map_err(|wrong| format!("{key}: {wrong}"))?;
    check(arg, key, &texts)?;
    Ok(texts)
}

fn argument<'a>(command: &'a Command, flag: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(flag))
}

fn unknown(command: &Command, key: &str) -> String {
    let flags: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).filter(|flag| *flag != CONFIG).collect();
    match environment::nearest(key, &flags) {
        Some(nearest) => format!("{key}: not a setting; did you mean {nearest}?"),
        None => format!("{key}: not a setting; expected the name of a flag of `roster --help --all`, such as data-dir"),
    }
}

/// Returns the values as they would stand in an argument.
///
/// # Errors
/// The expected type, and that of the value or of its first wrong item.
fn texts_of(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let kind = arg.get_value_parser().type_id();
    let is_one_of = |kinds: &[TypeId]| kinds.iter().any(|other| kind == *other);
    if arg.get_value_delimiter().is_some() {
        let expected = "expected an array of strings";
        let items = value.as_array().ok_or_else(|| format!("{expected} (got {})", value.type_str()))?;
        let text_of = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
            let wrong = || format!("{expected} (item {} is of the type {})", index + 1, item.get_ref().type_str());
            item.get_ref().as_str().map(str::to_owned).ok_or_else(wrong)
        };
        return items.iter().enumerate().map(text_of).collect();
    }
    let text = if is_one_of(&[TypeId::of::<bool>()]) {
        value.as_bool().map(|value| value.to_string()).ok_or("true or false")
    } else if is_one_of(&[TypeId::of::<u8>(), TypeId::of::<u32>(), TypeId::of::<u64>()]) {
        let number = value.as_integer().and_then(|value| i64::from_str_radix(value.as_str(), value.radix()).ok());
        number.map(|number| number.to_string()).ok_or("an integer")
    } else {
        value.as_str().map(str::to_owned).ok_or("a string")
    };
    text.map(|text| vec![text]).map_err(|expected| format!("expected {expected} (got {})", value.type_str()))
}

/// Parses the values as an argument of a command that has no other, for an error that says what is expected. Secrets say it without
/// their value.
fn check(arg: &Arg, key: &str, texts: &[String]) -> Result<(), String> {
    if texts.is_empty() {
        return Ok(());
    }
    let arg = arg.clone().conflicts_with(Resettable::Reset);
    let argument = format!("--{key}={}", texts.join(","));
    let parsed = Command::new("roster").arg(arg).try_get_matches_from(["roster".to_owned(), argument]);
    let Err(error) = parsed else { return Ok(()) };
    let text = error.render().to_string();
    let paragraph: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let message = paragraph.join(" ");
    Err(message.strip_prefix("error: ").unwrap_or(&message).to_owned())
}

/// Returns whether a flag or a variable says what the file does, by this argument or by another way to say the same.
fn is_overridden(flag: &str, command: &Command, given: &ArgMatches) -> bool {
    let is_given = |flag: &str| {
        let source = argument(command, flag).and_then(|arg| given.value_source(arg.get_id().as_str()));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let other = ALTERNATIVES.iter().find(|pair| pair.contains(&flag));
    let passphrase_is_given = || std::env::var_os(PASSPHRASE).is_some_and(|value| !value.is_empty());
    flag == "passphrase-file" && passphrase_is_given()
        || is_given(flag)
        || other.is_some_and(|pair| pair.iter().copied().any(is_given))
}

/// Returns a warning if users other than the owner of the file can read a secret in it.
fn exposure_warning(path: &Path, values: &Values) -> Option<String> {
    let is_secret = |flag: &str, text: &String| match flag {
        "key" => true,
        "database-url" | "read-url" => db::without_password(text) != *text,
        "smtp-url" => text.contains('@'),
        _ => false,
    };
    let mode = private_file::mode_for_others(path)?;
    let (flag, _) = values.iter().find(|(flag, texts)| texts.iter().any(|text| is_secret(flag, text)))?;
    let path = path.display();
    Some(format!("--config {path}: other users can read {flag} in this file (mode {mode:04o}); expected mode 0600"))
}
