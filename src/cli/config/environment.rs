//! Environment variables: empty ones count as unset, unknown ones give a warning.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::{Arg, Command};

use super::backups::PASSPHRASE;

const PREFIX: &str = "ROSTER_";
/// The variables without a flag.
const WITHOUT_FLAG: [&str; 1] = [PASSPHRASE];
/// The least similarity of an unknown variable to a known one for a suggestion, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.75;

/// Treats empty variables as unset: `${SMTP_URL:-}` in a compose file sets an empty one.
pub fn ignore_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(ignore_empty)
}

/// Returns a warning for each variable with the prefix of settings that is not a setting.
pub fn unknown_warnings(command: &Command, variables: impl Iterator<Item = OsString>) -> Vec<String> {
    let arguments = command.get_arguments().chain(command.get_subcommands().flat_map(Command::get_arguments));
    let settings: Vec<&str> =
        arguments.filter_map(Arg::get_env).filter_map(OsStr::to_str).chain(WITHOUT_FLAG).collect();
    let mut unknown: Vec<String> = variables
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX) && !settings.contains(&name.as_str()))
        .collect();
    unknown.sort();
    let warning = |name: String| match nearest(&name, &settings) {
        Some(nearest) => format!("the environment variable {name} is not a setting; did you mean {nearest}?"),
        None => format!("the environment variable {name} is not a setting; `roster --help --all` lists them"),
    };
    unknown.into_iter().map(warning).collect()
}

/// Returns the most similar of several names, if one is similar enough to be meant.
pub fn nearest<'a>(name: &str, settings: &[&'a str]) -> Option<&'a str> {
    // The prefix is common to all names and would make them look similar.
    let without_prefix = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let similarity = |a: &str, b: &str| strsim::normalized_damerau_levenshtein(&without_prefix(a), &without_prefix(b));
    let by_similarity = settings.iter().map(|setting| (similarity(name, setting), *setting));
    let best = by_similarity.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= MIN_SIMILARITY).then_some(best.1)
}
