//! People who were found good, written in one transaction.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter};

use super::Importer;
use super::people::{Known, Person};
use crate::entity::{credential, membership, session, user};
use crate::error::Error;
use crate::scalar::now;

/// How many rows one statement inserts: SQLite takes 32,766 values.
const ROWS_AT_ONCE: usize = 500;

impl Importer<'_> {
    pub(super) async fn write_people(
        &mut self,
        transaction: Option<DatabaseTransaction>,
        people: Vec<Person>,
        known: &Known,
    ) -> Result<(), Error> {
        let (mut created, mut changed, mut passwords, mut memberships, mut signed_out) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for person in people {
            let Person { mut row, old, password_hash, memberships: joined } = person;
            let id = row.id;
            let password = password_hash.filter(|hash| known.passwords.get(&id) != Some(hash));
            match old {
                Some(old) if old == row && password.is_none() && joined.is_empty() => self.tally.unchanged += 1,
                Some(old) => {
                    self.tally.changed += 1;
                    if password.is_some() || old.is_active && !row.is_active {
                        signed_out.push(id);
                    }
                    if old != row || password.is_some() {
                        row.modified_at = now();
                        row.version += 1;
                        changed.push(row);
                    }
                }
                None => {
                    self.tally.created += 1;
                    created.push(row);
                }
            }
            passwords.extend(password.map(|password_hash| credential::Model { user_id: id, password_hash }));
            memberships.extend(joined);
        }
        let Some(transaction) = transaction else { return Ok(()) };
        insert_people(&transaction, created).await?;
        for row in changed {
            row.into_active_model().reset_all().update(&transaction).await?;
        }
        if !signed_out.is_empty() {
            let of_people = session::Column::UserId.is_in(signed_out);
            session::Entity::delete_many().filter(of_people).exec(&transaction).await?;
        }
        insert_passwords(&transaction, passwords).await?;
        insert_memberships(&transaction, memberships).await?;
        Ok(transaction.commit().await?)
    }
}

async fn insert_people(transaction: &DatabaseTransaction, rows: Vec<user::Model>) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        user::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(())
}

async fn insert_passwords(transaction: &DatabaseTransaction, rows: Vec<credential::Model>) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let replace =
            OnConflict::column(credential::Column::UserId).update_column(credential::Column::PasswordHash).to_owned();
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        credential::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(transaction).await?;
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
