//! User search (`searchUsers`): finds the users whose names and addresses contain every word, or nearly so, the best matches
//! first.
//!
//! The results do not depend on the database, and the time hardly depends on the number of users: candidates are read from ranges
//! of indexes, each of which has a limit, and only candidates are ranked (`score`).
//!
//! 1. Reads users whose last and first names begin with the words. If there are `ENOUGH` of them, the search ends here.
//! 2. Finds the words of the directory that the query may mean (`terms`): words that begin with a word of the query, contain it,
//!    or equal it but for typos.
//! 3. Reads users who have these words (`candidates`), by the word that the fewest users have.

mod candidates;
mod query;
mod score;
mod terms;

use std::cmp::Reverse;
use std::collections::HashMap;

use async_graphql::connection::{ConnectionNameType, EdgeNameType};
use async_graphql::{Context, Object, OutputType, Result};
use futures_util::FutureExt;
use sea_orm::Value;

pub use self::score::UserSearchField;
use super::filter::UserFilter;
use super::filter_sql::CompiledFilter;
use crate::access::{Action, RequiresAction};
use crate::entity::user;
use crate::error::Error;
use crate::graphql::context::ContextExt;
use crate::graphql::pagination::{self, Connection, LazyCount, PageArgs, PageRequest};
use crate::scalar::Id;
use candidates::{Candidate, SearchScope};

/// The number of users found by the beginnings of their names from which no other candidates are read.
const ENOUGH: usize = 100;

/// The GraphQL type names `UserSearchConnection` and `UserSearchEdge`.
pub struct SearchName;

/// A page of user search results.
pub type SearchConnection = Connection<user::Model, Match, SearchName, SearchName>;

impl ConnectionNameType for SearchName {
    fn type_name<T: OutputType>() -> String {
        "UserSearchConnection".to_owned()
    }
}

impl EdgeNameType for SearchName {
    fn type_name<T: OutputType>() -> String {
        "UserSearchEdge".to_owned()
    }
}

/// The fields of an edge that tell how the user matches the search.
pub struct Match {
    score: f64,
    fields: Vec<UserSearchField>,
}

#[Object(name = "UserSearchMatch")]
impl Match {
    /// The relevance of the user, from 0 to 1. It is the mean of the scores of the words, each taken from the field that it
    /// matches best. A whole field scores 1, one of its words 0.95, its beginning 0.85, the beginning of one of its words 0.8,
    /// and any other part 0.6. A word with a typo scores 0.45, minus 0.1 for a second typo, 0.1 if the matched word continues,
    /// and 0.05 if its first letter differs. Scores are multiplied by 0.9 in email addresses, and by 0.97 in alternative
    /// spellings of a name.
    async fn score(&self) -> f64 {
        self.score
    }

    /// The fields in which at least one of the words is found.
    async fn matched_fields(&self) -> &[UserSearchField] {
        &self.fields
    }
}

#[derive(Default)]
pub struct SearchQuery;

#[Object]
impl SearchQuery {
    /// The users that match every word of the query, in any order. A word matches any part of the username, first name,
    /// last name, email address or certified email address. A word of four or more letters may have one typo, and a word
    /// of eight or more letters two. A typo is an added, missing or different letter, or two letters swapped. Sorted by
    /// `score`, the highest first, then by last name, first name and ID. Case, accents and optional vowel points are
    /// ignored; vowel signs and other marks that are letters are not. These are treated as equal: the forms of an Arabic
    /// or Persian letter, apostrophes, dashes, a digit in different scripts, hiragana and katakana, and the simplified,
    /// traditional and Japanese forms of a Chinese character. Names are also found by their usual spellings in Latin
    /// letters, and with umlauts spelled out. If the names of 100 or more users begin with the words, other matches may
    /// be left out. At most a few hundred users are found, or a few thousand with a `filter`; `totalCount` counts only
    /// them.
    #[graphql(guard = "RequiresAction")]
    async fn search_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "One or more words. At most 200 characters. Quotation marks, brackets, commas, semicolons and slashes separate words, as spaces do. An email address is one word. `%` and `_` are plain characters."
        )]
        query: String,
        #[graphql(desc = "The conditions that the users must meet. By default, there are no conditions.")]
        filter: Option<Box<UserFilter>>,
        #[graphql(
            default = false,
            desc = "Whether inactive users are found too. Administrators only. Defaults to `false`."
        )]
        include_inactive: bool,
        #[graphql(
            desc = "The number of items to return from the beginning of the list, from 1 to 100. Defaults to `50`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Returns the elements in the list that come after this cursor.")] after: Option<String>,
    ) -> Result<SearchConnection> {
        let viewer = ctx.viewer()?;
        if include_inactive {
            viewer.may(Action::ListInactive)?;
        }
        let words = query::words(&query)?;
        let db = ctx.db()?;
        let is_filtered = filter.is_some();
        let filter = CompiledFilter::new(db, viewer, filter).await?;
        ctx.loaders()?.loader().compare(filter.comparisons)?;
        let list =
            format!("search {} {include_inactive} {} {}", viewer.visibility_scope(), words.join(" "), filter.name);
        let page_request = ctx.page_request(PageArgs { first, after, last: None, before: None }, &list)?;
        let visible = filter.among(viewer.listed_users(include_inactive));
        let scope = SearchScope { db, license_id: viewer.license_of_lists(), is_filtered, visible };
        Ok(search(ctx, scope, &words, &page_request).await?)
    }
}

/// Returns a page of the users that are found, the best matches first.
async fn search(
    ctx: &Context<'_>,
    scope: SearchScope<'_>,
    words: &[String],
    page_request: &PageRequest,
) -> Result<SearchConnection, Error> {
    let ranked = rank(&scope, words).await?;
    let total = i32::try_from(ranked.len()).unwrap_or(i32::MAX);
    let page = pagination::page_of_sorted(ranked, page_request, RankedUser::position, RankedUser::comes_after)?;
    let ids: Vec<Id> = page.rows().map(|ranked| ranked.id).collect();
    let users = if ids.is_empty() {
        Vec::new()
    } else {
        ctx.loaders()?.loader().by_id::<user::Entity>(user::Column::Id, ids, scope.visible).await?
    };
    let mut users: HashMap<Id, user::Model> = users.into_iter().map(|user| (user.id, user)).collect();
    let page = page.filter_map(|ranked| Some((users.remove(&ranked.id)?, ranked)));
    let total = LazyCount::of(move |_| async move { Ok(total) }.boxed());
    Ok(page.into_connection(total, |(user, ranked)| {
        let fields = score::matched(&ranked.search_key, words);
        (user, Match { score: ranked.score, fields })
    }))
}

/// A user that was found.
struct RankedUser {
    id: Id,
    search_key: String,
    score: f64,
}

impl RankedUser {
    /// Returns the sort key: the best score first, then last name, first name and ID.
    fn key(&self) -> (Reverse<i64>, &str, &str, Id) {
        let mut lines = self.search_key.split('\n').skip(1);
        let first = lines.next().unwrap_or_default();
        (Reverse(points(self.score)), lines.next().unwrap_or_default(), first, self.id)
    }

    fn position(&self) -> Vec<Value> {
        let (Reverse(points), last, first, id) = self.key();
        vec![points.into(), last.into(), first.into(), id.0.into()]
    }

    /// Returns whether the user comes after a position in the list. `None` if the position is invalid.
    fn comes_after(&self, position: &[Option<String>]) -> Option<bool> {
        let [Some(points), Some(last), Some(first), Some(id)] = position else { return None };
        Some(self.key() > (Reverse(points.parse().ok()?), last, first, Id::parse(id)?))
    }
}

/// Returns the score in the precision in which scores are compared: scores that are equal to six digits are equal.
#[expect(clippy::cast_possible_truncation, reason = "the score lies between 0 and 1")]
fn points(score: f64) -> i64 {
    (score * 1e6).round() as i64
}

/// Returns all users that are found, the best matches first.
async fn rank(scope: &SearchScope<'_>, words: &[String]) -> Result<Vec<RankedUser>, Error> {
    let mut ranked: HashMap<Id, RankedUser> = HashMap::new();
    let mut score_candidates = |candidates: Vec<Candidate>| {
        for Candidate { id, search_key } in candidates {
            if let Some(score) = score::score(&search_key, words) {
                ranked.insert(id, RankedUser { id, search_key, score });
            }
        }
        ranked.len()
    };
    // No index has the first names of all licenses.
    if score_candidates(candidates::by_name(scope, words).await?) < ENOUGH || scope.license_id.is_none() {
        let terms = terms::match_terms(scope.db, scope.license_id, words).await?;
        score_candidates(candidates::by_words(scope, words, &terms).await?);
    }
    let mut ranked: Vec<RankedUser> = ranked.into_values().collect();
    ranked.sort_by(|a, b| a.key().cmp(&b.key()));
    Ok(ranked)
}
