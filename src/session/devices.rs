//! Devices that have signed in with a password, and may then sign in with a PIN.

use sea_orm::sea_query::{Condition, Expr, IntoCondition};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::auth::token::{self, TokenKind};
use crate::db::{Transaction, rows};
use crate::entity::device::{self, MAX_DEVICES_OF_A_USER, REMEMBERED};
use crate::error::Error;
use crate::scalar::{Id, now};

/// Records the use of a device. Returns false if it is not, or no longer, one of the user's.
pub(super) async fn touch(transaction: &Transaction, user_id: Id, device_token: &str) -> Result<bool, Error> {
    let updated = device::Entity::update_many()
        .col_expr(device::Column::LastUsedAt, Expr::value(now()))
        .filter(remembered(user_id, device_token))
        .exec(transaction)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Registers a new device, and forgets the least recently used ones beyond the limit. Returns the device token.
pub(super) async fn register(transaction: &Transaction, user_id: Id) -> Result<String, Error> {
    let device_token = token::new(TokenKind::Device)?;
    let new = device::Model { id: Id::new(), user_id, token_hash: token::hash(&device_token), last_used_at: now() };
    rows::insert(transaction, new).await?;
    let of_user = device::Column::UserId.eq(user_id).into_condition();
    let oldest = rows::oldest(device::Column::Id, of_user, device::Column::LastUsedAt, MAX_DEVICES_OF_A_USER);
    device::Entity::delete_many().filter(oldest).exec(transaction).await?;
    Ok(device_token)
}

/// Returns the condition for the device of a token, if it is one of the user's and still remembered.
pub(super) fn remembered(user_id: Id, device_token: &str) -> Condition {
    Condition::all()
        .add(device::Column::TokenHash.eq(token::hash(device_token)))
        .add(device::Column::UserId.eq(user_id))
        .add(device::Column::LastUsedAt.gt(now() - REMEMBERED))
}
