//! The changes of a chunk of users, and the transaction that writes them.

use sea_orm::ActiveEnum;
use serde_json::Value;

use super::Importer;
use super::existing::ExistingRows;
use super::users::ImportedUser;
use crate::attribute_values::{self, AttributeChanges};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::password::is_keyed;
use crate::auth::{credential, one_time_link};
use crate::db::Transaction;
use crate::db::batch::{self, IfExists};
use crate::entity::audit_event::AuditAction;
use crate::entity::versioned::Versioned;
use crate::entity::{credential as stored, membership, site_access, user};
use crate::error::Error;
use crate::scalar::Id;

/// The changes of a chunk of users.
#[derive(Default)]
pub(super) struct Batch {
    created: Vec<user::Model>,
    updated: Vec<user::Model>,
    passwords: Vec<stored::Model>,
    memberships: Vec<membership::Model>,
    grants: Vec<site_access::Model>,
    attributes: Vec<(Id, AttributeChanges)>,
    /// Existing users whose password is set.
    password_set: Vec<Id>,
    /// Existing users who are deactivated.
    deactivated: Vec<Id>,
    /// Existing users whose email address changes.
    email_changed: Vec<Id>,
    entries: Vec<Entry>,
}

impl Importer<'_> {
    /// Counts a user. Returns the user if it is new or changes.
    pub(super) fn count_user(&mut self, mut user: ImportedUser, existing: &ExistingRows) -> Option<ImportedUser> {
        let stored = existing.passwords.get(&user.row.id);
        // A user who has signed in here, or set a password here, keeps that password.
        user.password =
            user.password.filter(|password| stored.is_none_or(|stored| *stored != password.hash && !is_keyed(stored)));
        if user.is_unchanged() {
            self.summary.unchanged += 1;
            return None;
        }
        if user.old.is_some() {
            self.summary.changed += 1;
        } else {
            self.summary.created += 1;
            self.summary.new_users += 1;
        }
        if let Some(family) = user.password.as_ref().and_then(|password| password.weakness) {
            *self.summary.weak_passwords.entry(family).or_default() += 1;
        }
        Some(user)
    }
}

impl ImportedUser {
    fn is_unchanged(&self) -> bool {
        self.old.as_ref() == Some(&self.row)
            && self.password.is_none()
            && self.memberships.is_empty()
            && self.grants.is_empty()
            && self.attributes.is_unchanged()
    }

    /// Returns the audit event of the import.
    fn event(&self) -> Entry {
        let Self { row, old, password, memberships, grants, attributes, .. } = self;
        let changes = match old {
            Some(old) => difference(old, row),
            None => difference(&user::Model::empty(row.id, row.license_id), row),
        };
        let changes = changes
            .into_iter()
            .chain(password.as_ref().map(|_| Change::of_secret("password")))
            .chain(attributes.changes())
            .chain((!memberships.is_empty()).then(|| Change::of("groups", None, Some(groups_json(memberships)))))
            .chain((!grants.is_empty()).then(|| Change::of("sites", None, Some(sites_json(grants)))));
        let action = if old.is_some() { AuditAction::UserUpdated } else { AuditAction::UserCreated };
        Entry::new(action, row).with(changes)
    }
}

impl Batch {
    /// Adds a user who is new or changes.
    pub(super) fn add(&mut self, user: ImportedUser) {
        self.entries.push(user.event());
        let ImportedUser { row, old, password, memberships, grants, attributes } = user;
        let id = row.id;
        if let Some(old) = old {
            self.add_updated(&old, row, password.is_some(), !attributes.is_unchanged());
        } else {
            self.created.push(row);
        }
        self.passwords.extend(password.map(|password| stored::Model { user_id: id, password_hash: password.hash }));
        self.memberships.extend(memberships);
        self.grants.extend(grants);
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
        let entries = std::mem::take(&mut self.entries);
        let events = tokio::task::spawn_blocking(move || audit::prepare(entries));
        batch::insert(&transaction, &self.created, IfExists::Fail).await?;
        batch::update(&transaction, &self.updated).await?;
        self.revoke_access(&transaction).await?;
        let password_hash = [stored::Column::PasswordHash];
        batch::insert(&transaction, &self.passwords, IfExists::Update(&password_hash)).await?;
        let role = [membership::Column::Role];
        batch::insert(&transaction, &self.memberships, IfExists::Update(&role)).await?;
        batch::insert(&transaction, &self.grants, IfExists::Fail).await?;
        attribute_values::store(&transaction, &self.attributes).await?;
        audit::commit_sealed(transaction, events.await.map_err(Error::internal)??).await
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

fn groups_json(memberships: &[membership::Model]) -> Value {
    let json = |membership: &membership::Model| serde_json::json!({ "groupId": membership.group_id, "role": membership.role.to_value() });
    memberships.iter().map(json).collect()
}

fn sites_json(grants: &[site_access::Model]) -> Value {
    grants.iter().map(|grant| Value::from(grant.institution_id.0.to_string())).collect()
}
