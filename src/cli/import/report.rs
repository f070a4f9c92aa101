//! The report at the end of an import.

use super::{BadLine, ImportSummary};
use crate::auth::password::counted;

impl ImportSummary {
    /// Returns every error with the number of its line, in the order of the lines.
    pub fn faults(&self) -> impl Iterator<Item = String> {
        let mut lines: Vec<&BadLine> = self.bad.iter().chain(&self.without_password).collect();
        lines.sort_by_key(|line| line.number);
        lines.into_iter().flat_map(|line| line.faults.iter().map(|fault| format!("line {}: {fault}", line.number)))
    }

    /// Describes how many records were created and changed, and problems with their passwords. `were` is `were` or `would be`.
    #[must_use]
    pub fn summary(&self, were: &str) -> String {
        let mut summary =
            vec![format!("{} {were} created, {} changed, {} unchanged.", self.created, self.changed, self.unchanged)];
        if !self.without_password.is_empty() {
            summary.push(format!(
                "{} {were} imported without a password, because the hash in the file cannot be used. These users set one with \
                 an activation link or a password reset.",
                self.without_password.len()
            ));
        }
        if let Some(counts) = counted(&self.weak_passwords) {
            summary.push(format!(
                "Weak password hashes that {were} imported: {counts}. Each is replaced when its user signs in; `roster doctor` \
                 counts the remaining ones."
            ));
        }
        summary.join("\n")
    }
}
