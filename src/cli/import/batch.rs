//! Writes a chunk of valid users in one transaction.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveEnum, EntityTrait};
use serde_json::Value;

use super::Importer;
use super::existing::ExistingRows;
use super::users::ImportedUser;
use crate::attribute_values::{self, AttributeChanges};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::password::is_keyed;
use crate::auth::{credential, one_time_link};
use crate::db::{Transaction, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::versioned::Versioned;
use crate::entity::{credential as stored, membership, site_access, user};
use crate::error::Error;
use crate::scalar::Id;
use crate::search_index;

/// The number of rows that one statement inserts: SQLite allows 32,766 values.
const ROWS_AT_ONCE: usize = 500;

/// The changes of a chunk of users.
#[derive(Default)]
struct Batch {
    created: Vec<user::Model>,
    updated: Vec<UpdatedUser>,
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
    events: Vec<Entry>,
}

/// The row of a user before and after the import.
struct UpdatedUser {
    old: user::Model,
    new: user::Model,
}

impl Importer<'_> {
    /// Counts the changes of users, and writes them if there is a transaction.
    pub(super) async fn write_users(
        &mut self,
        transaction: Option<Transaction>,
        users: Vec<ImportedUser>,
        existing: &ExistingRows,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        for user in users {
            self.add_to_batch(user, existing, &mut batch);
        }
        match transaction {
            Some(transaction) => batch.write(transaction).await,
            None => Ok(()),
        }
    }

    fn add_to_batch(&mut self, mut user: ImportedUser, existing: &ExistingRows, batch: &mut Batch) {
        let id = user.row.id;
        // A user who has signed in here, or set a password here, keeps that password.
        user.password = user.password.filter(|password| {
            existing.passwords.get(&id).is_none_or(|stored| *stored != password.hash && !is_keyed(stored))
        });
        if user.is_unchanged() {
            self.summary.unchanged += 1;
            return;
        }
        batch.events.push(user.event());
        let ImportedUser { row, old, password, memberships, grants, attributes } = user;
        if let Some(old) = old {
            self.summary.changed += 1;
            batch.add_updated(UpdatedUser { old, new: row }, password.is_some(), !attributes.is_unchanged());
        } else {
            self.summary.created += 1;
            batch.created.push(row);
        }
        if let Some(password) = password {
            if let Some(family) = password.weakness {
                *self.summary.weak_passwords.entry(family).or_default() += 1;
            }
            batch.passwords.push(stored::Model { user_id: id, password_hash: password.hash });
        }
        batch.memberships.extend(memberships);
        batch.grants.extend(grants);
        if !attributes.is_unchanged() {
            batch.attributes.push((id, attributes));
        }
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
        let Self { row, old, password, memberships, grants, attributes } = self;
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
    fn add_updated(&mut self, mut user: UpdatedUser, sets_password: bool, sets_attributes: bool) {
        let UpdatedUser { old, new } = &user;
        if old.is_active && !new.is_active {
            self.deactivated.push(new.id);
        }
        if sets_password {
            self.password_set.push(new.id);
        }
        if old.email_key != new.email_key {
            self.email_changed.push(new.id);
        }
        if old != new || sets_password || sets_attributes {
            user.new.advance();
            self.updated.push(user);
        }
    }

    async fn write(self, transaction: Transaction) -> Result<(), Error> {
        insert_users(&transaction, &self.created).await?;
        for user in &self.updated {
            rows::update(&transaction, &user.old, user.new.clone()).await?;
        }
        let created = self.created.iter().map(|new| (None, Some(new)));
        let updated = self.updated.iter().map(|user| (Some(&user.old), Some(&user.new)));
        search_index::update(&transaction, created.chain(updated)).await?;
        self.revoke_access(&transaction).await?;
        insert_passwords(&transaction, &self.passwords).await?;
        insert_memberships(&transaction, &self.memberships).await?;
        insert_grants(&transaction, &self.grants).await?;
        attribute_values::store(&transaction, &self.attributes).await?;
        audit::commit(transaction, self.events).await
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

async fn insert_users(transaction: &Transaction, rows: &[user::Model]) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(rows::active);
        user::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(())
}

async fn insert_passwords(transaction: &Transaction, rows: &[stored::Model]) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let replace = OnConflict::column(stored::Column::UserId).update_column(stored::Column::PasswordHash).to_owned();
        let rows = rows.iter().cloned().map(rows::active);
        stored::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(transaction).await?;
    }
    Ok(())
}

async fn insert_memberships(transaction: &Transaction, rows: &[membership::Model]) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let key = [membership::Column::UserId, membership::Column::GroupId];
        let replace = OnConflict::columns(key).update_column(membership::Column::Role).to_owned();
        let rows = rows.iter().cloned().map(rows::active);
        membership::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(transaction).await?;
    }
    Ok(())
}

async fn insert_grants(transaction: &Transaction, rows: &[site_access::Model]) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(rows::active);
        site_access::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(())
}
