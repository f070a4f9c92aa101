//! `roster completions` and `roster man`: files that a package installs beside the program.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::config::Cli;
use super::output::write_text;

/// Prints the completion script of a shell.
pub fn print_completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "roster", &mut script);
    Ok(write_text(&String::from_utf8(script)?)?)
}

/// Prints the manual page.
pub fn print_man_page() -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    Ok(write_text(&String::from_utf8(page)?)?)
}
