//! Mutation `importUsers`.

use async_graphql::{Context, Object};

use super::request::{ImportReport, ImportUsersInput, ImportedRow, RowImporter};
use crate::budget::ListItem;
use crate::graphql::context::{ContextExt, NullableField, authorized};
use crate::graphql::payload::payload;

payload! {
    /// Payload of `importUsers`. With `onError: SKIP`, `success` is `true` even if rows were refused.
    ImportUsersPayload {
        /// The result of each row, in the order of the input. At most 1,000.
        results: Vec<ListItem<ImportedRow>>,
    }
}

#[derive(Default)]
pub struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Creates and changes users of the viewer's license, each described by a row. All rows are checked and saved in
    /// one transaction, and repeating the mutation changes nothing. A row is refused if it is invalid, or if a value is
    /// taken by another user or row. Rows have no passwords or PINs, and no emails are sent to new users; see
    /// `resendActivation`. A user whose email address changes is notified at the old address. If a row needs a right
    /// that the viewer lacks for `createUser`, `updateUser` or the mutations of groups and sites, nothing is saved. The
    /// error is then `FORBIDDEN` and names the first such row. Each user of another license who has a username or email
    /// address from the rows counts as an attempt, as in `createUser`. After too many, nothing is saved (`RATE_LIMITED`).
    /// Administrators only.
    async fn import_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rows, and what to do if some are refused.")] input: ImportUsersInput,
    ) -> NullableField<ImportUsersPayload> {
        authorized(ctx, async {
            let dry_run = input.dry_run;
            let outcome = {
                let (db, hasher, viewer) = (ctx.db()?, ctx.hasher()?, ctx.viewer()?);
                let (login_inputs, language) = (ctx.login_inputs()?, ctx.client()?.language);
                let importer = RowImporter { db, hasher, viewer, login_inputs, language };
                Box::pin(importer.import(input)).await
            };
            ImportUsersPayload::of(outcome, |report| ImportUsersPayload::reported(report, dry_run))
        })
        .await
    }
}

impl ImportUsersPayload {
    /// Returns the payload of a report.
    fn reported(report: ImportReport, dry_run: bool) -> Self {
        let ImportReport { rows, errors, counts } = report;
        let results = ListItem::list(rows);
        if !errors.is_empty() {
            let message = format!("Nothing was saved: {counts}.");
            return Self { message, results, ..Self::rejected(errors) };
        }
        let message = if dry_run {
            format!("Dry run: nothing was saved; the rows would be: {counts}.")
        } else {
            format!("The rows were imported: {counts}.")
        };
        Self::done(message, results)
    }
}
