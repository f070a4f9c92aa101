//! Updates of the search index.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Query};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::{keys, short, words};
use crate::db::Transaction;
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
    transaction: &Transaction,
    changes: impl IntoIterator<Item = (Option<&'a user::Model>, Option<&'a user::Model>)>,
) -> Result<(), DbErr> {
    let (mut added, mut removed): (Vec<Posting<'a>>, Vec<Posting<'a>>) = (Vec::new(), Vec::new());
    for (before, after) in changes.into_iter().filter(|(before, after)| differ(*before, *after)) {
        let (old_postings, new_postings) = (postings(before), postings(after));
        added.extend(new_postings.difference(&old_postings));
        removed.extend(old_postings.difference(&new_postings));
    }
    if added.is_empty() && removed.is_empty() {
        return Ok(());
    }
    let changed_words: BTreeSet<&str> = added.iter().chain(&removed).map(|(word, ..)| *word).collect();
    // A word is not deleted while another user gets it.
    let lock = if removed.is_empty() { LockType::KeyShare } else { LockType::Update };
    let mut word_ids = lock_word_ids(transaction, &changed_words, lock).await?;
    insert_missing(transaction, added.iter().map(|(word, ..)| *word), &mut word_ids).await?;
    let rows: Vec<_> = added.iter().filter_map(|posting| row(posting, &word_ids)).collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        search_hit::Entity::insert_many(rows).on_conflict_do_nothing().exec_without_returning(transaction).await?;
    }
    if removed.is_empty() {
        return Ok(());
    }
    delete_hits(transaction, removed.iter().filter_map(|posting| row(posting, &word_ids))).await?;
    prune(transaction, removed.iter().filter_map(|(word, ..)| word_ids.get(*word).copied()).collect()).await
}

/// Returns whether a change of a user may change the postings.
fn differ(before: Option<&user::Model>, after: Option<&user::Model>) -> bool {
    let source = |user: &user::Model| (user.id, user.license_id);
    match (before, after) {
        (Some(before), Some(after)) => source(before) != source(after) || before.search_key != after.search_key,
        (before, after) => before.is_some() || after.is_some(),
    }
}

/// Deletes rows, those of each user at once.
async fn delete_hits(transaction: &Transaction, rows: impl Iterator<Item = search_hit::Model>) -> Result<(), DbErr> {
    let mut words_of_users: BTreeMap<(i32, Id), Vec<i32>> = BTreeMap::new();
    for search_hit::Model { word_id, license, user_id } in rows {
        words_of_users.entry((license, user_id)).or_default().push(word_id);
    }
    let backend = transaction.get_database_backend();
    for ((license, user_id), words) in words_of_users {
        search_hit::Entity::delete_many()
            .filter(any_of(backend, search_hit::Column::WordId, words))
            .filter(search_hit::Column::License.eq(license))
            .filter(search_hit::Column::UserId.eq(user_id))
            .exec(transaction)
            .await?;
    }
    Ok(())
}

fn postings(user: Option<&user::Model>) -> BTreeSet<Posting<'_>> {
    let Some(user) = user else { return BTreeSet::new() };
    let (license, id) = (short(user.license_id), user.id);
    words(&user.search_key).into_iter().map(|word| (word, license, id)).collect()
}

fn row(posting: &Posting<'_>, word_ids: &BTreeMap<String, i32>) -> Option<search_hit::Model> {
    let (word, license, user_id) = *posting;
    Some(search_hit::Model { word_id: *word_ids.get(word)?, license, user_id })
}

/// Returns the IDs of the words that exist, and locks their rows.
async fn lock_word_ids(
    transaction: &Transaction,
    words: &BTreeSet<&str>,
    lock: LockType,
) -> Result<BTreeMap<String, i32>, DbErr> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut word_ids = BTreeMap::new();
    for words in words.chunks(ROWS_AT_ONCE) {
        let is_listed = any_of(transaction.get_database_backend(), search_word::Column::Word, words.to_vec());
        let rows = search_word::Entity::find().filter(is_listed).order_by_asc(search_word::Column::Id).lock(lock);
        word_ids.extend(rows.all(transaction).await?.into_iter().map(|row| (row.word, row.id)));
    }
    Ok(word_ids)
}

/// Inserts the words that do not exist yet, with their keys. A word that another transaction inserts at the same time is looked
/// up; it may have been deleted again by then, so this repeats.
async fn insert_missing(
    transaction: &Transaction,
    words: impl Iterator<Item = &str>,
    word_ids: &mut BTreeMap<String, i32>,
) -> Result<(), DbErr> {
    let mut missing: BTreeSet<&str> = words.filter(|word| !word_ids.contains_key(*word)).collect();
    while !missing.is_empty() {
        word_ids.extend(insert(transaction, &missing).await?);
        missing.retain(|word| !word_ids.contains_key(*word));
        if !missing.is_empty() {
            word_ids.extend(lock_word_ids(transaction, &missing, LockType::KeyShare).await?);
            missing.retain(|word| !word_ids.contains_key(*word));
        }
    }
    Ok(())
}

/// Inserts the words that no other transaction has inserted, with their keys. Returns the inserted words with their IDs.
async fn insert(transaction: &Transaction, words: &BTreeSet<&str>) -> Result<BTreeMap<String, i32>, DbErr> {
    let mut inserted: BTreeMap<String, i32> = BTreeMap::new();
    for words in words.iter().copied().collect::<Vec<_>>().chunks(ROWS_AT_ONCE) {
        let rows = words.iter().map(|word| search_word::ActiveModel {
            id: ActiveValue::NotSet,
            word: ActiveValue::Set((*word).to_owned()),
        });
        let unless_exists = OnConflict::column(search_word::Column::Word).do_nothing().to_owned();
        let mut insert = QueryTrait::into_query(search_word::Entity::insert_many(rows).on_conflict(unless_exists));
        insert.returning(Query::returning().columns([search_word::Column::Id, search_word::Column::Word]));
        for row in transaction.query_all(&insert).await? {
            inserted.insert(row.try_get("", "word")?, row.try_get("", "id")?);
        }
    }
    let keys: Vec<search_key::Model> = inserted.iter().flat_map(|(word, id)| key_rows(word, *id)).collect();
    for rows in keys.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        search_key::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(inserted)
}

fn key_rows(word: &str, word_id: i32) -> impl Iterator<Item = search_key::Model> {
    keys::keys_of_word(word).into_iter().map(move |key| search_key::Model { key, word_id })
}

/// Deletes those of the words that no user has.
async fn prune(transaction: &Transaction, ids: BTreeSet<i32>) -> Result<(), DbErr> {
    let postings_of_word = Query::select()
        .expr(Expr::val(1))
        .from(search_hit::Entity)
        .and_where(search_hit::Column::WordId.into_expr().equals(search_word::Column::Id.as_column_ref()))
        .to_owned();
    let unused = search_word::Entity::find()
        .filter(any_of(transaction.get_database_backend(), search_word::Column::Id, ids.into_iter().collect()))
        .filter(Expr::exists(postings_of_word).not());
    let unused = unused.all(transaction).await?;
    for word in &unused {
        search_key::Entity::delete_many()
            .filter(search_key::Column::Key.is_in(keys::keys_of_word(&word.word)))
            .filter(search_key::Column::WordId.eq(word.id))
            .exec(transaction)
            .await?;
    }
    if !unused.is_empty() {
        let ids: Vec<i32> = unused.iter().map(|word| word.id).collect();
        let of_ids = any_of(transaction.get_database_backend(), search_word::Column::Id, ids);
        search_word::Entity::delete_many().filter(of_ids).exec(transaction).await?;
    }
    Ok(())
}
