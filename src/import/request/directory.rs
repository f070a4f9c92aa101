//! The part of the directory that the rows of a request are checked against.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::names::{self, Names};
use crate::access::of_license;
use crate::actor::Actor;
use crate::db::conditions::one_of;
use crate::db::{Db, Transaction};
use crate::entity::membership::{self, GroupRole};
use crate::entity::{institution, site_access};
use crate::error::{Error, ErrorCode};
use crate::import::Channel;
use crate::import::draft::Draft;
use crate::import::edits::KeepEdits;
use crate::import::existing::ExistingRows;
use crate::import::names::NameIndex;
use crate::scalar::Id;

/// The maximum number of different groups, and of different sites, that the rows of a request name.
const MAX_NAMES: usize = 5_000;

/// The part of the directory that rows are checked against.
pub(super) struct Directory<'a> {
    pub(super) db: &'a Db,
    pub(super) license_id: Id,
    pub(super) existing: ExistingRows,
    /// The institutions that rows may refer to.
    pub(super) institutions: NameIndex,
    /// The groups that rows may refer to.
    pub(super) groups: NameIndex,
    /// The sites that the actor was granted access to.
    pub(super) actor_sites: HashSet<Id>,
    /// The actor's role in each of their groups.
    pub(super) actor_roles: HashMap<Id, GroupRole>,
    /// The number of owners of each group that users of the rows own, after the rows so far.
    pub(super) owners: HashMap<Id, i64>,
}

impl<'a> Directory<'a> {
    /// Reads what the rows concern. Locks the users, and then the groups.
    pub(super) async fn lock(
        db: &'a Db,
        transaction: &Transaction,
        actor: &Actor,
        license_id: Id,
        drafts: &[Draft],
    ) -> Result<Self, Error> {
        let user_id = actor.signed_in()?.user_id;
        let mut existing =
            ExistingRows::lock(transaction, license_id, drafts, Channel::Request, KeepEdits::None).await?;
        let groups = names::groups(transaction, license_id, &named_groups(drafts)).await?;
        let (mut actor_roles, mut owners) = <(HashMap<Id, GroupRole>, HashMap<Id, i64>)>::default();
        if drafts.iter().any(Draft::has_groups) {
            existing.lock_memberships(transaction, &groups.ids).await?;
            actor_roles = roles_of(transaction, user_id).await?;
            let owned: BTreeSet<Id> = existing.owned_groups().filter(|id| groups.ids.contains(id)).collect();
            owners = count_owners(transaction, &Vec::from_iter(owned)).await?;
        }
        let institutions = institutions(transaction, license_id, drafts, &existing).await?;
        let actor_sites = sites_of(transaction, user_id).await?;
        Ok(Self { db, license_id, existing, institutions, groups, actor_sites, actor_roles, owners })
    }
}

/// Checks how many groups and sites rows name.
///
/// # Errors
/// `Rejected` for too many.
pub(super) fn check_names(drafts: &[Draft]) -> Result<(), Error> {
    for (names, nouns) in [(named_groups(drafts), "groups"), (named_sites(drafts), "sites")] {
        if names.len() > MAX_NAMES {
            let message = format!("Must name at most {MAX_NAMES} different {nouns}.");
            return Err(Error::rejected("rows", ErrorCode::TooLong, message));
        }
    }
    Ok(())
}

fn named_groups(drafts: &[Draft]) -> Names<'_> {
    let groups = drafts.iter().flat_map(|draft| &draft.record.groups);
    groups.map(|reference| reference.group.as_str()).collect()
}

fn named_sites(drafts: &[Draft]) -> Names<'_> {
    drafts.iter().flat_map(|draft| &draft.record.sites).map(String::as_str).collect()
}

/// Returns the institutions that rows may refer to: those of the license, of which only the ones that are named are read, and
/// those of users who have one already.
async fn institutions(
    transaction: &Transaction,
    license_id: Id,
    drafts: &[Draft],
    existing: &ExistingRows,
) -> Result<NameIndex, Error> {
    let mut index = names::institutions(transaction, license_id, &named_sites(drafts)).await?;
    index.ids.extend(existing.institution_ids(license_id));
    let named: HashSet<Id> = drafts.iter().filter_map(Draft::named_institution).collect();
    if !named.is_empty() {
        let found = institution::Entity::find().select_only().column(institution::Column::Id);
        let found = found.filter(one_of(transaction.get_database_backend(), institution::Column::Id, named));
        let found = found.filter(of_license(institution::Column::LicenseId, license_id));
        index.ids.extend(found.into_tuple::<Id>().all(transaction).await?);
    }
    Ok(index)
}

/// Returns the sites that a user was granted access to.
async fn sites_of(transaction: &Transaction, user_id: Id) -> Result<HashSet<Id>, Error> {
    let sites = site_access::Entity::find().select_only().column(site_access::Column::InstitutionId);
    let sites = sites.filter(one_of(transaction.get_database_backend(), site_access::Column::UserId, [user_id]));
    Ok(sites.into_tuple::<Id>().all(transaction).await?.into_iter().collect())
}

/// Returns the role of a user in each of their groups.
async fn roles_of(transaction: &Transaction, user_id: Id) -> Result<HashMap<Id, GroupRole>, Error> {
    use membership::Column;
    let roles = membership::Entity::find().select_only().columns([Column::GroupId, Column::Role]);
    let roles = roles.filter(one_of(transaction.get_database_backend(), Column::UserId, [user_id]));
    Ok(roles.into_tuple::<(Id, GroupRole)>().all(transaction).await?.into_iter().collect())
}

/// Returns the number of owners of each of several groups.
async fn count_owners(transaction: &Transaction, group_ids: &[Id]) -> Result<HashMap<Id, i64>, Error> {
    use membership::Column;
    let mut counts = HashMap::new();
    // SQLite has a parameter for each group.
    for ids in group_ids.chunks(MAX_NAMES) {
        let owners = membership::Entity::find()
            .select_only()
            .column(Column::GroupId)
            .column_as(Column::UserId.count(), "owners")
            .filter(one_of(transaction.get_database_backend(), Column::GroupId, ids.iter().copied()))
            .filter(Column::Role.eq(GroupRole::Owner))
            .group_by(Column::GroupId);
        counts.extend(owners.into_tuple::<(Id, i64)>().all(transaction).await?);
    }
    Ok(counts)
}
