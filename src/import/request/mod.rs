//! Imports of the rows of a request: each is a user of the viewer's license, by the rules of an import and with the rights of the
//! viewer. All rows are checked and saved in one transaction. Rows have no passwords, PINs or hashes, because whoever sets these
//! can sign in as the user, and no dates of their own.

mod check;
mod directory;
mod input;
mod names;
mod result;

use sea_orm::{DbErr, SqlErr};

use self::check::CheckedRow;
use self::directory::Directory;
pub use self::input::{ImportGroupInput, ImportOnError, ImportUserInput, ImportUsersInput};
pub use self::result::{ImportOutcome, ImportReport, ImportedRow};
use super::batch::Batch;
use super::draft::Draft;
use super::existing;
use super::importer::Importer;
use super::origin::Origin;
use super::reader::Parsed;
use super::{Channel, Options};
use crate::access::{Action, Viewer};
use crate::actor::{self, Actor};
use crate::audit::{self, Entry};
use crate::auth::password::Hasher;
use crate::auth::throttle::LoginInputs;
use crate::db::{Db, Transaction};
use crate::entity::user;
use crate::error::{Error, ErrorCode};
use crate::i18n::language::Language;
use crate::mail;
use crate::user::foreign;

/// The maximum number of rows of a request.
const MAX_ROWS: usize = 1_000;
/// How often an import is tried while other requests take the logins of its rows.
const MAX_TRIES: usize = 3;

/// Imports the rows of a request.
pub struct RowImporter<'a> {
    pub db: &'a Db,
    pub hasher: &'a Hasher,
    pub viewer: &'a Viewer,
    pub login_inputs: &'a LoginInputs,
    /// The language of notifications.
    pub language: Language,
}

impl RowImporter<'_> {
    /// Imports rows.
    ///
    /// # Errors
    /// `Rejected` for too many rows, groups or sites; `Forbidden` for a change that the viewer may not make, naming the row;
    /// `RateLimited` for a viewer who has come upon too many logins of other licenses.
    pub async fn import(&self, input: ImportUsersInput) -> Result<ImportReport, Error> {
        let ImportUsersInput { rows, on_error, dry_run } = input;
        if rows.len() > MAX_ROWS {
            let message = format!("Must contain at most {MAX_ROWS} rows.");
            return Err(Error::rejected("rows", ErrorCode::TooLong, message));
        }
        let drafts = self.drafts(rows.clone()).await?;
        directory::check_names(&drafts)?;
        let keys = drafts.iter().flat_map(|draft| [&draft.user.username_key, &draft.user.email_key]).flatten();
        let keys: Vec<String> = keys.cloned().collect();
        let import = async {
            let mut drafts = drafts;
            for _ in 1..MAX_TRIES {
                match self.try_import(drafts, on_error, dry_run).await {
                    Err(error) if is_overtaken(&error) => drafts = self.drafts(rows.clone()).await?,
                    outcome => return outcome,
                }
            }
            self.try_import(drafts, on_error, dry_run).await
        };
        foreign::guard_all(self.login_inputs, self.db, self.viewer, keys, import).await
    }

    /// Checks the fields of rows, on another thread.
    async fn drafts(&self, rows: Vec<ImportUserInput>) -> Result<Vec<Draft>, Error> {
        let license_id = self.viewer.signed_in()?.license_id;
        let draft = move |(index, row): (u64, ImportUserInput)| {
            let origin = Origin::of_number(index);
            Draft::new(Parsed { origin, record: row.into_record(), faults: Vec::new() }, license_id)
        };
        let drafting = tokio::task::spawn_blocking(move || (0..).zip(rows).map(draft).collect::<Vec<_>>());
        let mut drafts = drafting.await.map_err(Error::internal)?;
        let options = Options { hasher: Some(self.hasher.clone()), ..Options::default() };
        Importer::without_names(self.db, license_id, options).hash_references(&mut drafts);
        Ok(drafts)
    }

    /// Checks rows against the directory and saves them, in one transaction.
    async fn try_import(
        &self,
        drafts: Vec<Draft>,
        on_error: ImportOnError,
        dry_run: bool,
    ) -> Result<ImportReport, Error> {
        let license_id = self.viewer.signed_in()?.license_id;
        let ids = existing::find_ids(self.db.read(), license_id, &drafts, Channel::Request).await?;
        let (transaction, actor) = actor::begin_on_all(self.db, self.viewer, ids).await?;
        actor.may(Action::CreateUser)?;
        let directory = Box::pin(Directory::lock(self.db, &transaction, &actor, license_id, &drafts)).await?;
        let rows = directory.check(&actor, drafts)?;
        let is_stopped = on_error == ImportOnError::Stop && rows.iter().any(|row| row.user.is_none());
        if dry_run || is_stopped {
            return Ok(ImportReport::unsaved(rows, is_stopped));
        }
        self.save(transaction, &actor, rows).await
    }

    /// Saves the rows that are not refused, with their audit events and notifications, and commits the transaction.
    async fn save(
        &self,
        transaction: Transaction,
        actor: &Actor,
        rows: Vec<CheckedRow>,
    ) -> Result<ImportReport, Error> {
        let moved: Vec<user::Model> = rows.iter().filter_map(|row| row.user.as_ref()?.former_address()).collect();
        let mut batch = Batch::default();
        let report = ImportReport::saved(rows, &mut batch);
        let entries = batch.take_entries();
        if entries.is_empty() {
            return Ok(report);
        }
        batch.store(&transaction).await?;
        mail::notify_of_new_addresses(&transaction, &moved, self.language).await?;
        let entries: Vec<Entry> = entries.into_iter().map(|entry| entry.by(actor)).collect();
        audit::commit(transaction, entries).await?;
        Ok(report)
    }
}

/// Returns whether another request has taken a unique value, or deleted an institution, since the rows were checked.
fn is_overtaken(error: &Error) -> bool {
    let Error::Internal(cause) = error else { return false };
    let violation = cause.downcast_ref::<DbErr>().and_then(DbErr::sql_err);
    matches!(violation, Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_)))
}
