//! The result of an import, and its description.

use std::collections::BTreeMap;

use super::origin::InvalidRow;
use super::report::Outcome;
use crate::auth::password::format_counts;
use crate::scalar::Date;
use crate::text::counted;

/// The maximum number of rows whose errors are kept. The report of an import has all of them.
const MAX_KEPT: usize = 10_000;

/// The result of the rows that were read.
#[derive(Debug, Default)]
pub struct ImportSummary {
    pub created: u64,
    /// The number of users among the created records.
    pub new_users: u64,
    pub changed: u64,
    pub unchanged: u64,
    /// The number of invalid rows.
    pub refused: u64,
    /// The first invalid rows.
    pub invalid: Vec<InvalidRow>,
    /// Rows that are valid except for a password hash, a PIN or a picture that cannot be used; their users are imported without it.
    pub notes: Vec<InvalidRow>,
    /// The number of users who are imported without the password of the file.
    pub without_password: u64,
    /// The number of weak password hashes that were imported, by family.
    pub weak_passwords: BTreeMap<&'static str, u64>,
    /// The number of new users who are active and have a password or have none, and of those who are inactive.
    pub new_with_password: u64,
    pub new_without_password: u64,
    pub new_inactive: u64,
    /// The number of users who are active in the file, and were left inactive because they were deactivated here.
    pub kept_inactive: u64,
    /// The number of rows in which a field keeps the value that it was given here, by field.
    pub kept_edits: BTreeMap<String, u64>,
    /// The number of values that rules leave out, by field.
    pub left_out: BTreeMap<String, u64>,
    /// The number of users who are missing in the file.
    pub leavers: u64,
    /// The number of rows in which columns had a value that was not imported, and of rows of other kinds.
    ignored: BTreeMap<String, u64>,
    /// The last day of the license in the file, if it was not imported.
    pub ignored_end: Option<Date>,
    /// The licenses that the file names, each with the numbers of records that were created, changed and unchanged.
    licenses: Vec<(String, [u64; 3])>,
}

impl ImportSummary {
    pub(super) fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Changed => &mut self.changed,
            Outcome::Unchanged => &mut self.unchanged,
        };
        *count += 1;
    }

    pub(super) fn add_invalid(&mut self, row: InvalidRow) {
        self.refused += 1;
        if self.invalid.len() < MAX_KEPT {
            self.invalid.push(row);
        }
    }

    pub(super) fn add_note(&mut self, row: InvalidRow) {
        if self.notes.len() < MAX_KEPT {
            self.notes.push(row);
        }
    }

    pub(super) fn add_ignored(&mut self, ignored: BTreeMap<String, u64>) {
        for (name, count) in ignored {
            *self.ignored.entry(name).or_default() += count;
        }
    }

    /// Returns the result with the name of the license that the records were imported into.
    #[must_use]
    pub fn of_license(mut self, name: String) -> Self {
        self.licenses.push((name, [self.created, self.changed, self.unchanged]));
        self
    }

    /// Adds the result of another part of the same file.
    pub fn merge(&mut self, other: Self) {
        self.created += other.created;
        self.new_users += other.new_users;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.refused += other.refused;
        self.invalid.extend(other.invalid);
        self.invalid.truncate(MAX_KEPT);
        self.notes.extend(other.notes);
        self.notes.truncate(MAX_KEPT);
        self.without_password += other.without_password;
        for (family, count) in other.weak_passwords {
            *self.weak_passwords.entry(family).or_default() += count;
        }
        self.new_with_password += other.new_with_password;
        self.new_without_password += other.new_without_password;
        self.new_inactive += other.new_inactive;
        self.kept_inactive += other.kept_inactive;
        for (field, count) in other.kept_edits {
            *self.kept_edits.entry(field).or_default() += count;
        }
        for (field, count) in other.left_out {
            *self.left_out.entry(field).or_default() += count;
        }
        self.leavers += other.leavers;
        self.licenses.extend(other.licenses);
        self.add_ignored(other.ignored);
        self.ignored_end = self.ignored_end.or(other.ignored_end);
    }

    /// Sorts the rows by their places.
    pub(super) fn sort(&mut self) {
        self.invalid.sort_by_key(|row| row.place);
        self.notes.sort_by_key(|row| row.place);
    }

    /// Returns the errors of the first invalid rows and of those with notes, with the place of the row, in the order of the rows.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        let mut rows: Vec<&InvalidRow> = self.invalid.iter().chain(&self.notes).collect();
        rows.sort_by_key(|row| row.place);
        rows.into_iter().flat_map(|row| row.errors.iter().map(|error| format!("{}: {error}", row.name)))
    }

    /// Describes how many records were created and changed, and problems with them. `verb` is `were` or `would be`.
    #[must_use]
    pub fn describe(&self, verb: &str) -> String {
        let mut summary = vec![counts([self.created, self.changed, self.unchanged], verb)];
        summary.extend(self.licenses.iter().map(|(name, numbers)| format!("{name}: {}", counts(*numbers, verb))));
        summary.extend(self.describe_sign_in());
        if self.kept_inactive > 0 {
            let who = counted(self.kept_inactive, "user stays", "users stay");
            let why = "deactivated here, but active in the file";
            summary.push(format!("{who} inactive: {why}; --reactivate activates such users."));
        }
        let of_users = |(field, count): (&String, &u64)| format!("{field} of {}", counted(*count, "user", "users"));
        let kept: Vec<String> = self.kept_edits.iter().map(of_users).collect();
        if !kept.is_empty() {
            summary.push(format!("Kept as edited here (--keep-edits): {}.", kept.join(", ")));
        }
        let left_out: Vec<String> = self.left_out.iter().map(of_users).collect();
        if !left_out.is_empty() {
            summary.push(format!("Left out (--fix): {}.", left_out.join(", ")));
        }
        if self.leavers > 0 {
            let leavers = counted(self.leavers, "user", "users");
            summary.push(format!("{leavers} missing in the file {} deactivated.", verb_of(self.leavers, verb)));
        }
        if self.without_password > 0 {
            summary.push(format!(
                "{} {} imported without a password, because the hash in the file cannot be used. These users set one with \
                 an activation link or a password reset.",
                self.without_password,
                verb_of(self.without_password, verb)
            ));
        }
        if let Some(counts) = format_counts(&self.weak_passwords) {
            summary.push(format!(
                "Weak password hashes that {verb} imported: {counts}. Each is replaced when its user signs in; `roster doctor` \
                 counts the remaining ones."
            ));
        }
        let in_rows = |(name, count): (&String, &u64)| format!("{name} (in {})", counted(*count, "row", "rows"));
        summary.extend(self.ignored.iter().map(in_rows).map(|ignored| format!("Not imported: {ignored}.")));
        let ignored_end = self.ignored_end.map(|last| {
            format!("Not imported: the last day of the license, {}; `roster license extend` sets one.", last.0)
        });
        summary.extend(ignored_end);
        summary.join("\n")
    }

    /// Describes how the new users sign in, if any of them has a password.
    fn describe_sign_in(&self) -> Option<String> {
        if self.new_with_password == 0 {
            return None;
        }
        let mut parts = vec![format!("New users: {} can sign in with their old password", self.new_with_password)];
        if self.new_without_password > 0 {
            parts.push(counted(self.new_without_password, "needs an invitation", "need an invitation"));
        }
        if self.new_inactive > 0 {
            parts.push(format!("{} cannot sign in because they are inactive", self.new_inactive));
        }
        Some(parts.join(", ") + ".")
    }
}

fn counts([created, changed, unchanged]: [u64; 3], verb: &str) -> String {
    format!("{created} {} created, {changed} changed, {unchanged} unchanged.", verb_of(created, verb))
}

/// Returns the verb for a number of records: `was` for one instead of `were`.
fn verb_of(number: u64, verb: &str) -> &str {
    if number == 1 && verb == "were" { "was" } else { verb }
}
