//! The rows of the database that the users of a chunk refer to or may conflict with.

mod memberships;

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::sea_query::{Condition, SimpleExpr};
use sea_orm::{ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Channel;
use super::draft::Draft;
use super::edits::{self, Edits, KeepEdits};
use crate::access::{is_same_license, of_license};
use crate::attribute_values::{self, Definitions, Values};
use crate::db::conditions::{any_of, one_of};
use crate::db::{Db, Transaction};
use crate::entity::external_reference::{self, ExternalReference};
use crate::entity::{credential, erased_reference, membership, site_access, tombstone, user, user_reference};
use crate::error::Error;
use crate::login;
use crate::scalar::Id;

/// The rows of the database that the users of a chunk refer to or may conflict with.
#[derive(Default)]
pub(super) struct ExistingRows {
    users: Vec<user::Model>,
    by_id: HashMap<Id, usize>,
    by_external_id: HashMap<String, usize>,
    by_reference: HashMap<ExternalReference, usize>,
    by_email: HashMap<String, usize>,
    by_username: HashMap<String, usize>,
    /// The owners of usernames and email addresses.
    pub(super) logins: HashMap<String, Id>,
    /// The memberships of each user, by the id of the group.
    pub(super) memberships: HashMap<Id, HashMap<Id, membership::Model>>,
    /// The access of each user to sites, by the id of the institution.
    pub(super) grants: HashMap<Id, HashMap<Id, site_access::Model>>,
    pub(super) passwords: HashMap<Id, String>,
    pub(super) definitions: Definitions,
    pub(super) attribute_values: BTreeMap<Id, Values>,
    /// Erased users. An older file that has their ids must not bring them back.
    pub(super) erased: HashSet<Id>,
    /// The hashes of their external IDs and references.
    pub(super) erased_references: HashSet<String>,
    /// The fields that were edited here.
    pub(super) edits: Edits,
    channel: Channel,
}

impl ExistingRows {
    /// Reads the rows that the drafts identify or may conflict with, and locks the users among them, to write the drafts in the same
    /// transaction.
    pub(super) async fn lock(
        transaction: &Transaction,
        license_id: Id,
        drafts: &[Draft],
        channel: Channel,
        keep: KeepEdits,
    ) -> Result<Self, Error> {
        let mut existing = Self { channel, ..Self::default() };
        // Users are locked before definitions, as everywhere.
        existing.read_all(transaction, license_id, drafts, true).await?;
        existing.definitions = attribute_values::hold_all(transaction, license_id).await?;
        existing.edits = edits::read(transaction, existing.ids(), keep).await?;
        Ok(existing)
    }

    /// Reads the same rows without locking any.
    pub(super) async fn read(
        db: &Db,
        license_id: Id,
        drafts: &[Draft],
        channel: Channel,
        keep: KeepEdits,
    ) -> Result<Self, Error> {
        let mut existing = Self { channel, ..Self::default() };
        existing.read_all(db.read(), license_id, drafts, false).await?;
        existing.definitions = attribute_values::definitions(db.read(), license_id).await?;
        existing.edits = edits::read(db.read(), existing.ids(), keep).await?;
        Ok(existing)
    }

    async fn read_all(
        &mut self,
        db: &impl ConnectionTrait,
        license_id: Id,
        drafts: &[Draft],
        lock: bool,
    ) -> Result<(), Error> {
        let keys = drafts.iter().flat_map(|draft| [&draft.user.username_key, &draft.user.email_key]).flatten();
        // Before the users: whoever is created in between is found as a user, not reported as another one.
        self.logins = login::find_holders(db, keys.cloned().collect()).await?;
        self.read_users(db, license_id, drafts, lock).await?;
        let ids = drafts.iter().filter_map(|draft| draft.record.id);
        let of_ids = one_of(db.get_database_backend(), tombstone::Column::UserId, ids);
        let tombstones = tombstone::Entity::find().filter(of_ids).all(db).await?;
        self.erased = tombstones.into_iter().map(|row| row.user_id).collect();
        let references = drafts.iter().flat_map(|draft| &draft.reference_hashes);
        let hashes: Vec<String> = references.map(|reference| reference.hash.clone()).collect();
        if !hashes.is_empty() {
            let of_hashes = any_of(db.get_database_backend(), erased_reference::Column::Hash, hashes);
            let references = erased_reference::Entity::find().filter(of_hashes).all(db).await?;
            self.erased_references = references.into_iter().map(|row| row.hash).collect();
        }
        self.read_relations(db, drafts).await
    }

    async fn read_users(
        &mut self,
        db: &impl ConnectionTrait,
        license_id: Id,
        drafts: &[Draft],
        lock: bool,
    ) -> Result<(), Error> {
        let backend = db.get_database_backend();
        let mut matching = conditions(backend, license_id, drafts, self.channel);
        // Locks are taken by id, which one statement does, and several do not. The users of a request are locked already.
        if lock && backend == DatabaseBackend::Postgres && self.channel == Channel::File {
            let ids = find_ids(db, license_id, drafts, self.channel).await?;
            let of_ids = |ids: Vec<Id>| Condition::all().add(one_of(backend, user::Column::Id, ids));
            matching = Some(ids).filter(|ids| !ids.is_empty()).map(of_ids).into_iter().collect();
        }
        for condition in matching {
            let users = user::Entity::find().filter(condition).order_by_asc(user::Column::Id);
            let users = if lock { users.lock_exclusive() } else { users };
            for user in users.all(db).await? {
                self.add(user, license_id);
            }
        }
        Ok(())
    }

    /// Reads memberships, access to sites, passwords and attribute values of the users.
    async fn read_relations(&mut self, db: &impl ConnectionTrait, drafts: &[Draft]) -> Result<(), Error> {
        let ids = self.ids();
        if ids.is_empty() {
            return Ok(());
        }
        // Those of a request are read under the locks of the groups.
        if self.channel == Channel::File {
            self.read_memberships(db).await?;
        }
        let of_users = one_of(db.get_database_backend(), site_access::Column::UserId, ids.iter().copied());
        for row in site_access::Entity::find().filter(of_users).all(db).await? {
            self.grants.entry(row.user_id).or_default().insert(row.institution_id, row);
        }
        let of_users = one_of(db.get_database_backend(), credential::Column::UserId, ids.iter().copied());
        let passwords = credential::Entity::find().filter(of_users).all(db).await?;
        self.passwords = passwords.into_iter().map(|row| (row.user_id, row.password_hash)).collect();
        if drafts.iter().any(|draft| draft.record.has_attributes()) {
            self.attribute_values = attribute_values::values(db, ids).await?;
        }
        Ok(())
    }

    /// Returns the institutions of the users of a license.
    pub(super) fn institution_ids(&self, license_id: Id) -> impl Iterator<Item = Id> {
        let own = self.users.iter().filter(move |user| is_same_license(user.license_id, license_id));
        own.filter_map(|user| user.institution_id)
    }

    fn ids(&self) -> Vec<Id> {
        self.users.iter().map(|user| user.id).collect()
    }

    fn add(&mut self, user: user::Model, license_id: Id) {
        if self.by_id.contains_key(&user.id) {
            return;
        }
        let index = self.users.len();
        self.by_id.insert(user.id, index);
        if is_same_license(user.license_id, license_id) {
            self.by_external_id.extend(user.external_id.clone().map(|id| (id, index)));
            let references = external_reference::list(user.external_references.as_ref());
            self.by_reference.extend(references.into_iter().map(|reference| (reference, index)));
        }
        self.by_email.extend(user.email_key.clone().map(|key| (key, index)));
        self.by_username.extend(user.username_key.clone().map(|key| (key, index)));
        self.users.push(user);
    }

    /// Returns the user with an id, in any license.
    pub(super) fn with_id(&self, id: Id) -> Option<&user::Model> {
        self.users.get(*self.by_id.get(&id)?)
    }

    fn at(&self, indexes: &HashMap<String, usize>, key: Option<&str>) -> Option<&user::Model> {
        self.users.get(*indexes.get(key?)?)
    }

    /// Returns the user of the license who has an external ID.
    pub(super) fn with_external_id(&self, external_id: Option<&str>) -> Option<&user::Model> {
        self.at(&self.by_external_id, external_id)
    }

    /// Returns the user of the license who has a reference.
    pub(super) fn with_reference(&self, reference: &ExternalReference) -> Option<&user::Model> {
        self.users.get(*self.by_reference.get(reference)?)
    }

    /// Returns the user that a draft identifies: by ID, then by external ID or a reference, and else by email address or username in
    /// the license. A draft with ids of other systems is a user with the same login only if that user has no ids of these systems
    /// yet.
    pub(super) fn find(&self, draft: &Draft, license_id: Id) -> Option<&user::Model> {
        let id = draft.record.id;
        let external_id = draft.user.external_id.as_deref();
        let has_external_id = external_id.is_some() || !draft.references.is_empty();
        let by_id = id.and_then(|id| self.with_id(id));
        let by_login = || {
            let with_login = |indexes, keys: &[String]| keys.iter().find_map(|key| self.at(indexes, Some(key)));
            let found = with_login(&self.by_email, &draft.email_keys);
            let found = found.or_else(|| with_login(&self.by_username, &draft.username_keys));
            let is_own = |user: &user::Model| is_same_license(user.license_id, license_id);
            let is_adopted = |user: &user::Model| is_free(user, draft) && is_own(user);
            found.filter(|user| if has_external_id { is_adopted(user) } else { id.is_none() && is_own(user) })
        };
        let by_reference = || draft.references.iter().find_map(|reference| self.with_reference(reference));
        by_id.or_else(|| self.with_external_id(external_id)).or_else(by_reference).or_else(by_login)
    }
}

/// Returns whether a user has no ids yet of the systems whose ids a draft gives.
fn is_free(user: &user::Model, draft: &Draft) -> bool {
    let own = external_reference::list(user.external_references.as_ref());
    let has_source = |source: &str| own.iter().any(|reference| reference.source == source);
    let is_external_id_free = draft.user.external_id.is_none() || user.external_id.is_none();
    is_external_id_free && !draft.references.iter().any(|reference| has_source(&reference.source))
}

/// Returns the ids of the users that drafts identify or may conflict with.
pub(super) async fn find_ids(
    db: &impl ConnectionTrait,
    license_id: Id,
    drafts: &[Draft],
    channel: Channel,
) -> Result<Vec<Id>, Error> {
    let mut ids = Vec::new();
    for condition in conditions(db.get_database_backend(), license_id, drafts, channel) {
        let users = user::Entity::find().select_only().column(user::Column::Id).filter(condition);
        ids.extend(users.into_tuple::<Id>().all(db).await?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Returns the conditions for the users that drafts identify or may conflict with, each with one key, so that it uses its index.
/// A request concerns only users of the license.
fn conditions(backend: DatabaseBackend, license_id: Id, drafts: &[Draft], channel: Channel) -> Vec<Condition> {
    let ids = drafts.iter().filter_map(|draft| draft.record.id);
    let external_ids = drafts.iter().filter_map(|draft| draft.user.external_id.clone()).collect();
    let emails = drafts.iter().flat_map(|draft| &draft.email_keys).cloned().collect();
    let usernames = drafts.iter().flat_map(|draft| &draft.username_keys).cloned().collect();
    let of_license = || of_license(user::Column::LicenseId, license_id);
    let limited = |key: SimpleExpr| {
        let is_request = channel == Channel::Request;
        Condition::all().add(key).add_option(is_request.then(of_license))
    };
    let by_reference = ids_by_source(drafts).into_iter().map(|(source, ids)| {
        let has_one = user_reference::with_one_of(backend, license_id, source, ids);
        Condition::all().add(has_one).add(of_license())
    });
    let others = [
        limited(one_of(backend, user::Column::Id, ids)),
        Condition::all().add(any_of::<String>(backend, user::Column::ExternalId, external_ids)).add(of_license()),
        limited(any_of::<String>(backend, user::Column::EmailKey, emails)),
        limited(any_of::<String>(backend, user::Column::UsernameKey, usernames)),
    ];
    others.into_iter().chain(by_reference).collect()
}

/// Returns the ids of the drafts in other systems, by source.
fn ids_by_source(drafts: &[Draft]) -> BTreeMap<&str, Vec<String>> {
    let mut ids: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for reference in drafts.iter().flat_map(|draft| &draft.references) {
        ids.entry(&reference.source).or_default().push(reference.id.clone());
    }
    ids
}
