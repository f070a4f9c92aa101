//! Mutations that change several users.

use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Actor, Target, actor_of, begin_transaction, lock};
use crate::access::Viewer;
use crate::db::conditions::one_of;
use crate::db::{Db, Transaction};
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

/// Begins a mutation that changes several users: locks their rows and that of the actor, by ID.
///
/// # Errors
/// As [`begin`](super::begin).
pub async fn begin_on_all(db: &Db, viewer: &Viewer, user_ids: Vec<Id>) -> Result<(Transaction, Actor), Error> {
    let ids = user_ids.into_iter().chain([viewer.signed_in()?.user_id]);
    let transaction = begin_transaction(db).await?;
    let of_ids = one_of(transaction.get_database_backend(), user::Column::Id, ids);
    let rows = user::Entity::find().select_only().column(user::Column::Id).filter(of_ids);
    rows.order_by_asc(user::Column::Id).lock_exclusive().into_tuple::<Id>().all(&transaction).await?;
    let row = lock(&transaction, viewer, Target::LockedActor, Vec::new()).await?.ok_or(Error::Unauthenticated)?;
    let actor = actor_of(&row, viewer)?;
    Ok((transaction, actor))
}
