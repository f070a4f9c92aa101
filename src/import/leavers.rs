//! Users who are missing in a file that is said to be complete.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Leavers;
use super::batch::Batch;
use super::importer::Importer;
use super::record::RecordKind;
use super::users::ImportedUser;
use crate::access::{is_active_license_admin, is_active_superuser, of_license};
use crate::db::conditions::one_of;
use crate::entity::external_reference::{self, ID_SEPARATOR};
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

/// The number of users that are read or deactivated at once.
const PAGE: usize = 2_000;

impl Importer<'_> {
    /// Deactivates the users who are missing in the file, if the import is to do so. Superusers and license administrators stay, and
    /// everybody if a row was refused, because it may be that of a user who seems to be missing.
    ///
    /// # Errors
    /// `BadInput` if they are more than allowed.
    pub(super) async fn deactivate_leavers(&mut self) -> Result<(), Error> {
        let Some(leavers) = self.options.leavers.clone() else { return Ok(()) };
        if self.summary.refused > 0 {
            return Ok(());
        }
        let (ids, active) = self.find_leavers(&leavers).await?;
        if ids.len() as u64 * 100 > leavers.max_percent * active {
            return Err(Error::BadInput(format!(
                "{} of {active} active users are missing in the file, which is more than --max-leavers {}% allows; nothing was \
                 deactivated",
                ids.len(),
                leavers.max_percent
            )));
        }
        for ids in ids.chunks(PAGE) {
            self.deactivate(ids).await?;
        }
        self.summary.leavers = ids.len() as u64;
        ids.iter().try_for_each(|id| self.report.leaver(*id))
    }

    /// Returns the active users who are missing in the file, and the number of all active users that it should contain.
    async fn find_leavers(&self, leavers: &Leavers) -> Result<(Vec<Id>, u64), Error> {
        let (mut missing, mut active, mut after) = (Vec::new(), 0_u64, None::<Id>);
        loop {
            let mut users = user::Entity::find()
                .filter(of_license(user::Column::LicenseId, self.license_id))
                .filter(user::Column::IsActive.eq(true))
                .order_by_asc(user::Column::Id)
                .limit(PAGE as u64);
            if let Some(after) = after {
                users = users.filter(user::Column::Id.gt(after));
            }
            let users = users.all(self.db.read()).await?;
            let Some(last) = users.last() else { return Ok((missing, active)) };
            after = Some(last.id);
            let of_source = |user: &&user::Model| leavers.source.as_deref().is_none_or(|source| is_of(user, source));
            for user in users.iter().filter(of_source) {
                active += 1;
                let stays = is_active_superuser(user) || is_active_license_admin(user);
                if !stays && !self.seen.contains(RecordKind::User, user.id) {
                    missing.push(user.id);
                }
            }
        }
    }

    async fn deactivate(&mut self, ids: &[Id]) -> Result<(), Error> {
        let Some(transaction) = self.begin_alone().await? else { return Ok(()) };
        let of_ids = one_of(transaction.get_database_backend(), user::Column::Id, ids.iter().copied());
        let users = user::Entity::find().filter(of_ids).order_by_asc(user::Column::Id).lock_exclusive();
        let mut batch = Batch::default();
        for old in users.all(&transaction).await? {
            if old.is_active && !is_active_superuser(&old) && !is_active_license_admin(&old) {
                let row = user::Model { is_active: false, ..old.clone() };
                batch.add(ImportedUser::changed(old, row));
            }
        }
        batch.write(transaction).await
    }
}

/// Returns whether a user has an id of a source: a reference, or an external ID that begins with its name.
fn is_of(user: &user::Model, source: &str) -> bool {
    let references = external_reference::list(user.external_references.as_ref());
    let external_id = user.external_id.as_ref().and_then(|id| id.split_once(ID_SEPARATOR));
    references.iter().any(|reference| reference.source == source)
        || external_id.is_some_and(|(prefix, _)| prefix == source)
}
