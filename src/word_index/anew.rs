//! Brings what is derived up to date.

use sea_orm::sea_query::Condition;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::follow;
use crate::entity::{search_hit, user};
use crate::login;
use crate::scalar::Id;

/// How many people are read at once to be looked through.
const ROWS_AT_ONCE: u64 = 500;

/// Derives again what follows from the rest, for everybody of whom it is not up to date, as after a migration that brought a
/// new column for it, and enters the words of all where there are none yet. A login that somebody else has keeps its former key.
///
/// # Errors
/// Whatever the database says.
pub async fn derive_anew(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    login::settle_registrations(transaction).await?;
    let is_entered = search_hit::Entity::find().one(transaction).await?.is_some();
    let mut last = None;
    loop {
        let rest = last.map(|last| user::Column::Id.gt::<Id>(last));
        let people = user::Entity::find().filter(Condition::all().add_option(rest)).order_by_asc(user::Column::Id);
        let people = people.limit(ROWS_AT_ONCE).all(transaction).await?;
        let Some(end) = people.last() else { return Ok(()) };
        last = Some(end.id);
        let mut changes: Vec<_> = people.into_iter().map(|old| (derived(&old), old)).collect();
        for (new, old) in changes.iter_mut().filter(|(new, old)| new != old) {
            login::settle(transaction, old, new).await?;
            if new != old {
                new.clone().into_active_model().reset_all().update(transaction).await?;
            }
        }
        follow(transaction, changes.iter().map(|(new, old)| (Some(old).filter(|_| is_entered), Some(new)))).await?;
    }
}

fn derived(old: &user::Model) -> user::Model {
    let mut new = old.clone();
    new.derive_rest();
    new
}
