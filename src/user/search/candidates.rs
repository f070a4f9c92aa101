//! Who may be meant: ranges of indexes, each of which ends after so many people.

use sea_orm::sea_query::{
    Alias, Asterisk, Condition, Expr, ExprTrait, IntoCondition, Order, Query, SelectStatement, SimpleExpr, UnionType,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::meant::{MANY, Meant, Word};
use crate::db::Db;
use crate::entity::user::{self, Column};
use crate::entity::{search_hit, search_word};
use crate::scalar::Id;
use crate::sql::{any_of, has_one, starts_with};
use crate::word_index;

/// How many people are read by the beginning of a name.
const BY_NAME: u64 = 100;
/// How many are read by the words that they have.
const BY_WORDS: u64 = 200;
/// The same where a filter will drop most of them.
const BY_WORDS_NARROWED: u64 = 1_000;
/// Among how many of those who have one common word it is looked who has another.
const BOTH: u64 = 3_000;
/// How many of the words that a piece may mean are taken for whole names.
const NAMES: usize = 8;

/// Among whom is searched.
pub struct Among<'a> {
    pub db: &'a Db,
    /// The license whose people they are; none where they are of all.
    pub license_id: Option<Id>,
    /// Whether there is a filter.
    pub is_narrowed: bool,
    pub seen: Condition,
}

/// Somebody who may be meant.
#[derive(FromQueryResult)]
pub struct Candidate {
    pub id: Id,
    pub search_key: String,
}

impl Among<'_> {
    pub fn backend(&self) -> DatabaseBackend {
        self.db.read().get_database_backend()
    }

    fn people(&self, condition: Condition, order: &[Column], limit: u64) -> SelectStatement {
        let people = user::Entity::find().select_only().columns([Column::Id, Column::SearchKey]);
        let people = people.filter(self.seen.clone()).filter(condition).limit(limit);
        let people = order.iter().fold(people, |people, column| people.order_by_asc(*column));
        QueryTrait::into_query(people)
    }

    /// Those of the people seen whom a statement for their ids finds.
    fn found_by(&self, ids: SelectStatement) -> SelectStatement {
        self.people(Column::Id.in_subquery(ids).into_condition(), &[], self.most())
    }

    /// Who has one of the words, of whom it looks at so many.
    fn hits(&self, words: impl Into<SimpleExpr>, limit: u64) -> SelectStatement {
        let mut hits = Query::select();
        hits.column(search_hit::Column::UserId).from(search_hit::Entity).and_where(words.into()).limit(limit);
        hits.and_where_option(self.of_license());
        hits.order_by(search_hit::Column::License, Order::Asc);
        hits.order_by(search_hit::Column::UserId, Order::Asc).to_owned()
    }

    fn of_license(&self) -> Option<SimpleExpr> {
        self.license_id.map(|id| search_hit::Column::License.eq(word_index::short(id)))
    }

    fn any_word(&self, ids: Vec<i32>) -> SimpleExpr {
        any_of(self.backend(), search_hit::Column::WordId, ids)
    }

    fn most(&self) -> u64 {
        if self.is_narrowed { BY_WORDS_NARROWED } else { BY_WORDS }
    }

    async fn read(&self, parts: Vec<SelectStatement>) -> Result<Vec<Candidate>, DbErr> {
        let mut parts = parts.into_iter().map(|part| {
            let mut whole = Query::select();
            whole.column(Asterisk).from_subquery(part, Alias::new("found")).to_owned()
        });
        let Some(mut all) = parts.next() else { return Ok(Vec::new()) };
        all.unions(parts.map(|part| (UnionType::All, part)));
        let rows = self.db.read().query_all(&all).await?;
        rows.iter().map(|row| Candidate::from_query_result(row, "")).collect()
    }
}

/// Those whose last and first names begin with the longest words; of a single word also those who have it in any field.
///
/// # Errors
/// Whatever the database says.
pub async fn by_name(among: &Among<'_>, words: &[String]) -> Result<Vec<Candidate>, DbErr> {
    let mut longest: Vec<&String> = words.iter().collect();
    longest.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let last = |word: &str| starts_with(Expr::col(Column::LastNameKey.as_column_ref()), word);
    let first = |word: &str| starts_with(Expr::col(Column::FirstNameKey.as_column_ref()), word);
    let by_last = [Column::LastNameKey, Column::FirstNameKey, Column::Id];
    let by_first = [Column::FirstNameKey, Column::LastNameKey, Column::Id];
    let mut parts = Vec::new();
    match longest.as_slice() {
        [word] => {
            parts.push(among.people(last(word), &by_last, BY_NAME));
            if among.license_id.is_some() {
                parts.push(among.people(first(word), &by_first, BY_NAME));
            }
            let mut known = Query::select();
            known.column(search_word::Column::Id).from(search_word::Entity);
            known.and_where(search_word::Column::Word.eq(word.as_str()));
            parts.push(
                among.found_by(among.hits(search_hit::Column::WordId.into_expr().eq(SimpleExpr::from(known)), BY_NAME)),
            );
        }
        [long, short, ..] => {
            parts.push(among.people(last(long).add(first(short)), &by_last, BY_NAME));
            if among.license_id.is_some() {
                parts.push(among.people(first(long).add(last(short)), &by_first, BY_NAME));
            } else {
                parts.push(among.people(last(short).add(first(long)), &by_last, BY_NAME));
            }
        }
        [] => {}
    }
    among.read(parts).await
}

/// Those who have what the words may mean, by the piece that fewest people have, and those whose login begins with the only word.
///
/// # Errors
/// Whatever the database says.
pub async fn by_words(among: &Among<'_>, words: &[String], meant: &[Meant]) -> Result<Vec<Candidate>, DbErr> {
    let mut parts = Vec::new();
    if let [word] = words {
        for column in [Column::UsernameKey, Column::EmailKey] {
            let begins = starts_with(Expr::col(column.as_column_ref()), word);
            parts.push(among.people(begins, &[column], BY_NAME));
        }
    }
    if meant.iter().all(|meant| !meant.words.is_empty()) {
        let mut meant: Vec<&Meant> = meant.iter().collect();
        meant.sort_by_key(|meant| meant.people());
        if let [rarest, others @ ..] = meant.as_slice() {
            parts.extend(having(among, rarest, others.first().copied()));
            if !others.is_empty() && rarest.people() >= MANY {
                parts.push(named(among, &meant));
            }
        }
    }
    among.read(parts).await
}

/// Those who have the nearest words that a piece may mean, as many as are read. Of a word that too many have, those who also
/// have what another piece may mean.
fn having(among: &Among<'_>, meant: &Meant, other: Option<&Meant>) -> Vec<SelectStatement> {
    let mut left = among.most();
    let mut whole = Vec::new();
    let mut common = None;
    for word in &meant.words {
        if word.people > left || word.people >= MANY {
            common = Some(word);
            break;
        }
        left -= word.people;
        whole.push(word.id);
    }
    let mut parts = Vec::new();
    if !whole.is_empty() {
        parts.push(among.found_by(among.hits(among.any_word(whole), among.most())));
    }
    if let Some(common) = common {
        let has_common = search_hit::Column::WordId.eq(common.id);
        parts.push(among.found_by(match other {
            None => among.hits(has_common, among.most()),
            Some(other) => both(among, among.hits(has_common, BOTH), other),
        }));
    }
    parts
}

/// Those of the people of a statement who also have what a piece may mean.
fn both(among: &Among<'_>, mut people: SelectStatement, other: &Meant) -> SelectStatement {
    let one = |column: search_hit::Column| (Alias::new("one"), column);
    let mut has = Query::select();
    has.expr(Expr::val(1)).from(search_hit::Entity).and_where(among.any_word(nearest(other)));
    for column in [search_hit::Column::License, search_hit::Column::UserId] {
        has.and_where(column.into_expr().equals(one(column)));
    }
    let mut both = Query::select();
    people.column(search_hit::Column::License);
    both.column(one(search_hit::Column::UserId)).from_subquery(people, Alias::new("one"));
    both.and_where(has_one(has)).order_by(one(search_hit::Column::UserId), Order::Asc).limit(among.most()).to_owned()
}

/// Those whose first and last name are words that the pieces may mean.
fn named(among: &Among<'_>, meant: &[&Meant]) -> SelectStatement {
    let words = meant.iter().flat_map(|meant| meant.words.iter().take(NAMES));
    let words: Vec<String> = words.map(|word| word.text.clone()).collect();
    let is_one = |column| any_of(among.backend(), column, words.clone());
    let named = Condition::all().add(is_one(Column::LastNameKey)).add(is_one(Column::FirstNameKey));
    among.people(named, &[Column::LastNameKey, Column::FirstNameKey, Column::Id], among.most())
}

fn nearest(meant: &Meant) -> Vec<i32> {
    meant.words.iter().take(NAMES).map(|word: &Word| word.id).collect()
}
