//! Writes a chunk of valid users in one transaction.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveEnum, ActiveModelTrait, DatabaseTransaction, EntityTrait, IntoActiveModel};
use serde_json::Value;

use super::Importer;
use super::users::{ExistingRows, ImportedUser};
use crate::attribute_values::{self, AttributeChanges};
use crate::audit::{self, Change, Entry, difference};
use crate::auth::password::is_keyed;
use crate::auth::{credential, one_time_link};
use crate::entity::audit_event::AuditAction;
use crate::entity::{credential as stored, membership, site_access, user};
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::search_index;

/// The number of rows that one statement inserts: SQLite allows 32,766 values.
const ROWS_AT_ONCE: usize = 500;

/// The changes of a chunk of users.
#[derive(Default)]
struct Batch {
    created: Vec<user::Model>,
    /// The rows before and after the change.
    changed: Vec<(user::Model, user::Model)>,
    passwords: Vec<stored::Model>,
    memberships: Vec<membership::Model>,
    grants: Vec<site_access::Model>,
    profiles: Vec<(Id, AttributeChanges)>,
    /// Users whose password was set.
    signed_out: Vec<Id>,
    deactivated: Vec<Id>,
    /// Users whose email address changed.
    moved: Vec<Id>,
    events: Vec<Entry>,
}

impl Importer<'_> {
    pub(super) async fn write_people(
        &mut self,
        transaction: Option<DatabaseTransaction>,
        people: Vec<ImportedUser>,
        known: &ExistingRows,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        for person in people {
            self.sort(person, known, &mut batch);
        }
        let Some(transaction) = transaction else { return Ok(()) };
        let Batch {
            created,
            changed,
            passwords,
            memberships,
            grants,
            profiles,
            signed_out,
            deactivated,
            moved,
            events,
        } = batch;
        insert_people(&transaction, &created).await?;
        for (_, row) in &changed {
            row.clone().into_active_model().reset_all().update(&transaction).await?;
        }
        let new = created.iter().map(|row| (None, Some(row)));
        search_index::update(&transaction, new.chain(changed.iter().map(|(old, row)| (Some(old), Some(row))))).await?;
        if !signed_out.is_empty() {
            credential::sign_out(&transaction, &signed_out).await?;
        }
        if !deactivated.is_empty() {
            credential::shut_out(&transaction, &deactivated).await?;
        }
        if !moved.is_empty() {
            one_time_link::revoke(&transaction, &moved).await?;
        }
        insert_passwords(&transaction, passwords).await?;
        insert_memberships(&transaction, memberships).await?;
        insert_grants(&transaction, grants).await?;
        attribute_values::store(&transaction, &profiles).await?;
        audit::commit(transaction, events).await
    }

    /// Sorts the changes of a user into the batch.
    fn sort(&mut self, person: ImportedUser, known: &ExistingRows, batch: &mut Batch) {
        let ImportedUser { mut row, old, password, memberships: joined, grants, profile } = person;
        let id = row.id;
        // A user who has signed in here, or set a password here, keeps that password.
        let password = password.filter(|password| {
            known.passwords.get(&id).is_none_or(|stored| *stored != password.hash && !is_keyed(stored))
        });
        let changes = match &old {
            Some(old) => difference(old, &row),
            None => difference(&user::Model::empty(id, row.license_id), &row),
        };
        let changes = changes
            .into_iter()
            .chain(password.as_ref().map(|_| Change::of_secret("password")))
            .chain(profile.changes())
            .chain((!joined.is_empty()).then(|| Change::of("groups", None, Some(belonging(&joined)))))
            .chain((!grants.is_empty()).then(|| Change::of("sites", None, Some(places(&grants)))));
        let action = if old.is_some() { AuditAction::UserUpdated } else { AuditAction::UserCreated };
        let event = Entry::new(action, &row).with(changes);
        let has_links = !joined.is_empty() || !grants.is_empty();
        match old {
            Some(old) if old == row && password.is_none() && !has_links && profile.is_unchanged() => {
                self.tally.unchanged += 1;
                return;
            }
            Some(old) => {
                self.tally.changed += 1;
                if old.is_active && !row.is_active {
                    batch.deactivated.push(id);
                }
                if password.is_some() {
                    batch.signed_out.push(id);
                }
                if old.email_key != row.email_key {
                    batch.moved.push(id);
                }
                if old != row || password.is_some() || !profile.is_unchanged() {
                    row.modified_at = now();
                    row.version += 1;
                    batch.changed.push((old, row));
                }
            }
            None => {
                self.tally.created += 1;
                batch.created.push(row);
            }
        }
        batch.events.push(event);
        if let Some(password) = password {
            if let Some(family) = password.weakness {
                *self.tally.weak_passwords.entry(family).or_default() += 1;
            }
            batch.passwords.push(stored::Model { user_id: id, password_hash: password.hash });
        }
        batch.memberships.extend(joined);
        batch.grants.extend(grants);
        if !profile.is_unchanged() {
            batch.profiles.push((id, profile));
        }
    }
}

fn belonging(memberships: &[membership::Model]) -> Value {
    let one = |membership: &membership::Model| serde_json::json!({ "groupId": membership.group_id, "role": membership.role.to_value() });
    memberships.iter().map(one).collect()
}

fn places(grants: &[site_access::Model]) -> Value {
    grants.iter().map(|grant| Value::from(grant.institution_id.0.to_string())).collect()
}

async fn insert_people(transaction: &DatabaseTransaction, rows: &[user::Model]) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        user::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(())
}

async fn insert_passwords(transaction: &DatabaseTransaction, rows: Vec<stored::Model>) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let replace = OnConflict::column(stored::Column::UserId).update_column(stored::Column::PasswordHash).to_owned();
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        stored::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(transaction).await?;
    }
    Ok(())
}

async fn insert_memberships(transaction: &DatabaseTransaction, rows: Vec<membership::Model>) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let key = [membership::Column::UserId, membership::Column::GroupId];
        let replace = OnConflict::columns(key).update_column(membership::Column::Role).to_owned();
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        membership::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(transaction).await?;
    }
    Ok(())
}

async fn insert_grants(transaction: &DatabaseTransaction, rows: Vec<site_access::Model>) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        site_access::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(())
}
