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
const MAX_WORDS: u64 = 32;
/// The maximum number of words that are read because they may equal a token but for typos. Most of them have too many typos.
const MAX_TYPO_WORDS: u64 = 128;
/// The maximum number of keys that are read. Some may be of words that no user visible to the viewer has.
const MAX_KEYS: u64 = 4_000;
/// The maximum number of tokens of a query that are looked up. The rest of the query is compared only with the users that these
/// find.
const MAX_TOKENS: usize = 4;
/// The number up to which the users who have a word are counted.
pub const MANY: u64 = 101;

/// The way in which a word matches a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KeyKind {
    /// The word begins with the token, or equals it.
    Begins,
    Inside,
    /// The word equals the token but for typos.
    Typo,
}

/// A word of the directory.
#[derive(Clone, Debug)]
pub struct Word {
    pub id: i32,
    pub text: String,
    /// The number of users who have the word, up to [`MANY`].
    pub users: u64,
    nearness: Nearness,
}

/// The sort key of words, nearest first: the word itself, words that begin with the token, words that have it inside, words with
/// typos. In each group, domains come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Nearness {
    kind: KeyKind,
    is_domain: bool,
    /// The number of typos, or the length of a word that begins with the token.
    distance: usize,
    has_other_first_letter: bool,
}

/// The words that a token of a query may mean, the nearest first.
pub struct TermMatches {
    pub words: Vec<Word>,
    /// Whether the words are complete, because no limit was reached.
    is_complete: bool,
}

impl TermMatches {
    /// Returns the minimum number of users who may match.
    #[must_use]
    pub fn users(&self) -> u64 {
        let users = self.words.iter().map(|word| word.users).sum();
        if self.is_complete { users } else { Ord::max(users, MANY) }
    }

    /// Returns a sort key that is lower if fewer users may match. The users with a common domain are not all counted, but they
    /// are many.
    pub fn rarity(&self) -> (bool, u64) {
        (self.words.iter().any(|word| word.users >= MANY && is_domain(&word.text)), self.users())
    }
}

/// Returns the longest tokens of the words of a query, each once. Signs are included only for words that have nothing else.
fn tokens(words: &[String]) -> Vec<&str> {
    let mut tokens: Vec<&str> = Vec::new();
    for word in words {
        let is_sign = |token: &&str| !token.chars().all(is_of_word);
        let has_others = search_index::tokens(word).any(|token| !is_sign(&token));
        tokens.extend(search_index::tokens(word).filter(|token| !has_others || !is_sign(token)));
    }
    tokens.sort_by_key(|token| std::cmp::Reverse(token.chars().count()));
    let mut longest: Vec<&str> = Vec::new();
    for token in tokens {
        if !longest.contains(&token) {
            longest.push(token);
        }
    }
    longest.truncate(MAX_TOKENS);
    longest
}

/// Returns the words that the longest tokens may mean in a license, or in all licenses. A token may have no words.
pub async fn match_terms(db: &Db, license_id: Option<Id>, words: &[String]) -> Result<Vec<TermMatches>, DbErr> {
    let tokens = tokens(words);
    let license = license_id.map(search_index::short);
    let mut statement = Query::select();
    let parts = (0..).zip(&tokens).flat_map(|(index, token)| word_statements(db, license, index, token));
    let Some(all) = all_rows(parts) else { return Ok(Vec::new()) };
    statement.column(Asterisk).expr_as(count_users(license), Alias::new("people"));
    statement.from_subquery(all, Alias::new("found"));
    let rows = db.read().query_all(&statement).await?;
    let empty = |_| TermMatches { words: Vec::new(), is_complete: true };
    let mut terms: Vec<TermMatches> = tokens.iter().map(empty).collect();
    let mut counts = vec![[0_u64; 3]; tokens.len()];
    for row in rows {
        let (token_index, kind): (i32, i32) = (row.try_get("", "piece")?, row.try_get("", "kind")?);
        let token_index = usize::try_from(token_index).unwrap_or_default();
        let counts_of_token = counts.get_mut(token_index);
        if let Some(count) = counts_of_token.and_then(|counts| counts.get_mut(usize::try_from(kind).ok()?)) {
            *count += 1;
        }
        let (Some(token), Some(term)) = (tokens.get(token_index), terms.get_mut(token_index)) else { continue };
        let word = word(&row, kind, token)?;
        term.words.extend(word.filter(|word| term.words.iter().all(|existing| existing.id != word.id)));
    }
    for (term, [begin, inside, typo_words]) in terms.iter_mut().zip(counts) {
        term.is_complete = begin < MAX_WORDS && inside < MAX_WORDS && typo_words < MAX_TYPO_WORDS;
        term.words.sort_by(|a, b| (a.nearness, &a.text).cmp(&(b.nearness, &b.text)));
    }
    Ok(terms)
}

fn word(row: &QueryResult, kind: i32, token: &str) -> Result<Option<Word>, DbErr> {
    let text: String = row.try_get("", "word")?;
    let (length, is_domain) = (text.chars().count(), is_domain(&text));
    let nearness = match kind {
        0 => Some(Nearness { kind: KeyKind::Begins, is_domain, distance: length, has_other_first_letter: false }),
        1 => Some(Nearness { kind: KeyKind::Inside, is_domain, distance: 0, has_other_first_letter: false }),
        _ => {
            let has_other_first_letter = text.chars().next() != token.chars().next();
            let nearness = |distance| Nearness { kind: KeyKind::Typo, is_domain, distance, has_other_first_letter };
            score::count_typos(&text, token).map(nearness)
        }
    };
    let users: i64 = row.try_get("", "people")?;
    let id = row.try_get("", "id")?;
    Ok(nearness.map(|nearness| Word { id, text, users: u64::try_from(users).unwrap_or_default(), nearness }))
}

fn is_domain(word: &str) -> bool {
    word.starts_with('@')
}

/// Returns statements for the words that begin with a token, have it inside, or equal it but for typos.
fn word_statements(db: &Db, license: Option<i32>, token_index: i32, token: &str) -> Vec<SelectStatement> {
    let of_kind = |kind: i32, keys: SelectStatement, limit: u64| {
        let mut words = Query::select();
        let word_id = (Alias::new("keys"), search_key::Column::WordId);
        words
            .expr_as(Expr::val(token_index), Alias::new("piece"))
            .expr_as(Expr::val(kind), Alias::new("kind"))
            .expr_as(search_word::Column::Id.into_expr(), Alias::new("id"))
            .expr_as(search_word::Column::Word.into_expr(), Alias::new("word"))
            .from_subquery(keys, Alias::new("keys"))
            .inner_join(search_word::Entity, search_word::Column::Id.into_expr().equals(word_id))
            .limit(limit);
        if let Some(license) = license {
            words.and_where(exists_row(has_hit(license)));
        }
        words
    };
    let ordered = |kind: i32, keys: Condition| {
        let mut words = of_kind(kind, keys_where(keys), MAX_WORDS);
        for column in [search_key::Column::Key, search_key::Column::WordId] {
            words.order_by((Alias::new("keys"), column), Order::Asc);
        }
        words
    };
    let mut statements = vec![ordered(0, search_index::begins(token)), ordered(1, search_index::inside(token))];
    let typo_words = search_index::typo_variants(token);
    if !typo_words.is_empty() {
        let keys = any_of(db.read().get_database_backend(), search_key::Column::Key, typo_words);
        let mut words = of_kind(2, keys_where(Condition::all().add(keys)), MAX_TYPO_WORDS);
        words.cond_where(is_short_enough(token));
        statements.push(words.distinct().order_by(search_word::Column::Word.as_column_ref(), Order::Asc).to_owned());
    }
    statements
}

/// Returns the condition that a word is not much longer than a token. A domain may be, because it has several words in it; a long
/// token may be the beginning of any word.
fn is_short_enough(token: &str) -> Condition {
    let letters = token.chars().count();
    if letters >= score::MIN_CONTINUED_LENGTH {
        return Condition::all();
    }
    let longest = i32::try_from(letters + search_index::allowed_typos(letters)).unwrap_or(i32::MAX);
    let length = Expr::expr(Func::char_length(search_word::Column::Word.into_expr()));
    Condition::any().add(length.lte(longest)).add(starts_with(search_word::Column::Word.into_expr(), "@"))
}

/// Returns the first of the keys that meet a condition, in order.
fn keys_where(keys: Condition) -> SelectStatement {
    Query::select()
        .columns([search_key::Column::Key, search_key::Column::WordId])
        .from(search_key::Entity)
        .cond_where(keys)
        .order_by(search_key::Column::Key, Order::Asc)
        .order_by(search_key::Column::WordId, Order::Asc)
        .limit(MAX_KEYS)
        .to_owned()
}

/// Returns a statement that finds a row if any user of a license has the word.
fn has_hit(license: i32) -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(search_hit::Entity)
        .and_where(search_hit::Column::WordId.into_expr().equals(search_word::Column::Id.as_column_ref()))
        .and_where(search_hit::Column::License.eq(license))
        .to_owned()
}

/// Returns the number of users who have the word that was found, up to [`MANY`].
fn count_users(license: Option<i32>) -> SimpleExpr {
    let mut some = Query::select();
    some.expr(Expr::val(1)).from(search_hit::Entity);
    some.and_where(search_hit::Column::WordId.into_expr().equals((Alias::new("found"), Alias::new("id"))));
    some.and_where_option(license.map(|license| search_hit::Column::License.eq(license)));
    some.limit(MANY);
    let mut count = Query::select();
    count.expr(Expr::cust("COUNT(*)")).from_subquery(some, Alias::new("some"));
    SimpleExpr::from(count)
}
