//! `--help`: of the settings, only those that most installations need, and all with `--all`.

use std::ffi::OsString;

use clap::Command;

/// The settings that most installations need, by their fields.
const BASIC: [&str; 5] = ["config", "listen", "data_dir", "database_url", "public_url"];
const ALL: &str = "--all";
const HINT: &str = "`--help --all` lists all settings.";

/// Prepares a command for help, if the arguments ask for it, and returns the arguments that it knows.
pub fn prepare(command: Command, mut arguments: Vec<OsString>) -> (Command, Vec<OsString>) {
    let asks_by_flag = arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    let asks_by_command = arguments.get(1).is_some_and(|argument| argument == "help");
    if !asks_by_flag && !asks_by_command {
        return (command, arguments);
    }
    let given = arguments.len();
    arguments.retain(|argument| argument != ALL);
    if arguments.len() < given {
        return (command, arguments);
    }
    // They are the arguments of the outermost command, which hands them down.
    let basic = command.mut_args(|arg| {
        let is_basic = BASIC.contains(&arg.get_id().as_str());
        arg.hide(!is_basic)
    });
    (with_hint(basic), arguments)
}

fn with_hint(command: Command) -> Command {
    command.after_help(HINT).mut_subcommands(with_hint)
}
