//! Updates of the search index.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Query};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait,
};

use super::{keys, short, words};
use crate::db::conditions::any_of;
use crate::entity::{search_hit, search_key, search_word, user};
use crate::scalar::Id;

/// The maximum number of rows that a statement writes.
const ROWS_AT_ONCE: usize = 2_000;

/// A word of a user: the word, the short form of the license's ID, and the user's ID.
type Posting<'a> = (&'a str, i32, Id);

/// Updates the index for changes of users, each as the user was before and is after. `None` stands for a user who does not exist
/// yet, or any more, and has no words. Deletes words that no user has any more.
pub async fn update<'a>(
    transaction: &DatabaseTransaction,
    changes: impl IntoIterator<Item = (Option<&'a user::Model>, Option<&'a user::Model>)>,
) -> Result<(), DbErr> {
    let (mut come, mut gone): (Vec<Posting<'a>>, Vec<Posting<'a>>) = (Vec::new(), Vec::new());
    for (before, after) in changes {
        let (had, has) = (postings(before), postings(after));
        come.extend(has.difference(&had));
        gone.extend(had.difference(&has));
    }
    if come.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let all: BTreeSet<&str> = come.iter().chain(&gone).map(|(word, ..)| *word).collect();
    // A word is not deleted while another user gets it.
    let lock = if gone.is_empty() { LockType::KeyShare } else { LockType::Update };
    let mut known = look_up(transaction, &all, lock).await?;
    insert_missing(transaction, come.iter().map(|(word, ..)| *word), &mut known).await?;
    let rows: Vec<_> = come.iter().filter_map(|hit| row(hit, &known)).collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        search_hit::Entity::insert_many(rows).on_conflict_do_nothing().exec_without_returning(transaction).await?;
    }
    if gone.is_empty() {
        return Ok(());
    }
    for hit in &gone {
        let Some(row) = row(hit, &known) else { continue };
        search_hit::Entity::delete_by_id((row.word_id, row.license, row.user_id)).exec(transaction).await?;
    }
    prune(transaction, gone.iter().filter_map(|(word, ..)| known.get(*word).copied()).collect()).await
}

fn postings(person: Option<&user::Model>) -> BTreeSet<Posting<'_>> {
    let Some(person) = person else { return BTreeSet::new() };
    let (license, id) = (short(person.license_id), person.id);
    words(&person.search_key).into_iter().map(|word| (word, license, id)).collect()
}

fn row(hit: &Posting<'_>, known: &BTreeMap<String, i32>) -> Option<search_hit::Model> {
    let (word, license, user_id) = *hit;
    Some(search_hit::Model { word_id: *known.get(word)?, license, user_id })
}

/// Returns the IDs of the words that exist, and locks their rows.
async fn look_up(
    transaction: &DatabaseTransaction,
    words: &BTreeSet<&str>,
    lock: LockType,
) -> Result<BTreeMap<String, i32>, DbErr> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut known = BTreeMap::new();
    for words in words.chunks(ROWS_AT_ONCE) {
        let is_one = any_of(transaction.get_database_backend(), search_word::Column::Word, words.to_vec());
        let rows = search_word::Entity::find().filter(is_one).order_by_asc(search_word::Column::Id).lock(lock);
        known.extend(rows.all(transaction).await?.into_iter().map(|row| (row.word, row.id)));
    }
    Ok(known)
}

/// Inserts the words that do not exist yet, with their keys. A word that another transaction inserts at the same time is looked
/// up; it may have been deleted again by then, so this repeats.
async fn insert_missing(
    transaction: &DatabaseTransaction,
    words: impl Iterator<Item = &str>,
    known: &mut BTreeMap<String, i32>,
) -> Result<(), DbErr> {
    let mut missing: BTreeSet<&str> = words.filter(|word| !known.contains_key(*word)).collect();
    while !missing.is_empty() {
        known.extend(insert(transaction, &missing).await?);
        missing.retain(|word| !known.contains_key(*word));
        if !missing.is_empty() {
            known.extend(look_up(transaction, &missing, LockType::KeyShare).await?);
            missing.retain(|word| !known.contains_key(*word));
        }
    }
    Ok(())
}

/// Inserts the words that no other transaction has inserted, with their keys. Returns the inserted words with their IDs.
async fn insert(transaction: &DatabaseTransaction, words: &BTreeSet<&str>) -> Result<BTreeMap<String, i32>, DbErr> {
    let mut entered: BTreeMap<String, i32> = BTreeMap::new();
    for words in words.iter().copied().collect::<Vec<_>>().chunks(ROWS_AT_ONCE) {
        let rows = words.iter().map(|word| search_word::ActiveModel {
            id: ActiveValue::NotSet,
            word: ActiveValue::Set((*word).to_owned()),
        });
        let unless_known = OnConflict::column(search_word::Column::Word).do_nothing().to_owned();
        let mut insert = QueryTrait::into_query(search_word::Entity::insert_many(rows).on_conflict(unless_known));
        insert.returning(Query::returning().columns([search_word::Column::Id, search_word::Column::Word]));
        for row in transaction.query_all(&insert).await? {
            entered.insert(row.try_get("", "word")?, row.try_get("", "id")?);
        }
    }
    let keys: Vec<search_key::Model> = entered.iter().flat_map(|(word, id)| rows_of(word, *id)).collect();
    for rows in keys.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        search_key::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(entered)
}

fn rows_of(word: &str, word_id: i32) -> impl Iterator<Item = search_key::Model> {
    keys::of_word(word).into_iter().map(move |key| search_key::Model { key, word_id })
}

/// Deletes those of the words that no user has.
async fn prune(transaction: &DatabaseTransaction, ids: BTreeSet<i32>) -> Result<(), DbErr> {
    let holders = Query::select()
        .expr(Expr::val(1))
        .from(search_hit::Entity)
        .and_where(search_hit::Column::WordId.into_expr().equals(search_word::Column::Id.as_column_ref()))
        .to_owned();
    let lost = search_word::Entity::find()
        .filter(any_of(transaction.get_database_backend(), search_word::Column::Id, ids.into_iter().collect()))
        .filter(Expr::exists(holders).not());
    for word in lost.all(transaction).await? {
        search_key::Entity::delete_many()
            .filter(search_key::Column::Key.is_in(keys::of_word(&word.word)))
            .filter(search_key::Column::WordId.eq(word.id))
            .exec(transaction)
            .await?;
        search_word::Entity::delete_by_id(word.id).exec(transaction).await?;
    }
    Ok(())
}
