//! Links that let a person in once, each bound to the person, its purpose and the address that the person had.

use chrono::TimeDelta;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, JoinType, QueryFilter,
    QuerySelect, RelationTrait,
};

use crate::access::active_in_valid_license;
use crate::db::Db;
use crate::entity::link::{self, Purpose};
use crate::entity::user;
use crate::error::Error;
use crate::scalar::{Id, now};
use crate::token::{self, Kind};

/// How long a link to activate an account lives.
const LIVES: TimeDelta = TimeDelta::days(14);

/// Makes a link, in the place of an older one; returns its token, which is shown this once.
///
/// # Errors
/// Whatever the database says.
pub async fn make(transaction: &DatabaseTransaction, person: &user::Model, purpose: Purpose) -> Result<String, Error> {
    let secret = token::new(Kind::Link)?;
    let new = link::Model {
        user_id: person.id,
        purpose,
        token_hash: token::hash(&secret),
        email_key: person.email_key.clone(),
        expires_at: now() + LIVES,
    };
    let replace = OnConflict::columns([link::Column::UserId, link::Column::Purpose])
        .update_columns([link::Column::TokenHash, link::Column::EmailKey, link::Column::ExpiresAt])
        .to_owned();
    let new = new.into_active_model().reset_all();
    link::Entity::insert(new).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(secret)
}

/// Whom a link lets in, if it is still of use.
///
/// # Errors
/// Whatever the database says.
pub async fn find(db: &Db, purpose: Purpose, secret: &str) -> Result<Option<user::Model>, Error> {
    if Kind::of(secret) != Some(Kind::Link) {
        return Ok(None);
    }
    let same_address = Expr::col((link::Entity, link::Column::EmailKey))
        .equals((user::Entity, user::Column::EmailKey))
        .or(link::Column::EmailKey.is_null());
    let found = user::Entity::find()
        .join_rev(JoinType::InnerJoin, link::Relation::User.def())
        .join(JoinType::InnerJoin, user::Relation::License.def())
        .filter(link::Column::TokenHash.eq(token::hash(secret)))
        .filter(link::Column::Purpose.eq(purpose))
        .filter(link::Column::ExpiresAt.gt(now()))
        .filter(same_address)
        .filter(active_in_valid_license())
        .one(db.read())
        .await?;
    Ok(found)
}

/// Uses a link up; false where somebody was quicker, or it is dead.
///
/// # Errors
/// Whatever the database says.
pub async fn consume(transaction: &DatabaseTransaction, user_id: Id, secret: &str) -> Result<bool, Error> {
    let used = link::Entity::delete_many()
        .filter(link::Column::TokenHash.eq(token::hash(secret)))
        .filter(link::Column::UserId.eq(user_id))
        .exec(transaction)
        .await?;
    Ok(used.rows_affected > 0)
}

/// Ends every link of some people; returns how many there were.
///
/// # Errors
/// Whatever the database says.
pub async fn revoke(transaction: &DatabaseTransaction, people: &[Id]) -> Result<u64, Error> {
    let of_people = link::Column::UserId.is_in(people.iter().copied());
    Ok(link::Entity::delete_many().filter(of_people).exec(transaction).await?.rows_affected)
}
