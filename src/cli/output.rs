//! The output of commands. A program that closes the other end of a pipe, such as `head`, has read enough; that is no error.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind, Write as _};

use super::config::LogFormat;

/// Prints a line, formatted as by `println!`.
macro_rules! print_line {
    ($($argument:tt)*) => {
        $crate::cli::output::write_line(format_args!($($argument)*))
    };
}
pub(super) use print_line;

/// Prints a line on standard output.
///
/// # Errors
/// An I/O error, such as that of a full disk.
pub(super) fn write_line(line: Arguments<'_>) -> io::Result<()> {
    unless_closed(writeln!(io::stdout(), "{line}"))
}

/// Prints a text on standard output.
///
/// # Errors
/// An I/O error, such as that of a full disk.
pub(super) fn write_text(text: &str) -> io::Result<()> {
    unless_closed(io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()))
}

fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Tells whoever starts a server something: on standard output, or in the log if that is JSON, so that nothing else is printed. A
/// server runs whether or not it is read.
pub(super) fn announce(format: LogFormat, line: impl Display) {
    match format {
        LogFormat::Text => drop(writeln!(io::stdout(), "{line}")),
        LogFormat::Json => tracing::info!("{line}"),
    }
}

/// Prints a line about an error on standard error, or writes it to the log if that is JSON.
pub fn print_error(format: LogFormat, line: impl Display) {
    match format {
        LogFormat::Text => drop(writeln!(io::stderr(), "{line}")),
        LogFormat::Json => tracing::error!("{line}"),
    }
}

/// Returns the name of this machine and the number of this process, for operators.
pub(super) fn process_name() -> String {
    #[cfg(unix)]
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let machine = "process";
    format!("{machine}, process {}", std::process::id())
}
