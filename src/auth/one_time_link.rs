//! Links that let a person in once, each bound to the person, its purpose and the address that the person had.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, IntoActiveModel,
    Iterable, JoinType, QueryFilter, QuerySelect, RelationTrait,
};

use crate::access::active_in_valid_license;
use crate::auth::token::{self, TokenKind};
use crate::db::Db;
use crate::entity::link::{self, Purpose};
use crate::entity::{invitation, user};
use crate::error::Error;
use crate::i18n::language::Language;
use crate::scalar::{Id, Url, now};

/// A link that is of use, and the person whom it lets in.
#[derive(FromQueryResult)]
pub struct LinkOwner {
    #[sea_orm(nested)]
    pub person: user::Model,
    pub is_mailed: bool,
    pub next_url: Option<Url>,
    pub new_email: Option<String>,
}

/// The path of the page that links of a purpose lead to.
#[must_use]
pub fn path(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Activation => "/activate",
        Purpose::PasswordReset => "/reset",
        Purpose::EmailChange => "/confirm-email",
    }
}

/// Where the link of a token leads, at the server's public address: to a page in a language or, without one, in that of the
/// browser. No browser sends what stands behind the `#`.
#[must_use]
pub fn url(public_url: &str, purpose: Purpose, language: Option<Language>, token: &str) -> String {
    let query = language.map(|language| format!("?lang={}", language.tag())).unwrap_or_default();
    format!("{}{}{query}#{token}", public_url.trim_end_matches('/'), path(purpose))
}

/// A link of a person, without what some have.
#[must_use]
pub fn of(person: &user::Model, purpose: Purpose, token: &str) -> link::Model {
    link::Model {
        user_id: person.id,
        purpose,
        token_hash: token::hash(token),
        email_key: person.email_key.clone(),
        expires_at: now() + purpose.lives(),
        is_mailed: false,
        next_url: None,
        new_email: None,
    }
}

/// Makes a link by which a person takes the account into use, for whoever runs the server to hand over; returns its token,
/// which is shown this once.
pub async fn issue(transaction: &DatabaseTransaction, person: &user::Model) -> Result<String, Error> {
    let token = token::new(TokenKind::Link)?;
    expire_invitations(transaction, &[person.id]).await?;
    upsert(transaction, of(person, Purpose::Activation, &token)).await?;
    Ok(token)
}

/// Ends the invitations of some people that they have not accepted.
async fn expire_invitations(transaction: &DatabaseTransaction, people: &[Id]) -> Result<(), Error> {
    let now = now();
    invitation::Entity::update_many()
        .col_expr(invitation::Column::ExpiresAt, Expr::value(now))
        .filter(invitation::Column::UserId.is_in(people.iter().copied()))
        .filter(invitation::Column::AcceptedAt.is_null())
        .filter(invitation::Column::ExpiresAt.gt(now))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Stores a link in the place of an older one.
pub async fn upsert(transaction: &DatabaseTransaction, new: link::Model) -> Result<(), Error> {
    let replace = OnConflict::columns([link::Column::UserId, link::Column::Purpose])
        .update_columns(link::Column::iter())
        .to_owned();
    let new = new.into_active_model().reset_all();
    link::Entity::insert(new).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(())
}

/// Whom a link lets in, if it is still of use.
pub async fn find(db: &Db, purpose: Purpose, secret: &str) -> Result<Option<LinkOwner>, Error> {
    if TokenKind::of(secret) != Some(TokenKind::Link) {
        return Ok(None);
    }
    let same_address = Expr::col((link::Entity, link::Column::EmailKey))
        .equals((user::Entity, user::Column::EmailKey))
        .or(link::Column::EmailKey.is_null());
    let found = user::Entity::find()
        .columns([link::Column::IsMailed, link::Column::NextUrl, link::Column::NewEmail])
        .join_rev(JoinType::InnerJoin, link::Relation::User.def())
        .join(JoinType::InnerJoin, user::Relation::License.def())
        .filter(link::Column::TokenHash.eq(token::hash(secret)))
        .filter(link::Column::Purpose.eq(purpose))
        .filter(link::Column::ExpiresAt.gt(now()))
        .filter(same_address)
        .filter(active_in_valid_license())
        .into_model()
        .one(db.read())
        .await?;
    Ok(found)
}

/// Uses a link up; false where somebody was quicker, or it is dead.
pub async fn consume(transaction: &DatabaseTransaction, user_id: Id, secret: &str) -> Result<bool, Error> {
    let used = link::Entity::delete_many()
        .filter(link::Column::TokenHash.eq(token::hash(secret)))
        .filter(link::Column::UserId.eq(user_id))
        .exec(transaction)
        .await?;
    Ok(used.rows_affected > 0)
}

/// Lets a link live from now on for as long as such links live, because it is about to be sent; false where it is dead.
pub async fn renew(db: &impl ConnectionTrait, purpose: Purpose, token: &str) -> Result<bool, Error> {
    let renewed = link::Entity::update_many()
        .col_expr(link::Column::ExpiresAt, Expr::value(now() + purpose.lives()))
        .filter(link::Column::TokenHash.eq(token::hash(token)))
        .filter(link::Column::Purpose.eq(purpose))
        .exec(db)
        .await?;
    Ok(renewed.rows_affected > 0)
}

/// Ends a link that is of no more use.
pub async fn revoke_one(db: &impl ConnectionTrait, token: &str) -> Result<(), Error> {
    link::Entity::delete_many().filter(link::Column::TokenHash.eq(token::hash(token))).exec(db).await?;
    Ok(())
}

/// Ends every link of some people, and with them their invitations; returns how many links there were.
pub async fn revoke(transaction: &DatabaseTransaction, people: &[Id]) -> Result<u64, Error> {
    expire_invitations(transaction, people).await?;
    let of_people = link::Column::UserId.is_in(people.iter().copied());
    Ok(link::Entity::delete_many().filter(of_people).exec(transaction).await?.rows_affected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_the_language_before_its_secret() {
        let base = "https://people.example.org/roster";
        for public_url in [base.to_owned(), format!("{base}/")] {
            let french = url(&public_url, Purpose::Activation, Some(Language::French), "rol_x");
            assert_eq!(french, "https://people.example.org/roster/activate?lang=fr#rol_x");
            assert_eq!(
                url(&public_url, Purpose::PasswordReset, None, "rol_x"),
                "https://people.example.org/roster/reset#rol_x"
            );
        }
    }
}
