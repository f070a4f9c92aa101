//! The rows that belong to users, read for all users of a page at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::attribute_values::{self, Values};
use crate::db::conditions::one_of;
use crate::entity::{avatar, credential, institution, membership, pin, site_access, user};
use crate::error::Error;
use crate::scalar::Id;

/// Data that is exported besides the fields of users.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportContent {
    /// The hashes of passwords and PINs.
    pub secrets: bool,
    /// The pictures.
    pub avatars: bool,
    /// The names of the users' institutions.
    pub institution_names: bool,
}

/// A user with the rows that belong to it.
pub struct ExportedUser {
    pub row: user::Model,
    pub memberships: Vec<membership::Model>,
    pub grants: Vec<site_access::Model>,
    pub attributes: Values,
    pub password_hash: Option<String>,
    pub pin_hash: Option<String>,
    pub avatar: Option<avatar::Model>,
    pub institution_name: Option<String>,
}

impl ExportedUser {
    /// Reads the rows that belong to users.
    pub async fn read(
        db: &impl ConnectionTrait,
        users: Vec<user::Model>,
        content: ExportContent,
    ) -> Result<Vec<Self>, Error> {
        let ids: Vec<Id> = users.iter().map(|user| user.id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut related = Related::read(db, &ids, content).await?;
        if content.institution_names {
            related.institutions = institution_names(db, &users).await?;
        }
        Ok(users.into_iter().map(|row| related.take(row)).collect())
    }
}

/// The rows that belong to the users of a page.
#[derive(Default)]
struct Related {
    memberships: HashMap<Id, Vec<membership::Model>>,
    grants: HashMap<Id, Vec<site_access::Model>>,
    attributes: BTreeMap<Id, Values>,
    passwords: HashMap<Id, String>,
    pins: HashMap<Id, String>,
    avatars: HashMap<Id, avatar::Model>,
    /// The names of the institutions.
    institutions: HashMap<Id, String>,
}

impl Related {
    async fn read(db: &impl ConnectionTrait, ids: &[Id], content: ExportContent) -> Result<Self, Error> {
        let mut related = Self::default();
        let (backend, ids) = (db.get_database_backend(), || ids.iter().copied());
        let of_users = one_of(backend, membership::Column::UserId, ids());
        let memberships = membership::Entity::find().filter(of_users).order_by_asc(membership::Column::GroupId);
        for row in memberships.all(db).await? {
            related.memberships.entry(row.user_id).or_default().push(row);
        }
        let of_users = one_of(backend, site_access::Column::UserId, ids());
        let grants = site_access::Entity::find().filter(of_users).order_by_asc(site_access::Column::InstitutionId);
        for row in grants.all(db).await? {
            related.grants.entry(row.user_id).or_default().push(row);
        }
        related.attributes = attribute_values::values(db, ids()).await?;
        if content.secrets {
            let of_users = one_of(backend, credential::Column::UserId, ids());
            let passwords = credential::Entity::find().filter(of_users).all(db).await?;
            related.passwords = passwords.into_iter().map(|row| (row.user_id, row.password_hash)).collect();
            let of_users = one_of(backend, pin::Column::UserId, ids());
            let pins = pin::Entity::find().filter(of_users).all(db).await?;
            related.pins = pins.into_iter().map(|row| (row.user_id, row.pin_hash)).collect();
        }
        if content.avatars {
            let of_users = one_of(backend, avatar::Column::UserId, ids());
            let avatars = avatar::Entity::find().filter(of_users).all(db).await?;
            related.avatars = avatars.into_iter().map(|row| (row.user_id, row)).collect();
        }
        Ok(related)
    }

    fn take(&mut self, row: user::Model) -> ExportedUser {
        let id = row.id;
        let institution_name = row.institution_id.and_then(|id| self.institutions.get(&id).cloned());
        ExportedUser {
            row,
            institution_name,
            memberships: self.memberships.remove(&id).unwrap_or_default(),
            grants: self.grants.remove(&id).unwrap_or_default(),
            attributes: self.attributes.remove(&id).unwrap_or_default(),
            password_hash: self.passwords.remove(&id),
            pin_hash: self.pins.remove(&id),
            avatar: self.avatars.remove(&id),
        }
    }
}

/// Returns the names of the institutions of users.
async fn institution_names(db: &impl ConnectionTrait, users: &[user::Model]) -> Result<HashMap<Id, String>, Error> {
    let ids: BTreeSet<Id> = users.iter().filter_map(|user| user.institution_id).collect();
    let of_users = one_of(db.get_database_backend(), institution::Column::Id, ids);
    let columns = [institution::Column::Id, institution::Column::Name];
    let names = institution::Entity::find().select_only().columns(columns).filter(of_users);
    let names: Vec<(Id, String)> = names.into_tuple().all(db).await?;
    Ok(names.into_iter().collect())
}
