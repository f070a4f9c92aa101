//! What a person proves by who he is: password, PIN, devices, sessions, API keys. Each change is one step of a transaction
//! of somebody else's.

use sea_orm::sea_query::{Condition, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PrimaryKeyTrait, QueryFilter,
    QuerySelect,
};

use crate::access::{Viewer, is_same_license};
use crate::audit::Subject;
use crate::entity::{api_key, credential, device, pin, session, user};
use crate::error::{Error, ErrorCode};
use crate::form::Form;
use crate::link;
use crate::scalar::Id;

/// What a person had who was shut out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutOut {
    pub sessions: i32,
    pub api_keys: i32,
    pub links: i32,
}

/// Locks and reads the row of a person, who must not have been shut out since: it is the lock under which what lets a person
/// in and what shuts him out take turns. None where the person is not active any more, or not there.
///
/// # Errors
/// Whatever the database says.
pub async fn lock_if_active(transaction: &DatabaseTransaction, user_id: Id) -> Result<Option<user::Model>, Error> {
    let active = user::Entity::find_by_id(user_id).filter(user::Column::IsActive.eq(true));
    Ok(active.lock_exclusive().one(transaction).await?)
}

/// The same, of the person who asks.
///
/// # Errors
/// `Unauthenticated` where the person is not active any more, or not there.
pub async fn lock_active(transaction: &DatabaseTransaction, user_id: Id) -> Result<user::Model, Error> {
    lock_if_active(transaction, user_id).await?.ok_or(Error::Unauthenticated)
}

/// Locks and reads the row of a person whom the viewer sees; `field` is the one that named the person.
///
/// # Errors
/// `Rejected` where the viewer sees nobody of this id.
pub async fn lock_seen(
    transaction: &DatabaseTransaction,
    viewer: &Viewer,
    field: &str,
    id: Id,
) -> Result<user::Model, Error> {
    let found = user::Entity::find_by_id(id).filter(viewer.finds_users()).lock_exclusive().one(transaction).await?;
    found.ok_or_else(|| Error::not_found(field, "person"))
}

/// Locks and reads the rows of a person and of what the person is to have to do with, in this order, as whoever erases a
/// person does; both are seen by the viewer and of one license. `field` is the one that named the thing, `seen` which the
/// viewer sees.
///
/// # Errors
/// `Rejected`, naming the fields, where there is no such person or thing.
pub async fn lock_both<M>(
    transaction: &DatabaseTransaction,
    viewer: &Viewer,
    user_id: Id,
    (field, what, id): (&str, &str, Id),
    seen: Condition,
) -> Result<(user::Model, M), Error>
where
    M: Subject + Send,
    M::Entity: EntityTrait<Model = M>,
    <M::Entity as EntityTrait>::PrimaryKey: PrimaryKeyTrait<ValueType = Id>,
{
    let person = user::Entity::find_by_id(user_id).filter(viewer.finds_users());
    let person = person.lock_exclusive().one(transaction).await?;
    let thing = M::Entity::find_by_id(id).filter(seen).lock_exclusive().one(transaction).await?;
    let person =
        person.filter(|person| thing.as_ref().is_none_or(|thing| is_same_license(thing.ids().1, person.license_id)));
    let mut form = Form::changing();
    if thing.is_none() {
        form.fault(field, ErrorCode::NotFound, format!("There is no such {what}."));
    }
    if person.is_none() {
        form.fault("userId", ErrorCode::NotFound, "There is no such person.");
    }
    form.finish()?;
    person.zip(thing).ok_or_else(|| Error::internal("a missing row passed the form"))
}

/// Sets the password. Whoever knew the old one is to gain nothing by it any more: every session but the `spared` one ends
/// and every link, and no device takes the PIN until it has seen the new password; API keys go on. Returns how many sessions ended; none
/// where no password was to be removed.
///
/// # Errors
/// Whatever the database says.
pub async fn set_password(
    transaction: &DatabaseTransaction,
    user_id: Id,
    password_hash: Option<String>,
    spared: Option<Id>,
) -> Result<Option<i32>, Error> {
    match password_hash {
        Some(password_hash) => store_password(transaction, user_id, password_hash).await?,
        None => {
            if credential::Entity::delete_by_id(user_id).exec(transaction).await?.rows_affected == 0 {
                return Ok(None);
            }
        }
    }
    forget_devices(transaction, &[user_id]).await?;
    link::revoke(transaction, &[user_id]).await?;
    end_sessions(transaction, user_id, None, spared).await.map(Some)
}

/// Stores the hash of a password, whatever was there before.
///
/// # Errors
/// Whatever the database says.
pub async fn store_password(
    transaction: &DatabaseTransaction,
    user_id: Id,
    password_hash: String,
) -> Result<(), Error> {
    let credential = credential::Model { user_id, password_hash }.into_active_model().reset_all();
    let replace =
        OnConflict::column(credential::Column::UserId).update_column(credential::Column::PasswordHash).to_owned();
    credential::Entity::insert(credential).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(())
}

/// Sets or removes the PIN; false where there was none to remove.
///
/// # Errors
/// Whatever the database says.
pub async fn set_pin(transaction: &DatabaseTransaction, user_id: Id, pin_hash: Option<String>) -> Result<bool, Error> {
    let Some(pin_hash) = pin_hash else {
        return Ok(pin::Entity::delete_by_id(user_id).exec(transaction).await?.rows_affected > 0);
    };
    let pin = pin::Model { user_id, pin_hash, wrong: 0 }.into_active_model().reset_all();
    let replace =
        OnConflict::column(pin::Column::UserId).update_columns([pin::Column::PinHash, pin::Column::Wrong]).to_owned();
    pin::Entity::insert(pin).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(true)
}

/// Ends sessions of a person, all or those of the given ids, but the `spared` one; returns how many.
///
/// # Errors
/// Whatever the database says.
pub async fn end_sessions(
    transaction: &DatabaseTransaction,
    user_id: Id,
    only: Option<&[Id]>,
    spared: Option<Id>,
) -> Result<i32, Error> {
    let mut sessions = session::Entity::delete_many().filter(session::Column::UserId.eq(user_id));
    if let Some(only) = only {
        sessions = sessions.filter(session::Column::Id.is_in(only.iter().copied()));
    }
    if let Some(spared) = spared {
        sessions = sessions.filter(session::Column::Id.ne(spared));
    }
    Ok(number(sessions.exec(transaction).await?.rows_affected))
}

/// Signs people out everywhere: ends their sessions and links, and forgets their devices. Their API keys go on.
///
/// # Errors
/// Whatever the database says.
pub async fn sign_out(transaction: &DatabaseTransaction, people: &[Id]) -> Result<ShutOut, Error> {
    let of_people = session::Column::UserId.is_in(people.iter().copied());
    let sessions = session::Entity::delete_many().filter(of_people).exec(transaction).await?.rows_affected;
    forget_devices(transaction, people).await?;
    let links = link::revoke(transaction, people).await?;
    Ok(ShutOut { sessions: number(sessions), api_keys: 0, links: number(links) })
}

/// Ends everything by which people get in: sessions, API keys, links, devices. The password stays, for one who is activated
/// again.
///
/// # Errors
/// Whatever the database says.
pub async fn shut_out(transaction: &DatabaseTransaction, people: &[Id]) -> Result<ShutOut, Error> {
    let of_people = api_key::Column::UserId.is_in(people.iter().copied());
    let api_keys = api_key::Entity::delete_many().filter(of_people).exec(transaction).await?.rows_affected;
    Ok(ShutOut { api_keys: number(api_keys), ..sign_out(transaction, people).await? })
}

async fn forget_devices(transaction: &DatabaseTransaction, people: &[Id]) -> Result<(), Error> {
    let of_people = device::Column::UserId.is_in(people.iter().copied());
    device::Entity::delete_many().filter(of_people).exec(transaction).await?;
    Ok(())
}

fn number(rows: u64) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
