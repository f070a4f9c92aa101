//! User search (`searchUsers`): finds the users whose names and addresses contain every word, or nearly so, the best matches
//! first.
//!
//! The users are found in the search index, in memory, and ranked there (`search_index::score`). The results therefore do not
//! depend on the database. The rows of a page are read from it, with the conditions of what the viewer can see at that moment.

mod find;
mod query;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_graphql::connection::{ConnectionNameType, EdgeNameType};
use async_graphql::{Context, Object, OutputType, Result, SimpleObject};
use sea_orm::Value;

use self::find::SearchScope;
use super::filter::UserFilter;
use super::filter_sql::CompiledFilter;
use crate::access::{Action, RequiresAction, Viewer};
use crate::entity::user;
use crate::error::Error;
use crate::graphql::context::ContextExt;
use crate::graphql::pagination::{self, Connection, PageArgs, PageRequest};
use crate::scalar::Id;
use crate::search_index::{Hit, ResultPosition, UserSearchField, score};

/// The GraphQL type names `UserSearchConnection` and `UserSearchEdge`.
pub struct SearchName;

/// A page of user search results.
pub type SearchConnection = Connection<user::Model, Match, SearchName, SearchName, SearchTotal>;

/// The number of users who were found.
#[derive(SimpleObject)]
pub struct SearchTotal {
    /// The total number of users on all pages.
    total_count: i32,
    /// Whether `totalCount` is exact. It may be too low if more than 5,000 users match the words and more than 20,000
    /// match the filter.
    total_count_is_exact: bool,
}

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
    hit: Hit,
    words: Arc<[String]>,
    /// Computed once, under however many aliases a client selects it.
    score: OnceLock<f64>,
    /// Computed once, as the score.
    matched_fields: OnceLock<Vec<UserSearchField>>,
}

impl Match {
    fn new(hit: Hit, words: &Arc<[String]>) -> Self {
        Self { hit, words: Arc::clone(words), score: OnceLock::new(), matched_fields: OnceLock::new() }
    }
}

#[Object(name = "UserSearchMatch")]
impl Match {
    /// The relevance of the user, from 0 to 1. It is the mean of the scores of the words, each taken from the field that it
    /// matches best. A whole field scores 1, one of its words 0.95, its beginning 0.85, the beginning of one of its words 0.8,
    /// and any other part 0.6. A word with a typo scores 0.45, minus 0.1 for a second typo, 0.1 if the matched word continues,
    /// and 0.05 if its first letter differs. Scores are multiplied by 0.9 in email addresses, and by 0.97 in alternative
    /// spellings of a name.
    async fn score(&self) -> f64 {
        *self.score.get_or_init(|| self.hit.score(&self.words))
    }

    /// The fields that match at least one word of the query.
    async fn matched_fields(&self) -> &[UserSearchField] {
        self.matched_fields.get_or_init(|| score::matched(&self.hit.search_key, &self.words))
    }
}

#[derive(Default)]
pub struct SearchQuery;

#[Object]
impl SearchQuery {
    /// The users who match every word of the query; the order of the words does not matter. A word matches any part of
    /// the username, first name, last name, email address or certified email address. A word of four or more letters
    /// may have one typo, and a word of eight or more letters two. A typo is an added, missing or different letter, or
    /// two letters swapped. Sorted by `score`, the highest first, then by last name, first name and ID. Case, accents
    /// and optional vowel points are ignored; vowel signs and other marks that are letters are not. These are treated
    /// as equal: the forms of an Arabic or Persian letter, apostrophes, dashes, a digit in different scripts, hiragana
    /// and katakana, and the simplified, traditional and Japanese forms of a Chinese character. Names are also found by
    /// their usual spellings in Latin letters, and with umlauts spelled out. If 100 or more users match without typos,
    /// users who match only with typos are left out, unless there is a `filter`. With a `filter`, if more than 5,000
    /// users match the words and more than 20,000 match the filter, only the 5,000 with the highest scores are compared
    /// with the filter.
    #[graphql(guard = "RequiresAction")]
    async fn search_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "One or more words. At most 200 characters and 10 different words. Quotation marks, brackets, commas, semicolons and slashes separate words, as spaces do. An email address is one word. `%` and `_` are plain characters."
        )]
        query: String,
        #[graphql(desc = "The conditions that the users must meet. By default, there are no conditions.")]
        filter: Option<Box<UserFilter>>,
        #[graphql(
            default = false,
            desc = "Whether to include inactive users. Administrators only. Defaults to `false`."
        )]
        include_inactive: bool,
        #[graphql(
            desc = "The number of items to return from the beginning of the list, from 1 to 100. Defaults to `50`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Returns the elements in the list that come after this cursor.")] after: Option<String>,
    ) -> Result<SearchConnection> {
        let viewer = ctx.viewer()?;
        include_inactive.then(|| viewer.may(Action::ListInactive)).transpose()?;
        let words = query::words(&query)?;
        let (db, index, is_filtered) = (ctx.db()?, ctx.search_index()?, filter.is_some());
        let filter = CompiledFilter::new(db, index, viewer, filter).await?;
        ctx.loaders()?.loader().compare(filter.comparisons)?;
        let list = name_of_list(viewer, &words, include_inactive, &filter.name);
        let page_request = ctx.page_request(PageArgs { first, after, last: None, before: None }, &list)?;
        let scope = SearchScope {
            db,
            index,
            viewer,
            snapshot: index.snapshot().await?,
            words,
            include_inactive,
            is_filtered,
            visible: filter.among(viewer.listed_users(include_inactive)),
        };
        Ok(search(ctx, scope, &page_request).await?)
    }
}

/// Returns the text that distinguishes the list of a search from other lists.
fn name_of_list(viewer: &Viewer, words: &[String], include_inactive: bool, filter: &str) -> String {
    format!("search {} {include_inactive} {} {filter}", viewer.visibility_scope(), words.join(" "))
}

/// Returns a page of the users that are found, the best matches first.
async fn search(
    ctx: &Context<'_>,
    scope: SearchScope<'_>,
    page_request: &PageRequest,
) -> Result<SearchConnection, Error> {
    let begin = page_request.begin(place)?;
    let found = scope.find(begin, page_request.size().saturating_add(1)).await?;
    let total_count = i32::try_from(found.total).unwrap_or(i32::MAX);
    let total = SearchTotal { total_count, total_count_is_exact: found.is_exact };
    let rows = found.hits.into_iter().map(|hit| (position(&hit), hit)).collect();
    let page = pagination::page_of_sorted(rows, page_request);
    let ids: Vec<Id> = page.rows().map(|hit| hit.id).collect();
    let SearchScope { words, visible, .. } = scope;
    let users = if ids.is_empty() {
        Vec::new()
    } else {
        ctx.loaders()?.loader().by_id::<user::Entity>(user::Column::Id, ids, visible).await?
    };
    let mut users: HashMap<Id, user::Model> = users.into_iter().map(|user| (user.id, user)).collect();
    let page = page.filter_map(|hit| Some((users.remove(&hit.id)?, hit)));
    let words: Arc<[String]> = words.into();
    // The additional fields are computed only if they are selected: with typos, that takes longer than to find the user.
    Ok(page.into_connection(total, |(user, hit)| (user, Match::new(hit, &words))))
}

/// Returns the position of a hit in the list.
fn position(hit: &Hit) -> Vec<Value> {
    let ResultPosition { points, last, first, id } = hit.place();
    vec![i64::from(points).into(), last.into(), first.into(), id.0.into()]
}

/// Returns the place that a position is. `None` if the position is invalid.
fn place(position: &[Option<String>]) -> Option<ResultPosition> {
    let [Some(points), Some(last), Some(first), Some(id)] = position else { return None };
    let points = points.parse().ok()?;
    Some(ResultPosition { points, last: last.clone(), first: first.clone(), id: Id::parse(id)? })
}
