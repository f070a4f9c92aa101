//! Pending registrations: users who register themselves are stored separately, and created once they have confirmed that they
//! receive email.

use sea_orm::{ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationTrait};

use crate::access::in_force;
use crate::auth::token::{self, TokenKind};
use crate::db::{Db, Transaction};
use crate::entity::registration;
use crate::error::Error;
use crate::scalar::now;

/// Returns the registration of a link that is still valid: it has not expired, and the license is in force.
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

/// Uses up a link; returns false if another request used it first, or if it no longer exists.
pub async fn consume(transaction: &Transaction, secret: &str) -> Result<bool, Error> {
    let of_token = registration::Column::TokenHash.eq(token::hash(secret));
    Ok(registration::Entity::delete_many().filter(of_token).exec(transaction).await?.rows_affected > 0)
}
