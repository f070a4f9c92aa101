//! The rows of the database that the users of a chunk refer to or may conflict with.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::record::UserRecord;
use super::users::Draft;
use crate::access::{is_same_license, of_license};
use crate::attribute_values::{self, Definitions, Values};
use crate::db::conditions::one_of;
use crate::entity::{credential, membership, site_access, tombstone, user};
use crate::error::Error;
use crate::scalar::Id;
use crate::{login, text};

/// The rows of the database that the users of a chunk refer to or may conflict with.
#[derive(Default)]
pub(super) struct ExistingRows {
    users: Vec<user::Model>,
    by_id: HashMap<Id, usize>,
    by_external_id: HashMap<String, usize>,
    by_email: HashMap<String, usize>,
    by_username: HashMap<String, usize>,
    /// The owners of usernames and email addresses.
    pub(super) logins: HashMap<String, Id>,
    /// The memberships by the ids of user and group.
    pub(super) memberships: HashMap<(Id, Id), membership::Model>,
    /// The ids of user and institution.
    pub(super) grants: HashSet<(Id, Id)>,
    pub(super) passwords: HashMap<Id, String>,
    pub(super) definitions: Definitions,
    pub(super) attribute_values: BTreeMap<Id, Values>,
    /// Erased users. An older file that has their ids must not bring them back.
    pub(super) erased: HashSet<Id>,
}

impl ExistingRows {
    /// Reads the rows that the drafts identify or may conflict with, without the attribute definitions.
    pub(super) async fn read(db: &impl ConnectionTrait, license_id: Id, drafts: &[Draft]) -> Result<Self, Error> {
        let mut existing = Self::default();
        existing.read_users(db, license_id, drafts).await?;
        existing.read_erased(db, drafts).await?;
        existing.read_relations(db, drafts).await?;
        Ok(existing)
    }

    async fn read_users(&mut self, db: &impl ConnectionTrait, license_id: Id, drafts: &[Draft]) -> Result<(), Error> {
        let users = || drafts.iter().map(|draft| &draft.user);
        let ids = drafts.iter().filter_map(|draft| draft.record.id);
        let external_ids = users().filter_map(|user| user.external_id.as_deref());
        let emails = users().filter_map(|user| user.email.as_deref()).flat_map(login_keys);
        let usernames = users().filter_map(|user| user.username.as_deref()).flat_map(login_keys);
        let of_license = of_license(user::Column::LicenseId, license_id);
        let conditions = [
            Condition::all().add(one_of(db.get_database_backend(), user::Column::Id, ids)),
            Condition::all().add(user::Column::ExternalId.is_in(external_ids)).add(of_license),
            Condition::all().add(user::Column::EmailKey.is_in(emails)),
            Condition::all().add(user::Column::UsernameKey.is_in(usernames)),
        ];
        let keys = users().flat_map(|user| [&user.username_key, &user.email_key]).flatten().cloned().collect();
        // One statement per key, so that each uses its index.
        for condition in conditions {
            let users = user::Entity::find().filter(condition).order_by_asc(user::Column::Id).lock_exclusive();
            for user in users.all(db).await? {
                self.add(user, license_id);
            }
        }
        self.logins = login::find_holders(db, keys).await?;
        Ok(())
    }

    async fn read_erased(&mut self, db: &impl ConnectionTrait, drafts: &[Draft]) -> Result<(), Error> {
        let ids = drafts.iter().filter_map(|draft| draft.record.id);
        let of_ids = one_of(db.get_database_backend(), tombstone::Column::UserId, ids);
        let tombstones = tombstone::Entity::find().filter(of_ids).all(db).await?;
        self.erased = tombstones.into_iter().map(|row| row.user_id).collect();
        Ok(())
    }

    /// Reads memberships, access to sites, passwords and attribute values of the users.
    async fn read_relations(&mut self, db: &impl ConnectionTrait, drafts: &[Draft]) -> Result<(), Error> {
        let ids: Vec<Id> = self.users.iter().map(|user| user.id).collect();
        let of_users = one_of(db.get_database_backend(), membership::Column::UserId, ids.iter().copied());
        let memberships = membership::Entity::find().filter(of_users).all(db).await?;
        let of_users = one_of(db.get_database_backend(), site_access::Column::UserId, ids.iter().copied());
        let grants = site_access::Entity::find().filter(of_users).all(db).await?;
        let of_users = one_of(db.get_database_backend(), credential::Column::UserId, ids.iter().copied());
        let passwords = credential::Entity::find().filter(of_users).all(db).await?;
        if drafts.iter().any(|draft| !draft.record.attributes.is_empty()) {
            self.attribute_values = attribute_values::values(db, ids).await?;
        }
        self.memberships = memberships.into_iter().map(|row| ((row.user_id, row.group_id), row)).collect();
        self.grants = grants.into_iter().map(|row| (row.user_id, row.institution_id)).collect();
        self.passwords = passwords.into_iter().map(|row| (row.user_id, row.password_hash)).collect();
        Ok(())
    }

    fn add(&mut self, user: user::Model, license_id: Id) {
        if self.by_id.contains_key(&user.id) {
            return;
        }
        let index = self.users.len();
        self.by_id.insert(user.id, index);
        if is_same_license(user.license_id, license_id) {
            self.by_external_id.extend(user.external_id.clone().map(|id| (id, index)));
        }
        self.by_email.extend(user.email_key.clone().map(|key| (key, index)));
        self.by_username.extend(user.username_key.clone().map(|key| (key, index)));
        self.users.push(user);
    }

    fn at(&self, indexes: &HashMap<String, usize>, key: Option<&str>) -> Option<&user::Model> {
        self.users.get(*indexes.get(key?)?)
    }

    /// Returns the user of the license who has an external id.
    pub(super) fn with_external_id(&self, external_id: Option<&str>) -> Option<&user::Model> {
        self.at(&self.by_external_id, external_id)
    }

    /// Returns the user that a record identifies: by id, then by external id, and if it has neither, by email address or
    /// username.
    pub(super) fn find(&self, record: &UserRecord, draft: &user::Model) -> Option<user::Model> {
        let by_id = record.id.and_then(|id| self.users.get(*self.by_id.get(&id)?));
        let by_external_id = || self.with_external_id(draft.external_id.as_deref());
        let by_login = || {
            let has_no_id = record.id.is_none() && draft.external_id.is_none();
            let with_login = |indexes, login: Option<&str>| {
                login_keys(login?).into_iter().find_map(|key| self.at(indexes, Some(&key)))
            };
            let found = with_login(&self.by_email, draft.email.as_deref());
            let found = found.or_else(|| with_login(&self.by_username, draft.username.as_deref()));
            found.filter(|_| has_no_id)
        };
        by_id.or_else(by_external_id).or_else(by_login).cloned()
    }
}

/// Returns the keys that a login may have, the former ones first: if the logins of two users have become one, each is identified
/// by its own.
fn login_keys(login: &str) -> [String; 3] {
    let [username, email] = text::former_logins(login);
    [username, email, text::canonical_login(login)]
}
