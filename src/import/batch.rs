//! The changes of a chunk of users, and the transaction that writes them.

use std::collections::HashSet;

use sea_orm::sea_query::LockType;
use sea_orm::{ActiveEnum, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;

use super::relations::{Grants, Memberships};
use super::secrets::NewAvatar;
use super::users::ImportedUser;
use crate::attribute_values::{self, AttributeChanges};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::{credential, one_time_link};
use crate::avatar::Picture;
use crate::db::Transaction;
use crate::db::batch::{self, IfExists};
use crate::db::conditions::one_of;
use crate::entity::audit_event::AuditAction;
use crate::entity::versioned::Versioned;
use crate::entity::{avatar, credential as stored, group, institution, membership, pin, site_access, user};
use crate::error::Error;
use crate::scalar::Id;

/// The changes of a chunk of users.
#[derive(Default)]
pub(super) struct Batch {
    created: Vec<user::Model>,
    updated: Vec<user::Model>,
    passwords: Vec<stored::Model>,
    pins: Vec<pin::Model>,
    avatars: Vec<avatar::Model>,
    memberships: Memberships,
    grants: Grants,
    attributes: Vec<(Id, AttributeChanges)>,
    /// The institutions that users belong to, or have access to, from now on.
    institutions: HashSet<Id>,
    /// Existing users whose password is set.
    password_set: Vec<Id>,
    /// Existing users who are deactivated.
    deactivated: Vec<Id>,
    /// Existing users whose email address changes.
    email_changed: Vec<Id>,
    entries: Vec<Entry>,
}

impl ImportedUser {
    pub(super) fn is_unchanged(&self) -> bool {
        self.old.as_ref() == Some(&self.row)
            && self.password.is_none()
            && self.pin_hash.is_none()
            && self.avatar.is_none()
            && self.memberships.is_unchanged()
            && self.grants.is_unchanged()
            && self.attributes.is_unchanged()
    }

    /// Returns the audit event of the import.
    fn event(&self) -> Entry {
        let Self { row, old, password, pin_hash, memberships, grants, attributes, .. } = self;
        let changes = match old {
            Some(old) => difference(old, row),
            None => difference(&user::Model::empty(row.id, row.license_id), row),
        };
        let former_groups = groups_json(memberships.ended.iter().chain(&memberships.former));
        let changes = changes
            .into_iter()
            .chain(password.as_ref().map(|_| Change::of_secret("password")))
            .chain(pin_hash.as_ref().map(|_| Change::of_secret("pin")))
            .chain(attributes.changes())
            .chain(change_of("groups", former_groups, groups_json(&memberships.changed)))
            .chain(change_of("sites", sites_json(&grants.ended), sites_json(&grants.new)));
        let action = if old.is_some() { AuditAction::UserUpdated } else { AuditAction::UserCreated };
        Entry::new(action, row).with(changes)
    }
}

impl Batch {
    /// Adds a user who is new or changes.
    pub(super) fn add(&mut self, user: ImportedUser) {
        self.entries.push(user.event());
        let ImportedUser { row, old, password, pin_hash, avatar, memberships, grants, attributes, .. } = user;
        let id = row.id;
        let former_institution = old.as_ref().and_then(|old| old.institution_id);
        self.institutions.extend(row.institution_id.filter(|id| Some(*id) != former_institution));
        self.institutions.extend(grants.new.iter().map(|grant| grant.institution_id));
        if let Some(old) = old {
            self.add_updated(&old, row, password.is_some(), !attributes.is_unchanged());
        } else {
            self.created.push(row);
        }
        self.passwords.extend(password.map(|password| stored::Model { user_id: id, password_hash: password.hash }));
        self.pins.extend(pin_hash.map(|pin_hash| pin::Model { user_id: id, pin_hash, wrong: 0 }));
        if let Some(NewAvatar::Picture(Picture { content_type, content })) = avatar {
            self.avatars.push(avatar::Model { user_id: id, content_type, content });
        }
        self.memberships.changed.extend(memberships.changed);
        self.memberships.ended.extend(memberships.ended);
        self.grants.new.extend(grants.new);
        self.grants.ended.extend(grants.ended);
        if !attributes.is_unchanged() {
            self.attributes.push((id, attributes));
        }
    }

    fn add_updated(&mut self, old: &user::Model, mut new: user::Model, sets_password: bool, sets_attributes: bool) {
        if old.is_active && !new.is_active {
            self.deactivated.push(new.id);
        }
        if sets_password {
            self.password_set.push(new.id);
        }
        if old.email_key != new.email_key {
            self.email_changed.push(new.id);
        }
        if *old != new || sets_password || sets_attributes {
            new.advance();
            self.updated.push(new);
        }
    }

    /// Writes the changes and commits them. Each table takes as many statements for many users as for few.
    pub(super) async fn write(mut self, transaction: Transaction) -> Result<(), Error> {
        // Another thread prepares the events while the database writes.
        let entries = self.take_entries();
        let events = tokio::task::spawn_blocking(move || audit::prepare(entries));
        self.store(&transaction).await?;
        audit::commit_sealed(transaction, events.await.map_err(Error::internal)??).await
    }

    /// Writes the changes as one step of a transaction that has locked the users.
    pub(super) async fn store(&self, transaction: &Transaction) -> Result<(), Error> {
        self.lock_referenced(transaction).await?;
        batch::insert(transaction, &self.created, IfExists::Fail).await?;
        batch::update(transaction, &self.updated).await?;
        self.revoke_access(transaction).await?;
        let password_hash = [stored::Column::PasswordHash];
        batch::insert(transaction, &self.passwords, IfExists::Update(&password_hash)).await?;
        batch::insert(transaction, &self.pins, IfExists::Fail).await?;
        let picture = [avatar::Column::ContentType, avatar::Column::Content];
        batch::insert(transaction, &self.avatars, IfExists::Update(&picture)).await?;
        let role = [membership::Column::Role];
        batch::insert(transaction, &self.memberships.changed, IfExists::Update(&role)).await?;
        batch::delete(transaction, &self.memberships.ended).await?;
        batch::insert(transaction, &self.grants.new, IfExists::Fail).await?;
        batch::delete(transaction, &self.grants.ended).await?;
        attribute_values::store(transaction, &self.attributes).await
    }

    /// Locks the groups and institutions that new rows refer to. Their foreign keys would lock the same rows, but in the order of
    /// the file.
    async fn lock_referenced(&self, transaction: &Transaction) -> Result<(), Error> {
        // SQLite has one writer at a time.
        if transaction.get_database_backend() == DatabaseBackend::Postgres {
            let groups = self.memberships.changed.iter().map(|membership| membership.group_id).collect();
            lock_keys::<group::Entity>(transaction, group::Column::Id, groups).await?;
            lock_keys::<institution::Entity>(transaction, institution::Column::Id, self.institutions.clone()).await?;
        }
        Ok(())
    }

    /// Takes the audit events of the changes.
    pub(super) fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Returns the users who are new or change, as they are afterwards.
    pub(super) fn users(&self) -> impl Iterator<Item = &user::Model> {
        self.created.iter().chain(&self.updated)
    }

    /// Ends the sessions and revokes the links of users whose password, activity or email address changes.
    async fn revoke_access(&self, transaction: &Transaction) -> Result<(), Error> {
        if !self.password_set.is_empty() {
            credential::sign_out(transaction, &self.password_set).await?;
        }
        if !self.deactivated.is_empty() {
            credential::revoke_access(transaction, &self.deactivated).await?;
        }
        if !self.email_changed.is_empty() {
            one_time_link::revoke(transaction, &self.email_changed).await?;
        }
        Ok(())
    }
}

/// Locks rows as a foreign key does, by id.
async fn lock_keys<E: EntityTrait>(transaction: &Transaction, id: E::Column, ids: HashSet<Id>) -> Result<(), Error> {
    if !ids.is_empty() {
        let rows = E::find().select_only().column(id).filter(one_of(DatabaseBackend::Postgres, id, ids));
        rows.order_by_asc(id).lock(LockType::KeyShare).into_tuple::<Id>().all(transaction).await?;
    }
    Ok(())
}

/// Returns the change of a list, of which items were removed and added. An item that was changed is both.
fn change_of(field: &str, removed: Value, added: Value) -> Option<Change> {
    let some = |items: Value| Some(items).filter(|items| items.as_array().is_some_and(|items| !items.is_empty()));
    let (removed, added) = (some(removed), some(added));
    (removed.is_some() || added.is_some()).then(|| Change::of(field, removed, added))
}

fn groups_json<'a>(memberships: impl IntoIterator<Item = &'a membership::Model>) -> Value {
    let json = |membership: &membership::Model| serde_json::json!({ "groupId": membership.group_id, "role": membership.role.to_value() });
    memberships.into_iter().map(json).collect()
}

fn sites_json(grants: &[site_access::Model]) -> Value {
    grants.iter().map(|grant| Value::from(grant.institution_id.0.to_string())).collect()
}
