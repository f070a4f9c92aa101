//! People who want to register themselves: kept apart, and entered once they have shown that mail reaches them.

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationTrait};

use crate::access::in_force;
use crate::auth::token::{self, TokenKind};
use crate::db::Db;
use crate::entity::registration;
use crate::error::Error;
use crate::scalar::now;

/// Who is to be entered by a link, if it is still of use.
pub async fn find(db: &Db, secret: &str) -> Result<Option<registration::Model>, Error> {
    if TokenKind::of(secret) != Some(TokenKind::Link) {
        return Ok(None);
    }
    let found = registration::Entity::find()
        .join(JoinType::InnerJoin, registration::Relation::License.def())
        .filter(registration::Column::TokenHash.eq(token::hash(secret)))
        .filter(registration::Column::ExpiresAt.gt(now()))
        .filter(in_force())
        .one(db.read())
        .await?;
    Ok(found)
}

/// Uses a link up; false where somebody was quicker, or it is dead.
pub async fn consume(transaction: &DatabaseTransaction, secret: &str) -> Result<bool, Error> {
    let of_token = registration::Column::TokenHash.eq(token::hash(secret));
    Ok(registration::Entity::delete_many().filter(of_token).exec(transaction).await?.rows_affected > 0)
}
