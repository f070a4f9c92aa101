//! Search terms: the words of the directory that a query may mean.

use sea_orm::sea_query::{
    Alias, Asterisk, Condition, Expr, ExprTrait, Func, Order, Query, SelectStatement, SimpleExpr,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryResult};

use super::score;
use crate::db::Db;
use crate::db::conditions::{all_rows, any_of, exists_row, starts_with};
use crate::entity::{search_hit, search_key, search_word};
use crate::scalar::Id;
use crate::search_index;
use crate::text::is_of_word;

/// The maximum number of words that begin with a token, and of words that have it inside.
const WORDS: u64 = 32;
/// The maximum number of words that are read because they may equal a token but for typos. Most of them have too many typos.
const SLIPPED_WORDS: u64 = 128;
/// The maximum number of keys that are read. Some may be of words that no user visible to the viewer has.
const KEYS: u64 = 4_000;
/// The maximum number of tokens of a query that are looked up. The rest of the query is compared only with the users that these
/// find.
const PIECES: usize = 4;
/// The number up to which the users who have a word are counted.
pub const MANY: u64 = 101;

/// The way in which a word matches a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KeyKind {
    /// The word begins with the token, or equals it.
    Begins,
    Inside,
    /// The word equals the token but for typos.
    Slipped,
}

/// A word of the directory.
#[derive(Clone, Debug)]
pub struct Word {
    pub id: i32,
    pub text: String,
    /// The number of users who have the word, up to [`MANY`].
    pub people: u64,
    /// The sort key, nearest first: the word itself, words that begin with the token, words that have it inside, words with
    /// typos. In each group, domains come last.
    nearness: (KeyKind, bool, usize, bool),
}

/// The words that a token of a query may mean, the nearest first.
pub struct TermMatches {
    pub words: Vec<Word>,
    /// Whether the words are complete, because no limit was reached.
    is_all: bool,
}

impl TermMatches {
    /// Returns the minimum number of users who may match.
    #[must_use]
    pub fn people(&self) -> u64 {
        let people = self.words.iter().map(|word| word.people).sum();
        if self.is_all { people } else { Ord::max(people, MANY) }
    }

    /// Returns a sort key that is lower if fewer users may match. The users with a common domain are not all counted, but they
    /// are many.
    pub fn rarity(&self) -> (bool, u64) {
        (self.words.iter().any(|word| word.people >= MANY && is_domain(&word.text)), self.people())
    }
}

/// Returns the longest tokens of the words of a query, each once. Signs are included only for words that have nothing else.
fn tokens(words: &[String]) -> Vec<&str> {
    let mut pieces: Vec<&str> = Vec::new();
    for word in words {
        let is_sign = |piece: &&str| !piece.chars().all(is_of_word);
        let has_others = search_index::tokens(word).any(|piece| !is_sign(&piece));
        pieces.extend(search_index::tokens(word).filter(|piece| !has_others || !is_sign(piece)));
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.chars().count()));
    let mut longest: Vec<&str> = Vec::new();
    for piece in pieces {
        if !longest.contains(&piece) {
            longest.push(piece);
        }
    }
    longest.truncate(PIECES);
    longest
}

/// Returns the words that the longest tokens may mean in a license, or in all licenses. A token may have no words.
pub async fn match_terms(db: &Db, license_id: Option<Id>, words: &[String]) -> Result<Vec<TermMatches>, DbErr> {
    let pieces = tokens(words);
    let license = license_id.map(search_index::short);
    let mut found = Query::select();
    let arms = (0..).zip(&pieces).flat_map(|(place, piece)| arms(db, license, place, piece));
    let Some(all) = all_rows(arms) else { return Ok(Vec::new()) };
    found.column(Asterisk).expr_as(people(license), Alias::new("people")).from_subquery(all, Alias::new("found"));
    let rows = db.read().query_all(&found).await?;
    let mut meant: Vec<TermMatches> = pieces.iter().map(|_| TermMatches { words: Vec::new(), is_all: true }).collect();
    let mut counts = vec![[0_u64; 3]; pieces.len()];
    for row in rows {
        let (place, kind): (i32, i32) = (row.try_get("", "piece")?, row.try_get("", "kind")?);
        let place = usize::try_from(place).unwrap_or_default();
        if let Some(count) = counts.get_mut(place).and_then(|counts| counts.get_mut(usize::try_from(kind).ok()?)) {
            *count += 1;
        }
        let (Some(piece), Some(meant)) = (pieces.get(place), meant.get_mut(place)) else { continue };
        let word = word(&row, kind, piece)?;
        meant.words.extend(word.filter(|word| meant.words.iter().all(|known| known.id != word.id)));
    }
    for (meant, [begin, inside, slipped]) in meant.iter_mut().zip(counts) {
        meant.is_all = begin < WORDS && inside < WORDS && slipped < SLIPPED_WORDS;
        meant.words.sort_by(|a, b| (a.nearness, &a.text).cmp(&(b.nearness, &b.text)));
    }
    Ok(meant)
}

fn word(row: &QueryResult, kind: i32, piece: &str) -> Result<Option<Word>, DbErr> {
    let text: String = row.try_get("", "word")?;
    let (length, is_domain) = (text.chars().count(), is_domain(&text));
    let nearness = match kind {
        0 => Some((KeyKind::Begins, is_domain, length, false)),
        1 => Some((KeyKind::Inside, is_domain, 0, false)),
        _ => {
            let is_other = text.chars().next() != piece.chars().next();
            score::typos(&text, piece).map(|slips| (KeyKind::Slipped, is_domain, slips, is_other))
        }
    };
    let people: i64 = row.try_get("", "people")?;
    let id = row.try_get("", "id")?;
    Ok(nearness.map(|nearness| Word { id, text, people: u64::try_from(people).unwrap_or_default(), nearness }))
}

fn is_domain(word: &str) -> bool {
    word.starts_with('@')
}

/// Returns statements for the words that begin with a token, have it inside, or equal it but for typos.
fn arms(db: &Db, license: Option<i32>, place: i32, piece: &str) -> Vec<SelectStatement> {
    let of_kind = |kind: i32, keys: SelectStatement, limit: u64| {
        let mut words = Query::select();
        let word_id = (Alias::new("keys"), search_key::Column::WordId);
        words
            .expr_as(Expr::val(place), Alias::new("piece"))
            .expr_as(Expr::val(kind), Alias::new("kind"))
            .expr_as(search_word::Column::Id.into_expr(), Alias::new("id"))
            .expr_as(search_word::Column::Word.into_expr(), Alias::new("word"))
            .from_subquery(keys, Alias::new("keys"))
            .inner_join(search_word::Entity, search_word::Column::Id.into_expr().equals(word_id))
            .limit(limit);
        if let Some(license) = license {
            words.and_where(exists_row(hits(license)));
        }
        words
    };
    let in_order = |kind: i32, keys: Condition| {
        let mut words = of_kind(kind, those(keys), WORDS);
        for column in [search_key::Column::Key, search_key::Column::WordId] {
            words.order_by((Alias::new("keys"), column), Order::Asc);
        }
        words
    };
    let mut arms = vec![in_order(0, search_index::begins(piece)), in_order(1, search_index::inside(piece))];
    let slipped = search_index::typo_variants(piece);
    if !slipped.is_empty() {
        let keys = any_of(db.read().get_database_backend(), search_key::Column::Key, slipped);
        let mut words = of_kind(2, those(Condition::all().add(keys)), SLIPPED_WORDS);
        words.cond_where(is_as_long(piece));
        arms.push(words.distinct().order_by(search_word::Column::Word.as_column_ref(), Order::Asc).to_owned());
    }
    arms
}

/// Returns the condition that a word is not much longer than a token. A domain may be, because it has several words in it; a long
/// token may be the beginning of any word.
fn is_as_long(piece: &str) -> Condition {
    let letters = piece.chars().count();
    if letters >= score::LONG_ENOUGH_TO_GO_ON {
        return Condition::all();
    }
    let longest = i32::try_from(letters + search_index::allowed_typos(letters)).unwrap_or(i32::MAX);
    let length = Expr::expr(Func::char_length(search_word::Column::Word.into_expr()));
    Condition::any().add(length.lte(longest)).add(starts_with(search_word::Column::Word.into_expr(), "@"))
}

/// Returns the first of the keys that meet a condition, in order.
fn those(keys: Condition) -> SelectStatement {
    Query::select()
        .columns([search_key::Column::Key, search_key::Column::WordId])
        .from(search_key::Entity)
        .cond_where(keys)
        .order_by(search_key::Column::Key, Order::Asc)
        .order_by(search_key::Column::WordId, Order::Asc)
        .limit(KEYS)
        .to_owned()
}

/// Returns a statement that finds a row if any user of a license has the word.
fn hits(license: i32) -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(search_hit::Entity)
        .and_where(search_hit::Column::WordId.into_expr().equals(search_word::Column::Id.as_column_ref()))
        .and_where(search_hit::Column::License.eq(license))
        .to_owned()
}

/// Returns the number of users who have the word that was found, up to [`MANY`].
fn people(license: Option<i32>) -> SimpleExpr {
    let mut some = Query::select();
    some.expr(Expr::val(1)).from(search_hit::Entity);
    some.and_where(search_hit::Column::WordId.into_expr().equals((Alias::new("found"), Alias::new("id"))));
    some.and_where_option(license.map(|license| search_hit::Column::License.eq(license)));
    some.limit(MANY);
    let mut count = Query::select();
    count.expr(Expr::cust("COUNT(*)")).from_subquery(some, Alias::new("some"));
    SimpleExpr::from(count)
}
