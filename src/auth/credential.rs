//! What a person proves by who he is: password, PIN, devices, sessions, API keys. Each change is one step of a transaction
//! of somebody else's.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};

use crate::auth::one_time_link;
use crate::db::conditions::{Lock, waits_in_line};
use crate::entity::{api_key, credential, device, pin, session, user};
use crate::error::Error;
use crate::scalar::Id;

/// What a person had who was shut out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevokedAccess {
    pub sessions: i32,
    pub api_keys: i32,
    pub links: i32,
}

/// Locks and reads the row of a person, who must not have been shut out since: it is the lock under which what lets a person
/// in and what shuts him out take turns. None where the person is not active any more, or not there.
pub async fn lock_if_active(transaction: &DatabaseTransaction, user_id: Id) -> Result<Option<user::Model>, Error> {
    let active = user::Entity::find_by_id(user_id).filter(user::Column::IsActive.eq(true));
    let turn = waits_in_line(transaction.get_database_backend(), Lock::Exclusive, user_id);
    Ok(active.filter(turn).lock_exclusive().one(transaction).await?)
}

/// Sets the password. Whoever knew the old one is to gain nothing by it any more: every session but the `spared` one ends
/// and every link, and no device takes the PIN until it has seen the new password; API keys go on. Returns how many sessions ended; none
/// where no password was to be removed.
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
    one_time_link::revoke(transaction, &[user_id]).await?;
    end_sessions(transaction, user_id, None, spared).await.map(Some)
}

/// Stores the hash of a password, whatever was there before.
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
pub async fn sign_out(transaction: &DatabaseTransaction, people: &[Id]) -> Result<RevokedAccess, Error> {
    let of_people = session::Column::UserId.is_in(people.iter().copied());
    let sessions = session::Entity::delete_many().filter(of_people).exec(transaction).await?.rows_affected;
    forget_devices(transaction, people).await?;
    let links = one_time_link::revoke(transaction, people).await?;
    Ok(RevokedAccess { sessions: number(sessions), api_keys: 0, links: number(links) })
}

/// Ends everything by which people get in: sessions, API keys, links, devices. The password stays, for one who is activated
/// again.
pub async fn shut_out(transaction: &DatabaseTransaction, people: &[Id]) -> Result<RevokedAccess, Error> {
    let of_people = api_key::Column::UserId.is_in(people.iter().copied());
    let api_keys = api_key::Entity::delete_many().filter(of_people).exec(transaction).await?.rows_affected;
    Ok(RevokedAccess { api_keys: number(api_keys), ..sign_out(transaction, people).await? })
}

/// Forgets the devices of some people: none of them signs in by PIN until it has seen the password again. Returns how many.
pub async fn forget_devices(transaction: &DatabaseTransaction, people: &[Id]) -> Result<i32, Error> {
    let of_people = device::Column::UserId.is_in(people.iter().copied());
    Ok(number(device::Entity::delete_many().filter(of_people).exec(transaction).await?.rows_affected))
}

/// Revokes every API key of a user, whose row is locked; returns them as they were, oldest first.
pub async fn revoke_api_keys(transaction: &DatabaseTransaction, user_id: Id) -> Result<Vec<api_key::Model>, Error> {
    let of_user = api_key::Column::UserId.eq(user_id);
    let keys = api_key::Entity::find().filter(of_user.clone()).order_by_asc(api_key::Column::Id);
    let keys = keys.all(transaction).await?;
    api_key::Entity::delete_many().filter(of_user).exec(transaction).await?;
    Ok(keys)
}

fn number(rows: u64) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
