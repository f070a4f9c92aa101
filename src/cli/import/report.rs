//! The report at the end of an import.

use super::{ImportSummary, InvalidLine};
use crate::auth::password::format_counts;

impl ImportSummary {
    /// Returns every error with the number of its line, in the order of the lines.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        let mut lines: Vec<&InvalidLine> = self.invalid.iter().chain(&self.without_password).collect();
        lines.sort_by_key(|line| line.number);
        lines.into_iter().flat_map(|line| line.errors.iter().map(|error| format!("line {}: {error}", line.number)))
    }

    /// Describes how many records were created and changed, and problems with their passwords. `verb` is `were` or `would be`.
    #[must_use]
    pub fn describe(&self, verb: &str) -> String {
        let mut summary =
            vec![format!("{} {verb} created, {} changed, {} unchanged.", self.created, self.changed, self.unchanged)];
        if !self.without_password.is_empty() {
            summary.push(format!(
                "{} {verb} imported without a password, because the hash in the file cannot be used. These users set one with \
                 an activation link or a password reset.",
                self.without_password.len()
            ));
        }
        if let Some(counts) = format_counts(&self.weak_passwords) {
            summary.push(format!(
                "Weak password hashes that {verb} imported: {counts}. Each is replaced when its user signs in; `roster doctor` \
                 counts the remaining ones."
            ));
        }
        summary.join("\n")
    }
}
