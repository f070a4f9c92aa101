//! searchUsers: every word somewhere in the names and addresses.

use std::sync::Arc;

use async_graphql::connection::{ConnectionNameType, EdgeNameType};
use async_graphql::{Context, Object, OutputType, Result};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::filter::UserFilter;
use super::matching::Match;
use super::wanted::Wanted;
use crate::access::{Action, Allowed};
use crate::context::ContextExt;
use crate::entity::user;
use crate::error::Error;
use crate::page::{self, Connection, Order, PageArgs, Total};
use crate::sql;
use crate::text;

/// The most characters of a query.
const LONGEST_QUERY: usize = 200;
/// How many characters a word must have for the full-text index of SQLite to find it.
const TRIGRAM: usize = 3;

/// `UserSearchConnection` and `UserSearchEdge`.
pub struct SearchName;

/// A page of people who were searched for.
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

#[derive(Default)]
pub struct SearchQuery;

#[Object]
impl SearchQuery {
    /// People in whom every word of the query is found: as a part of the username, first name, last name, e-mail or
    /// certified e-mail address, whatever the case and accents. By last name, first name and id.
    #[graphql(guard = "Allowed", complexity = "page::cost(first, None, child_complexity)")]
    async fn search_users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "One or more words, at most 200 characters. `%` and `_` stand for themselves.")] query: String,
        #[graphql(desc = "Among whom; everybody whom the viewer sees where nothing is said.")] filter: Option<
            Box<UserFilter>,
        >,
        #[graphql(default = false, desc = "Whether inactive people are found too. Administrators only.")]
        include_inactive: bool,
        #[graphql(desc = "How many, from the beginning: 1 to 100; 50 where nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<SearchConnection> {
        let viewer = ctx.viewer()?;
        if include_inactive {
            viewer.may(Action::ListInactive)?;
        }
        let words = read_query(&query)?;
        let db = ctx.db()?;
        let wanted = Wanted::new(db, viewer, filter).await?;
        ctx.links()?.loader().compare(wanted.comparisons)?;
        let list = format!("search {} {include_inactive} {} {}", viewer.horizon(), words.join(" "), wanted.name);
        let window = ctx.window(PageArgs { first, after, last: None, before: None }, &list)?;
        let select = user::Entity::find().filter(has(&words, db.is_postgres()));
        let select = select.filter(wanted.among(viewer.lists_users(include_inactive)));
        let page = page::read(db.read(), select.clone(), &ctx.named()?.columns(), &Order::default(), &window).await?;
        let words: Arc<[String]> = words.into();
        Ok(page.into_connection(Total::of_list(select), |person| {
            let found = Match::of(&person, Arc::clone(&words));
            (person, found)
        }))
    }
}

fn read_query(query: &str) -> Result<Vec<String>, Error> {
    if query.chars().count() > LONGEST_QUERY {
        return Err(Error::BadInput(format!("query: at most {LONGEST_QUERY} characters.")));
    }
    let words = text::words(query);
    if words.is_empty() {
        return Err(Error::BadInput("query: at least one word.".to_owned()));
    }
    Ok(words)
}

/// Whether the index for searching finds a word; on PostgreSQL it finds shorter ones too, but not by much.
#[must_use]
pub fn is_indexed(word: &str) -> bool {
    word.chars().count() >= TRIGRAM
}

/// The condition that folded words are all in the searched texts. PostgreSQL finds them by its trigram index; the one of SQLite
/// takes words of three characters or more, all of them at once, and the rest is compared row by row.
#[must_use]
pub fn has(words: &[String], postgres: bool) -> Condition {
    let (indexed, compared): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| !postgres && is_indexed(word));
    let key = || Expr::col(user::Column::SearchKey.as_column_ref());
    let compared = compared.into_iter().map(|word| sql::contains(key(), word, postgres));
    let condition = compared.fold(Condition::all(), Condition::add);
    if indexed.is_empty() { condition } else { condition.add(in_full_text_index(&indexed)) }
}

/// The full-text condition of SQLite: every word as a quoted phrase, so that none is read as query syntax.
fn in_full_text_index(words: &[&String]) -> SimpleExpr {
    let phrases: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    let mut rows = Query::select();
    rows.expr(Expr::cust("rowid"))
        .from("users_search")
        .and_where(Expr::cust_with_values("users_search MATCH ?", [phrases.join(" AND ")]));
    Expr::cust("\"users\".\"seq\"").in_subquery(rows)
}
