//! Search candidates: users from ranges of indexes, each with a limit.

use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait, IntoCondition, Order, Query, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::terms::{MANY, TermMatches};
use crate::db::Db;
use crate::db::conditions::{all_rows, any_of, contains, exists_row, starts_with};
use crate::entity::user::{self, Column};
use crate::entity::{search_hit, search_word};
use crate::scalar::Id;
use crate::search_index;

/// The maximum number of users that are read by the beginning of a name.
const MAX_BY_NAME: u64 = 100;
/// The maximum number of users that are read by their words.
const MAX_BY_WORDS: u64 = 100;
/// The same if there is a filter, which will exclude most of them.
const MAX_BY_WORDS_FILTERED: u64 = 1_000;
/// The number of rows that may be looked at for each user that is read, because some users are not visible: they are inactive, or
/// the filter excludes them.
const HITS_PER_USER: u64 = 4;
/// The maximum number of lookups whether a user who has one common word has another.
const MAX_LOOKUPS: usize = 6_000;
/// The number of words that are used of each term when terms are combined.
const MAX_COMBINED_WORDS: usize = 8;

/// The users that are searched.
pub struct SearchScope<'a> {
    pub db: &'a Db,
    /// The license of the users. `None` for all licenses.
    pub license_id: Option<Id>,
    /// Whether there is a filter.
    pub is_filtered: bool,
    pub visible: Condition,
}

/// A user who may match.
#[derive(FromQueryResult)]
pub struct Candidate {
    pub id: Id,
    pub search_key: String,
}

impl SearchScope<'_> {
    fn backend(&self) -> DatabaseBackend {
        self.db.read().get_database_backend()
    }

    fn users(&self, condition: Condition, order: &[Column], limit: u64) -> SelectStatement {
        let users = user::Entity::find().select_only().columns([Column::Id, Column::SearchKey]);
        let users = users.filter(self.visible.clone()).filter(condition).limit(limit);
        let users = order.iter().fold(users, |users, column| users.order_by_asc(*column));
        QueryTrait::into_query(users)
    }

    /// Returns the visible users whose IDs a statement selects.
    fn found_by(&self, ids: SelectStatement) -> SelectStatement {
        self.users(Column::Id.in_subquery(ids).into_condition(), &[Column::Id], self.max_users())
    }

    /// Returns the users who have one of the words: more than are read, because not all of them are visible.
    fn hits(&self, words: impl Into<SimpleExpr>) -> SelectStatement {
        let mut hits = Query::select();
        hits.column(search_hit::Column::UserId).from(search_hit::Entity).and_where(words.into());
        hits.limit(self.max_users() * HITS_PER_USER);
        hits.and_where_option(self.of_license());
        hits.order_by(search_hit::Column::License, Order::Asc);
        hits.order_by(search_hit::Column::UserId, Order::Asc).to_owned()
    }

    fn of_license(&self) -> Option<SimpleExpr> {
        self.license_id.map(|id| search_hit::Column::License.eq(search_index::short(id)))
    }

    fn any_word(&self, ids: Vec<i32>) -> SimpleExpr {
        any_of(self.backend(), search_hit::Column::WordId, ids)
    }

    fn max_users(&self) -> u64 {
        if self.is_filtered { MAX_BY_WORDS_FILTERED } else { MAX_BY_WORDS }
    }

    async fn read(&self, parts: Vec<SelectStatement>) -> Result<Vec<Candidate>, DbErr> {
        let Some(all) = all_rows(parts) else { return Ok(Vec::new()) };
        let rows = self.db.read().query_all(&all).await?;
        rows.iter().map(|row| Candidate::from_query_result(row, "")).collect()
    }
}

/// Returns the users whose last and first names begin with the longest words. For a single word, also those who have it in any
/// field.
pub async fn by_name(scope: &SearchScope<'_>, words: &[String]) -> Result<Vec<Candidate>, DbErr> {
    let mut longest: Vec<&String> = words.iter().collect();
    longest.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let last = |word: &str| starts_with(Expr::col(Column::LastNameKey.as_column_ref()), word);
    let first = |word: &str| starts_with(Expr::col(Column::FirstNameKey.as_column_ref()), word);
    let by_last = [Column::LastNameKey, Column::FirstNameKey, Column::Id];
    let by_first = [Column::FirstNameKey, Column::LastNameKey, Column::Id];
    let mut parts = Vec::new();
    match longest.as_slice() {
        [word] => {
            parts.push(scope.users(last(word), &by_last, MAX_BY_NAME));
            if scope.license_id.is_some() {
                parts.push(scope.users(first(word), &by_first, MAX_BY_NAME));
            }
            let mut word_id = Query::select();
            word_id.column(search_word::Column::Id).from(search_word::Entity);
            word_id.and_where(search_word::Column::Word.eq(word.as_str()));
            let is_word = search_hit::Column::WordId.into_expr().eq(SimpleExpr::from(word_id));
            parts.push(scope.found_by(scope.hits(is_word)));
            for login in [Column::UsernameKey, Column::EmailKey] {
                parts.push(scope.users(login.eq(word.as_str()).into_condition(), &[], MAX_BY_NAME));
            }
        }
        [long, short, others @ ..] => {
            let key = || Expr::col(Column::SearchKey.as_column_ref());
            let has = |word: &&String| contains(key(), word, scope.db.is_postgres());
            // If the two words are short, too few of the users in the range have all words: the others are not required here.
            let others =
                others.iter().filter(|_| short.chars().count() > 2).map(has).fold(Condition::all(), Condition::add);
            parts.push(scope.users(last(long).add(first(short)).add(others.clone()), &by_last, MAX_BY_NAME));
            let swapped = first(long).add(last(short)).add(others);
            let order = if scope.license_id.is_some() { &by_first } else { &by_last };
            parts.push(scope.users(swapped, order, MAX_BY_NAME));
        }
        [] => {}
    }
    scope.read(parts).await
}

/// Returns the users who have the words that the query may mean, by the term that the fewest users match. For a single word, also
/// those whose login begins with it.
pub async fn by_words(
    scope: &SearchScope<'_>,
    words: &[String],
    terms: &[TermMatches],
) -> Result<Vec<Candidate>, DbErr> {
    let mut parts = Vec::new();
    if let [word] = words {
        for column in [Column::UsernameKey, Column::EmailKey] {
            let begins = starts_with(Expr::col(column.as_column_ref()), word);
            parts.push(scope.users(begins, &[column], MAX_BY_NAME));
        }
    }
    if terms.iter().all(|term| !term.words.is_empty()) {
        let mut terms: Vec<&TermMatches> = terms.iter().collect();
        terms.sort_by_key(|term| term.rarity());
        if let [rarest, others @ ..] = terms.as_slice() {
            parts.extend(with_term(scope, rarest, others));
            if !others.is_empty() && rarest.users() >= MANY {
                parts.push(with_full_name(scope, &terms));
            }
        }
    }
    scope.read(parts).await
}

/// Returns statements for the users who have the words of a term, as many as are read, the nearest words first. Of the words that
/// too many users have, only the nearest is used, for the users who also match each of the other terms.
fn with_term(scope: &SearchScope<'_>, term: &TermMatches, others: &[&TermMatches]) -> Vec<SelectStatement> {
    let mut remaining = scope.max_users();
    let mut rare = Vec::new();
    let mut common = None;
    for word in &term.words {
        if word.users >= MANY {
            common = common.or(Some(word));
        } else if word.users <= remaining {
            remaining -= word.users;
            rare.push(word.id);
        }
    }
    let mut parts = Vec::new();
    if !rare.is_empty() {
        parts.push(scope.found_by(scope.hits(scope.any_word(rare))));
    }
    if let Some(common) = common {
        let hits = scope.hits(search_hit::Column::WordId.eq(common.id));
        parts.push(scope.found_by(if others.is_empty() { hits } else { with_all_terms(scope, hits, others) }));
    }
    parts
}

/// Returns those users of a statement who also match each of the other terms.
fn with_all_terms(scope: &SearchScope<'_>, mut users: SelectStatement, others: &[&TermMatches]) -> SelectStatement {
    let one = |column: search_hit::Column| (Alias::new("one"), column);
    let longest = others.iter().map(|other| other.words.len().min(MAX_COMBINED_WORDS)).max().unwrap_or(1);
    users.column(search_hit::Column::License).limit((MAX_LOOKUPS / longest.max(1)) as u64);
    let mut all = Query::select();
    all.column(one(search_hit::Column::UserId)).from_subquery(users, Alias::new("one"));
    for other in others {
        let words = other.words.iter().take(MAX_COMBINED_WORDS).map(|word| word.id).collect();
        let mut has = Query::select();
        has.expr(Expr::val(1)).from(search_hit::Entity).and_where(scope.any_word(words));
        for column in [search_hit::Column::License, search_hit::Column::UserId] {
            has.and_where(column.into_expr().equals(one(column)));
        }
        all.and_where(exists_row(has));
    }
    all.order_by(one(search_hit::Column::UserId), Order::Asc).limit(scope.max_users()).to_owned()
}

/// Returns the users whose first and last names are both words of the terms.
fn with_full_name(scope: &SearchScope<'_>, terms: &[&TermMatches]) -> SelectStatement {
    let words = terms.iter().flat_map(|term| term.words.iter().take(MAX_COMBINED_WORDS));
    let words: Vec<String> = words.map(|word| word.text.clone()).collect();
    let is_one = |column| any_of(scope.backend(), column, words.clone());
    let condition = Condition::all().add(is_one(Column::LastNameKey)).add(is_one(Column::FirstNameKey));
    scope.users(condition, &[Column::LastNameKey, Column::FirstNameKey, Column::Id], scope.max_users())
}
