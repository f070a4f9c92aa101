//! One-time links: let a user in once. Each is bound to the user, its purpose and the email address that the user had.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Iterable, JoinType, QueryFilter, QuerySelect,
    RelationTrait,
};

use crate::access::active_in_valid_license;
use crate::auth::token::{self, TokenKind};
use crate::db::{Db, Transaction, rows};
use crate::entity::link::{self, Purpose};
use crate::entity::{invitation, user};
use crate::error::Error;
use crate::i18n::language::Language;
use crate::scalar::{Id, Url, now};

/// A valid link, and the user whom it lets in.
#[derive(FromQueryResult)]
pub struct LinkOwner {
    #[sea_orm(nested)]
    pub user: user::Model,
    pub is_mailed: bool,
    pub next_url: Option<Url>,
    pub new_email: Option<String>,
}

/// Returns the path of the page to which links of a purpose lead.
#[must_use]
pub fn path(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Activation => "/activate",
        Purpose::PasswordReset => "/reset",
        Purpose::EmailChange => "/confirm-email",
    }
}

/// Returns the URL of a link with a token, at the server's public URL. The page has the given language or, without one, that of
/// the browser. Browsers do not send the part after the `#`.
#[must_use]
pub fn url(public_url: &str, purpose: Purpose, language: Option<Language>, token: &str) -> String {
    let query = language.map(|language| format!("?lang={}", language.tag())).unwrap_or_default();
    format!("{}{}{query}#{token}", public_url.trim_end_matches('/'), path(purpose))
}

/// Creates a link of a user, without the optional parts.
#[must_use]
pub fn build(user: &user::Model, purpose: Purpose, token: &str) -> link::Model {
    link::Model {
        user_id: user.id,
        purpose,
        token_hash: token::hash(token),
        email_key: user.email_key.clone(),
        expires_at: now() + purpose.lives(),
        is_mailed: false,
        next_url: None,
        new_email: None,
    }
}

/// Issues an activation link for a user, to be handed over by the administrator of the server. Returns its token, which is
/// shown only once.
pub async fn issue(transaction: &Transaction, user: &user::Model) -> Result<String, Error> {
    let token = token::new(TokenKind::Link)?;
    expire_invitations(transaction, &[user.id]).await?;
    upsert(transaction, build(user, Purpose::Activation, &token)).await?;
    Ok(token)
}

/// Expires the invitations of users that have not been accepted.
async fn expire_invitations(transaction: &Transaction, users: &[Id]) -> Result<(), Error> {
    let now = now();
    invitation::Entity::update_many()
        .col_expr(invitation::Column::ExpiresAt, Expr::value(now))
        .filter(invitation::Column::UserId.is_in(users.iter().copied()))
        .filter(invitation::Column::AcceptedAt.is_null())
        .filter(invitation::Column::ExpiresAt.gt(now))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Stores a link and replaces an older one of the same user and purpose.
pub async fn upsert(transaction: &Transaction, new: link::Model) -> Result<(), Error> {
    let replace = OnConflict::columns([link::Column::UserId, link::Column::Purpose])
        .update_columns(link::Column::iter())
        .to_owned();
    let new = rows::active(new);
    link::Entity::insert(new).on_conflict(replace).exec_without_returning(transaction).await?;
    Ok(())
}

/// Returns the owner of a link that is still valid: it has not expired, the user's email address is the one to which it is
/// bound, and the user is active in a license that is in force.
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

/// Uses up a link; returns false if another request used it first, or if it no longer exists.
pub async fn consume(transaction: &Transaction, user_id: Id, secret: &str) -> Result<bool, Error> {
    let used = link::Entity::delete_many()
        .filter(link::Column::TokenHash.eq(token::hash(secret)))
        .filter(link::Column::UserId.eq(user_id))
        .exec(transaction)
        .await?;
    Ok(used.rows_affected > 0)
}

/// Renews the lifetime of a link that is about to be sent; returns false if it no longer exists.
pub async fn renew(db: &impl ConnectionTrait, purpose: Purpose, token: &str) -> Result<bool, Error> {
    let renewed = link::Entity::update_many()
        .col_expr(link::Column::ExpiresAt, Expr::value(now() + purpose.lives()))
        .filter(link::Column::TokenHash.eq(token::hash(token)))
        .filter(link::Column::Purpose.eq(purpose))
        .exec(db)
        .await?;
    Ok(renewed.rows_affected > 0)
}

/// Deletes a link that is no longer needed.
pub async fn revoke_one(db: &impl ConnectionTrait, token: &str) -> Result<(), Error> {
    link::Entity::delete_many().filter(link::Column::TokenHash.eq(token::hash(token))).exec(db).await?;
    Ok(())
}

/// Deletes every link of users and expires their invitations; returns the number of links.
pub async fn revoke(transaction: &Transaction, users: &[Id]) -> Result<u64, Error> {
    expire_invitations(transaction, users).await?;
    let of_users = link::Column::UserId.is_in(users.iter().copied());
    Ok(link::Entity::delete_many().filter(of_users).exec(transaction).await?.rows_affected)
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
