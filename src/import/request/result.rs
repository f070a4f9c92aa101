//! The results of the rows of a request.

use std::collections::HashMap;

use async_graphql::{Enum, SimpleObject};

use super::check::CheckedRow;
use crate::entity::user;
use crate::error::MutationError;
use crate::import::batch::Batch;
use crate::import::report::Outcome;
use crate::scalar::Id;

/// The maximum number of errors in a payload.
const MAX_ERRORS: usize = 100;

/// The outcome of a row of `importUsers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ImportOutcome {
    /// A user was created.
    Created,
    /// A user was changed.
    Updated,
    /// The user already matches the row.
    Unchanged,
    /// The row is valid but was not saved, because another row was refused and `onError` is `STOP`.
    Skipped,
    /// The row is invalid and was not saved.
    Refused,
}

/// The result of a row of `importUsers`.
#[derive(SimpleObject)]
pub struct ImportedRow {
    /// The index of the row in the input, counted from 0.
    index: i32,
    /// The outcome of the row.
    outcome: ImportOutcome,
    /// The current state of the user. Null if the row was refused, or if it would create a user but was not saved.
    user: Option<user::Model>,
    /// The errors in the row, at most 100, each with its path. Empty unless the row was refused.
    errors: Vec<MutationError>,
}

/// The results of all rows.
#[derive(Default)]
pub struct ImportReport {
    pub rows: Vec<ImportedRow>,
    /// The first errors of all rows. Empty if the mutation succeeded.
    pub errors: Vec<MutationError>,
    /// The number of rows with each outcome, in words.
    pub counts: String,
}

impl ImportReport {
    /// Reports rows that are not saved. `is_stopped` is whether that is because some of them are refused.
    pub(super) fn unsaved(rows: Vec<CheckedRow>, is_stopped: bool) -> Self {
        let mut report = Self::default();
        if is_stopped {
            let errors = rows.iter().flat_map(|row| &row.errors);
            report.errors = errors.take(MAX_ERRORS).cloned().collect();
        }
        let result = |(index, CheckedRow { user, errors }): (usize, CheckedRow)| {
            let outcome = match &user {
                None => ImportOutcome::Refused,
                Some(_) if is_stopped => ImportOutcome::Skipped,
                Some(user) => ImportOutcome::from(user.outcome()),
            };
            ImportedRow { index: index_of(index), outcome, user: user.and_then(|user| user.old), errors }
        };
        report.rows = rows.into_iter().enumerate().map(result).collect();
        report.with_counts()
    }

    /// Reports rows that are to be saved, except the refused ones, and adds their changes to a batch.
    pub(super) fn saved(rows: Vec<CheckedRow>, batch: &mut Batch) -> Self {
        let mut report = Self::default();
        for (index, CheckedRow { user, errors }) in rows.into_iter().enumerate() {
            let outcome = user.as_ref().map_or(ImportOutcome::Refused, |user| user.outcome().into());
            let current = user.as_ref().map(|user| user.row.clone());
            if let Some(user) = user.filter(|_| outcome != ImportOutcome::Unchanged) {
                batch.add(user);
            }
            report.rows.push(ImportedRow { index: index_of(index), outcome, user: current, errors });
        }
        // Their versions have increased.
        let changed: HashMap<Id, &user::Model> = batch.users().map(|user| (user.id, user)).collect();
        for user in report.rows.iter_mut().filter_map(|row| row.user.as_mut()) {
            if let Some(changed) = changed.get(&user.id) {
                user.clone_from(changed);
            }
        }
        report.with_counts()
    }

    fn with_counts(mut self) -> Self {
        let names = [
            (ImportOutcome::Created, "created"),
            (ImportOutcome::Updated, "updated"),
            (ImportOutcome::Unchanged, "unchanged"),
            (ImportOutcome::Skipped, "skipped"),
            (ImportOutcome::Refused, "refused"),
        ];
        let count = |outcome| self.rows.iter().filter(|row| row.outcome == outcome).count();
        let counts = names.map(|(outcome, name)| (count(outcome), name));
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        self.counts = if counts.is_empty() { "no rows".to_owned() } else { counts.join(", ") };
        self
    }
}

impl From<Outcome> for ImportOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Created => Self::Created,
            Outcome::Changed => Self::Updated,
            Outcome::Unchanged => Self::Unchanged,
        }
    }
}

fn index_of(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}
