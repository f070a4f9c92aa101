//! Users. The rules of each mutation and its result are in the submodule of its subject. The GraphQL API is in `query.rs`,
//! `search/`, `resolve.rs` and `mutation.rs`, and its inputs in `filter.rs`, `order.rs`, `user_by.rs` and `input.rs`. The
//! mutations that change how a user signs in or out are in `session/`.

mod administrators;
pub mod avatar;
mod conflicts;
pub mod create;
pub mod export;
pub mod filter;
pub mod filter_sql;
pub mod foreign;
pub mod input;
pub mod invitation;
pub mod lifecycle;
pub mod mutation;
pub mod never_invited;
pub mod order;
pub mod query;
pub mod resolve;
pub mod search;
pub mod secrets;
pub mod update;
mod user_by;

use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter};

use crate::access::Viewer;
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

async fn find(db: &impl ConnectionTrait, viewer: &Viewer, id: Id) -> Result<user::Model, Error> {
    let found = user::Entity::find_by_id(id).filter(viewer.visible_users()).one(db).await?;
    found.ok_or_else(|| Error::not_found("id", "user"))
}
