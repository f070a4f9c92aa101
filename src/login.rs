//! Logins: usernames and email addresses in one namespace. A login belongs to one user only, as either.

use std::collections::HashMap;

use sea_orm::sea_query::{Condition, Expr, Query, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::db::Transaction;
use crate::db::conditions::any_of;
use crate::entity::{link, login, registration, user};
use crate::scalar::Id;
use crate::text;

/// The number of users read at once in the search for duplicates.
const BATCH_SIZE: u64 = 2_000;
/// The most duplicates that are listed.
const MAX_LISTED: usize = 20;

/// A login that a user had before usernames and email addresses became one namespace, and that belongs to another user as well.
#[derive(Debug, PartialEq, Eq)]
pub struct Duplicate {
    pub user_id: Id,
    /// `username` or `email`.
    pub field: &'static str,
    pub login: String,
    /// The user to whom the login belongs.
    pub holder_id: Id,
}

/// All duplicates, of which the first 20 are listed.
#[derive(Debug, Default)]
pub struct Duplicates {
    pub count: u64,
    pub first: Vec<Duplicate>,
}

impl Duplicates {
    /// Returns a line for each listed duplicate, and one for the number of the others.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let line = |Duplicate { user_id, field, login, holder_id }: &Duplicate| {
            format!("{field} {login:?} of user {} belongs to user {}", user_id.0, holder_id.0)
        };
        let rest = self.count.saturating_sub(self.first.len() as u64);
        self.first.iter().map(line).chain((rest > 0).then(|| format!("and {rest} more")))
    }
}

/// Returns the condition that a user is the one to whom a login belongs.
#[must_use]
pub fn belongs_to_login(key: &str) -> SimpleExpr {
    let mut holder = Query::select();
    holder.column(login::Column::UserId).from(login::Entity).and_where(login::Column::Key.eq(key));
    user::Column::Id.in_subquery(holder)
}

/// Returns the user to whom each login key belongs. Keys that are free are missing from the result.
pub async fn find_holders(db: &impl ConnectionTrait, keys: Vec<String>) -> Result<HashMap<String, Id>, DbErr> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows =
        login::Entity::find().filter(any_of(db.get_database_backend(), login::Column::Key, keys)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.user_id)).collect())
}

/// Changes the keys of a user's logins to their current form if that is free. If another user has the key, the user keeps the
/// former one and signs in by it as before. Links that are bound to the email address are updated with it.
pub async fn update_login_keys(
    transaction: &Transaction,
    old: &user::Model,
    new: &mut user::Model,
) -> Result<(), DbErr> {
    let keys = [&new.username_key, &new.email_key].into_iter().flatten().cloned().collect();
    let holders = find_holders(transaction, keys).await?;
    let is_held = |key: &Option<String>| {
        key.as_ref().and_then(|key| holders.get(key)).is_some_and(|holder_id| *holder_id != old.id)
    };
    if is_held(&new.username_key) {
        new.username_key.clone_from(&old.username_key);
    }
    if is_held(&new.email_key) {
        new.email_key.clone_from(&old.email_key);
    }
    if let (Some(old_key), Some(new_key)) = (&old.email_key, &new.email_key)
        && old_key != new_key
    {
        let links = link::Entity::update_many().col_expr(link::Column::EmailKey, Expr::value(new_key.as_str()));
        let links = links.filter(link::Column::UserId.eq(old.id)).filter(link::Column::EmailKey.eq(old_key.as_str()));
        links.exec(transaction).await?;
    }
    Ok(())
}

/// Changes the email keys of pending registrations to their current form. If two keys become the same, the registration that
/// already had the key remains.
pub async fn update_registration_keys(transaction: &Transaction) -> Result<(), DbErr> {
    let is_stale = |row: &registration::Model| row.email_key != text::canonical_email(&row.email);
    for row in registration::Entity::find().all(transaction).await?.into_iter().filter(is_stale) {
        let key = text::canonical_email(&row.email);
        if registration::Entity::find_by_id(&key).one(transaction).await?.is_some() {
            registration::Entity::delete_by_id(&row.email_key).exec(transaction).await?;
        } else {
            let update =
                registration::Entity::update_many().col_expr(registration::Column::EmailKey, Expr::value(key.as_str()));
            update.filter(registration::Column::EmailKey.eq(row.email_key)).exec(transaction).await?;
        }
    }
    Ok(())
}

/// Finds every login that identifies two users, in a stable order.
pub async fn find_duplicates(db: &impl ConnectionTrait) -> Result<Duplicates, DbErr> {
    let mut found = Duplicates::default();
    let mut last = None;
    loop {
        let rest = last.map(|last| user::Column::Id.gt::<Id>(last));
        let users: Vec<(Id, Option<String>, Option<String>)> = user::Entity::find()
            .select_only()
            .columns([user::Column::Id, user::Column::Username, user::Column::Email])
            .filter(Condition::all().add_option(rest))
            .order_by_asc(user::Column::Id)
            .limit(BATCH_SIZE)
            .into_tuple()
            .all(db)
            .await?;
        let Some((end, ..)) = users.last() else { return Ok(found) };
        last = Some(*end);
        let logins: Vec<(Id, &str, String, String)> = users
            .into_iter()
            .flat_map(|(id, username, email)| [(id, "username", username), (id, "email", email)])
            .filter_map(|(id, field, login)| login.map(|login| (id, field, text::canonical_login(&login), login)))
            .collect();
        let holders = find_holders(db, logins.iter().map(|(_, _, key, _)| key.clone()).collect()).await?;
        for (user_id, field, key, login) in logins {
            let Some(holder_id) = holders.get(&key).copied().filter(|holder_id| *holder_id != user_id) else {
                continue;
            };
            found.count += 1;
            if found.first.len() < MAX_LISTED {
                found.first.push(Duplicate { user_id, field, login, holder_id });
            }
        }
    }
}
