//! Credentials of users: passwords, PINs, devices, sessions and API keys. Each change is one step of the caller's transaction.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::auth::one_time_link;
use crate::db::conditions::{Lock, waits_in_line};
use crate::db::{Transaction, rows};
use crate::entity::{api_key, credential, device, pin, session, user};
use crate::error::Error;
use crate::scalar::Id;

/// The numbers of sessions, API keys and links that were ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevokedAccess {
    pub sessions: i32,
    pub api_keys: i32,
    pub links: i32,
}

/// Locks and reads the row of a user who is still active. Everything that grants access to a user and everything that revokes
/// it takes this lock, so that they run one after the other. `None` if the user is inactive or no longer exists.
pub async fn lock_if_active(transaction: &Transaction, user_id: Id) -> Result<Option<user::Model>, Error> {
    let active = user::Entity::find_by_id(user_id).filter(user::Column::IsActive.eq(true));
    let turn = waits_in_line(transaction.get_database_backend(), Lock::Exclusive, user_id);
    Ok(active.filter(turn).lock_exclusive().one(transaction).await?)
}

/// Sets the password, or removes it if the hash is `None`. Knowledge of the old password must be of no more use: every link ends,
/// and so does every session but `except`, and no device accepts the PIN until it has signed in with the new password. API keys
/// remain valid. Returns the number of sessions that ended; `None` if there was no password to remove.
pub async fn set_password(
    transaction: &Transaction,
    user_id: Id,
    password_hash: Option<String>,
    except: Option<Id>,
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
    end_sessions(transaction, user_id, None, except).await.map(Some)
}

/// Stores the hash of a password and replaces an existing one.
pub async fn store_password(transaction: &Transaction, user_id: Id, password_hash: String) -> Result<(), Error> {
    let credential = rows::active(credential::Model { user_id, password_hash });
    let replace =
        OnConflict::column(credential::Column::UserId).update_column(credential::Column::PasswordHash).to_owned();
    credential::Entity::insert(credential).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(())
}

/// Sets or removes the PIN; returns false if there was none to remove.
pub async fn set_pin(transaction: &Transaction, user_id: Id, pin_hash: Option<String>) -> Result<bool, Error> {
    let Some(pin_hash) = pin_hash else {
        return Ok(pin::Entity::delete_by_id(user_id).exec(transaction).await?.rows_affected > 0);
    };
    let pin = rows::active(pin::Model { user_id, pin_hash, wrong: 0 });
    let replace =
        OnConflict::column(pin::Column::UserId).update_columns([pin::Column::PinHash, pin::Column::Wrong]).to_owned();
    pin::Entity::insert(pin).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(true)
}

/// Ends sessions of a user, all or those with the given IDs, except `except`; returns their number.
pub async fn end_sessions(
    transaction: &Transaction,
    user_id: Id,
    session_ids: Option<&[Id]>,
    except: Option<Id>,
) -> Result<i32, Error> {
    let mut sessions = session::Entity::delete_many().filter(session::Column::UserId.eq(user_id));
    if let Some(session_ids) = session_ids {
        sessions = sessions.filter(session::Column::Id.is_in(session_ids.iter().copied()));
    }
    if let Some(except) = except {
        sessions = sessions.filter(session::Column::Id.ne(except));
    }
    Ok(count(sessions.exec(transaction).await?.rows_affected))
}

/// Signs users out everywhere: ends their sessions and links, and forgets their devices. API keys remain valid.
pub async fn sign_out(transaction: &Transaction, users: &[Id]) -> Result<RevokedAccess, Error> {
    let of_users = session::Column::UserId.is_in(users.iter().copied());
    let sessions = session::Entity::delete_many().filter(of_users).exec(transaction).await?.rows_affected;
    forget_devices(transaction, users).await?;
    let links = one_time_link::revoke(transaction, users).await?;
    Ok(RevokedAccess { sessions: count(sessions), api_keys: 0, links: count(links) })
}

/// Ends everything by which users have access: sessions, API keys, links and devices. The password is kept, in case a user is
/// activated again.
pub async fn revoke_access(transaction: &Transaction, users: &[Id]) -> Result<RevokedAccess, Error> {
    let of_users = api_key::Column::UserId.is_in(users.iter().copied());
    let api_keys = api_key::Entity::delete_many().filter(of_users).exec(transaction).await?.rows_affected;
    Ok(RevokedAccess { api_keys: count(api_keys), ..sign_out(transaction, users).await? })
}

/// Forgets the devices of users: none of them accepts the PIN until it has signed in with the password again. Returns their
/// number.
pub async fn forget_devices(transaction: &Transaction, users: &[Id]) -> Result<i32, Error> {
    let of_users = device::Column::UserId.is_in(users.iter().copied());
    Ok(count(device::Entity::delete_many().filter(of_users).exec(transaction).await?.rows_affected))
}

/// Revokes every API key of a user whose row is locked; returns the keys as they were, oldest first.
pub async fn revoke_api_keys(transaction: &Transaction, user_id: Id) -> Result<Vec<api_key::Model>, Error> {
    let of_user = api_key::Column::UserId.eq(user_id);
    let keys = api_key::Entity::find().filter(of_user.clone()).order_by_asc(api_key::Column::Id);
    let keys = keys.all(transaction).await?;
    api_key::Entity::delete_many().filter(of_user).exec(transaction).await?;
    Ok(keys)
}

fn count(rows: u64) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
