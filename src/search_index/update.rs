//! Updates of the search index.

use std::collections::{BTreeSet, HashMap};

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{keys, short, words};
use crate::db::Transaction;
use crate::db::batch::{self, IfExists};
use crate::db::conditions::any_of;
use crate::entity::{search_hit, search_key, search_word, user};
use crate::scalar::Id;

/// The maximum number of words that a statement of SQLite looks up.
const WORDS_AT_ONCE: usize = 8_192;

/// A word of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Posting {
    word: String,
    /// The short form of the license's ID.
    license: i32,
    user_id: Id,
}

/// Changes of the index: the words that users get and lose.
#[derive(Debug, Default)]
pub struct Changes {
    added: Vec<Posting>,
    removed: Vec<Posting>,
}

/// Returns the words of a user.
#[must_use]
pub fn postings(user: &user::Model) -> Vec<Posting> {
    let license = short(user.license_id);
    let posting = |word: &str| Posting { word: word.to_owned(), license, user_id: user.id };
    words(&user.search_key).into_iter().map(posting).collect()
}

/// Updates the index for changes of users, each as the user was before and is after. `None` stands for a user who does not exist
/// yet, or any more, and has no words. Deletes words that no user has any more.
pub async fn update<'a>(
    transaction: &Transaction,
    changes: impl IntoIterator<Item = (Option<&'a user::Model>, Option<&'a user::Model>)>,
) -> Result<(), DbErr> {
    let mut all = Changes::default();
    for (before, after) in changes {
        all.add(before, after);
    }
    all.write(transaction).await
}

impl Changes {
    /// Adds the change of a user, as [`update`].
    pub fn add(&mut self, before: Option<&user::Model>, after: Option<&user::Model>) {
        if !differ(before, after) {
            return;
        }
        let [old, new] = [before, after].map(|user| user.map(postings).unwrap_or_default());
        // Both are sorted.
        let is_in = |postings: &[Posting], posting: &Posting| postings.binary_search(posting).is_ok();
        self.added.extend(new.iter().filter(|posting| !is_in(&old, posting)).cloned());
        self.removed.extend(old.into_iter().filter(|posting| !is_in(&new, posting)));
    }

    /// Adds the words of a new user.
    pub fn add_postings(&mut self, postings: Vec<Posting>) {
        self.added.extend(postings);
    }

    /// Writes the changes. Deletes words that no user has any more.
    ///
    /// # Errors
    /// That the database cannot be reached.
    pub async fn write(self, transaction: &Transaction) -> Result<(), DbErr> {
        let Self { added, removed } = self;
        if added.is_empty() && removed.is_empty() {
            return Ok(());
        }
        let changed_words: BTreeSet<&str> = added.iter().chain(&removed).map(|posting| posting.word.as_str()).collect();
        // A word is not deleted while another user gets it.
        let lock = if removed.is_empty() { LockType::KeyShare } else { LockType::Update };
        let mut word_ids = lock_word_ids(transaction, &changed_words, lock).await?;
        insert_missing(transaction, added.iter().map(|posting| posting.word.as_str()), &mut word_ids).await?;
        batch::insert(transaction, &rows(&added, &word_ids), IfExists::Skip).await?;
        if removed.is_empty() {
            return Ok(());
        }
        let removed = rows(&removed, &word_ids);
        batch::delete(transaction, &removed).await?;
        prune(transaction, removed.iter().map(|row| row.word_id).collect()).await
    }
}

/// Returns whether a change of a user may change the postings.
fn differ(before: Option<&user::Model>, after: Option<&user::Model>) -> bool {
    let source = |user: &user::Model| (user.id, user.license_id);
    match (before, after) {
        (Some(before), Some(after)) => source(before) != source(after) || before.search_key != after.search_key,
        (before, after) => before.is_some() || after.is_some(),
    }
}

/// Returns the rows of postings, in the order of their table.
fn rows(postings: &[Posting], word_ids: &HashMap<String, i32>) -> Vec<search_hit::Model> {
    let row = |Posting { word, license, user_id }: &Posting| {
        Some(search_hit::Model { word_id: *word_ids.get(word)?, license: *license, user_id: *user_id })
    };
    let mut rows: Vec<search_hit::Model> = postings.iter().filter_map(row).collect();
    rows.sort_unstable_by_key(|row| (row.word_id, row.license, row.user_id));
    rows
}

/// Returns the IDs of the words that exist, and locks their rows. On PostgreSQL by one statement, so that all transactions lock
/// them in one order.
async fn lock_word_ids(
    transaction: &Transaction,
    words: &BTreeSet<&str>,
    lock: LockType,
) -> Result<HashMap<String, i32>, DbErr> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let at_once = match transaction.get_database_backend() {
        DatabaseBackend::Postgres => words.len().max(1),
        _ => WORDS_AT_ONCE,
    };
    let mut word_ids = HashMap::with_capacity(words.len());
    for words in words.chunks(at_once) {
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
    word_ids: &mut HashMap<String, i32>,
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
async fn insert(transaction: &Transaction, words: &BTreeSet<&str>) -> Result<HashMap<String, i32>, DbErr> {
    let words: Vec<_> = words.iter().map(|word| search_word::Model { id: 0, word: (*word).to_owned() }).collect();
    let returned = [search_word::Column::Id, search_word::Column::Word];
    let mut inserted: HashMap<String, i32> = HashMap::new();
    for row in batch::insert_generated(transaction, &words, IfExists::Skip, &returned).await? {
        inserted.insert(row.try_get("", "word")?, row.try_get("", "id")?);
    }
    let mut keys: Vec<_> = inserted.iter().flat_map(|(word, id)| key_rows(word, *id)).collect();
    keys.sort_unstable_by(|a, b| (&a.key, a.word_id).cmp(&(&b.key, b.word_id)));
    batch::insert(transaction, &keys, IfExists::Fail).await?;
    Ok(inserted)
}

fn key_rows(word: &str, word_id: i32) -> impl Iterator<Item = search_key::Model> {
    keys::keys_of_word(word).into_iter().map(move |key| search_key::Model { key, word_id })
}

/// Deletes those of the words that no user has.
async fn prune(transaction: &Transaction, ids: BTreeSet<i32>) -> Result<(), DbErr> {
    let ids: Vec<i32> = ids.into_iter().collect();
    for ids in ids.chunks(WORDS_AT_ONCE) {
        let postings_of_word = Query::select()
            .expr(Expr::val(1))
            .from(search_hit::Entity)
            .and_where(search_hit::Column::WordId.into_expr().equals(search_word::Column::Id.as_column_ref()))
            .to_owned();
        let unused = search_word::Entity::find()
            .filter(any_of(transaction.get_database_backend(), search_word::Column::Id, ids.to_vec()))
            .filter(Expr::exists(postings_of_word).not());
        let unused = unused.all(transaction).await?;
        let keys: Vec<_> = unused.iter().flat_map(|word| key_rows(&word.word, word.id)).collect();
        batch::delete(transaction, &keys).await?;
        batch::delete(transaction, &unused).await?;
    }
    Ok(())
}
