//! The findings of `roster doctor`: what is wrong, and what to do about it.

use std::path::Path;
use std::{fmt, io};

use crate::cli::output::print_line;
use crate::private_file;
use crate::text::counted;

/// The exit code if something does not work, or may be lost.
const PROBLEM_EXIT_CODE: u8 = 1;

/// The exit code if everything works, but something should be done.
const WARNING_EXIT_CODE: u8 = 3;

/// The advice about a setting that cannot be used.
pub(super) const NOT_STARTING: &str =
    "no server starts with it: correct it, or run this command as the user that the server runs as";

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// Something does not work, or may be lost.
    Problem,
    /// Something should be done.
    Warning,
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    state: String,
    advice: String,
}

/// The findings, in the order in which they were made. As an error, they decide the exit code of the command, which prints them.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds something that does not work, or may be lost, and what to do about it.
    pub(super) fn problem(&mut self, state: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Problem, state: state.into(), advice: advice.into() });
    }

    /// Adds something that should be done, and why.
    pub(super) fn warn(&mut self, state: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Warning, state: state.into(), advice: advice.into() });
    }

    /// Adds a warning if users other than the owner have access to a file or directory. Returns a remark about it.
    pub(super) fn remark_on_access(&mut self, path: &Path) -> String {
        let remark = remark_on(path);
        if !remark.is_empty() {
            let path = path.display();
            self.warn(format!("other users of this machine have access to {path}"), format!("run `chmod go= {path}`"));
        }
        remark
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Prints the findings.
    pub(super) fn print(&self) -> io::Result<()> {
        if self.is_empty() {
            return print_line!("findings              none");
        }
        print_line!("findings              {self}")?;
        for Finding { severity, state, advice } in &self.0 {
            let severity = match severity {
                Severity::Problem => "problem",
                Severity::Warning => "warning",
            };
            print_line!("{severity:<21} {state}")?;
            print_line!("                      {advice}")?;
        }
        Ok(())
    }

    /// Returns the findings as an error, if there are any.
    pub(super) fn into_result(self) -> anyhow::Result<()> {
        if self.is_empty() { Ok(()) } else { Err(self.into()) }
    }

    /// Returns the exit code of the command.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.count(Severity::Problem) > 0 { PROBLEM_EXIT_CODE } else { WARNING_EXIT_CODE }
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = counted(self.count(Severity::Problem), "problem", "problems");
        write!(formatter, "{problems}, {}", counted(self.count(Severity::Warning), "warning", "warnings"))
    }
}

impl std::error::Error for Findings {}

/// Returns a remark about a file or directory to which users other than its owner have access; otherwise nothing.
pub(super) fn remark_on(path: &Path) -> String {
    let mode = private_file::mode_for_others(path);
    mode.map(|mode| format!("; open to other users of this machine (mode {mode:04o})")).unwrap_or_default()
}
