//! The ranking of search results: a directory of invented users, and the expected first result of each search.

mod case;
mod directory;

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::MaybeUndefined::Value as Given;
use roster::entity::user::UserFields;
use roster::text::fold;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use self::case::{Case, allowed};
use self::directory::{DirectoryUser, Rng, all_users};
use crate::app::{App, Caller};
use crate::crowd;

const SEARCH: &str = "query ($query: String!, $first: Int!, $after: String) { \
    searchUsers(query: $query, first: $first, after: $after) { \
        totalCount edges { score node { firstName lastName } } pageInfo { hasNextPage endCursor } } }";

/// The number of hits of each search that are checked.
const LOOKED_AT: usize = 50;
/// The page size when a search is read in pages.
const PAGE: usize = 7;
/// The number of first hits in which the expected user should be.
const FIRST: usize = 5;

/// A user that was found, with the score in millionths.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hit {
    name: String,
    score: i64,
}

/// The result of a search.
struct SearchResult {
    hits: Vec<Hit>,
    total: usize,
    /// The same hits, read in small pages.
    in_pages: Vec<Hit>,
}

/// A page of a search, the total count, and the cursor of the next page.
async fn page(caller: &Caller<'_>, query: &str, first: usize, after: Value) -> (Vec<Hit>, usize, Option<Value>) {
    let variables = json!({ "query": query, "first": first, "after": after });
    let page = caller.data(SEARCH, variables).await["searchUsers"].clone();
    let hit = |edge: &Value| {
        let name = |field: &str| edge["node"][field].as_str().unwrap().to_owned();
        #[expect(clippy::cast_possible_truncation, reason = "a score is at most 1")]
        let score = (edge["score"].as_f64().unwrap() * 1e6).round() as i64;
        Hit { name: format!("{} {}", name("firstName"), name("lastName")), score }
    };
    let hits = page["edges"].as_array().unwrap().iter().map(hit).collect();
    let total = usize::try_from(page["totalCount"].as_u64().unwrap()).unwrap();
    let goes_on = page["pageInfo"]["hasNextPage"] == json!(true);
    (hits, total, goes_on.then(|| page["pageInfo"]["endCursor"].clone()))
}

async fn search(caller: &Caller<'_>, query: &str) -> SearchResult {
    let (hits, total, _) = page(caller, query, LOOKED_AT, Value::Null).await;
    let (mut in_pages, mut after) = (Vec::new(), Some(Value::Null));
    while let Some(cursor) = after.take_if(|_| in_pages.len() < LOOKED_AT) {
        let (some, _, next) = page(caller, query, PAGE, cursor).await;
        in_pages.extend(some);
        after = next;
    }
    in_pages.truncate(LOOKED_AT);
    SearchResult { hits, total, in_pages }
}

/// Stores the users, and one who searches, whose name and address are always the same.
async fn store_users<'a>(app: &'a App, users: &[DirectoryUser]) -> Caller<'a> {
    crowd::store(app, users.iter().map(|user| user.of_license(app.license)).collect()).await;
    let email = Given("asker@asking.example.org".to_owned());
    app.user_with("Asker", UserFields { email, ..UserFields::default() }).await
}

async fn search_all(app: App) -> Vec<SearchResult> {
    let caller = store_users(&app, &all_users()).await;
    let mut responses = Vec::new();
    for case in case::all() {
        responses.push(search(&caller, case.query).await);
    }
    responses
}

/// The results of every search on SQLite, shared by all tests.
async fn on_sqlite() -> &'static [SearchResult] {
    static RESULTS: OnceCell<Vec<SearchResult>> = OnceCell::const_new();
    RESULTS.get_or_init(|| async { search_all(App::on_sqlite().await).await }).await
}

/// The results of every search on PostgreSQL. None if it is not installed.
async fn on_postgres() -> Option<&'static [SearchResult]> {
    static RESULTS: OnceCell<Option<Vec<SearchResult>>> = OnceCell::const_new();
    let execute = || async {
        match App::on_postgres().await {
            Some(app) => Some(search_all(app).await),
            None => None,
        }
    };
    RESULTS.get_or_init(|| Box::pin(execute())).await.as_deref()
}

/// How often the expected user comes first, and is among the first five.
#[derive(Clone, Copy, Default)]
struct Summary {
    searches: usize,
    first: usize,
    in_first_five: usize,
}

impl Summary {
    fn count(&mut self, place: Option<usize>) {
        self.searches += 1;
        self.first += usize::from(place == Some(0));
        self.in_first_five += usize::from(place.is_some_and(|place| place < FIRST));
    }
}

/// Prints how often the expected user comes first for each kind, and each search in which another user does.
fn summarize(database: &str, responses: &[SearchResult]) -> Summary {
    let users = all_users();
    let (mut all, mut kinds) = (Summary::default(), BTreeMap::<&str, Summary>::new());
    for (case, response) in case::all().into_iter().zip(responses) {
        let expected = case.expected_user(&users).name();
        let place = response.hits.iter().position(|hit| hit.name == expected);
        all.count(place);
        kinds.entry(case.kind).or_default().count(place);
        if place != Some(0) {
            let Case { kind, query, .. } = case;
            let place = place.map_or("not found".to_owned(), |place| format!("at {}", place + 1));
            let instead: Vec<&str> = response.hits.iter().take(FIRST).map(|hit| hit.name.as_str()).collect();
            println!("{database}: {kind}: {query:?}: {expected} {place}; first {instead:?}");
        }
    }
    for (kind, Summary { searches, first, in_first_five }) in kinds {
        println!("{database}: {kind}: {first} of {searches} first, {in_first_five} in the first five");
    }
    let Summary { searches, first, in_first_five } = all;
    println!("{database}: {first} of {searches} first, {in_first_five} in the first five");
    all
}

fn assert_ranking(database: &str, responses: &[SearchResult]) {
    let Summary { searches, first, in_first_five } = summarize(database, responses);
    assert!(first * 100 >= searches * 95, "{database}: only {first} of {searches} expected users come first");
    assert!(
        in_first_five * 100 >= searches * 99,
        "{database}: only {in_first_five} of {searches} expected users are in the first five"
    );
}

#[tokio::test]
async fn the_expected_user_comes_first_on_sqlite() {
    assert_ranking("SQLite", on_sqlite().await);
}

#[tokio::test]
async fn the_expected_user_comes_first_on_postgres() {
    if let Some(responses) = on_postgres().await {
        assert_ranking("PostgreSQL", responses);
    }
}

#[tokio::test]
async fn the_order_is_the_same_on_every_database() {
    let Some(postgres) = on_postgres().await else { return };
    for ((case, sqlite), postgres) in case::all().iter().zip(on_sqlite().await).zip(postgres) {
        assert_eq!(sqlite.hits, postgres.hits, "{:?}", case.query);
        assert_eq!(sqlite.total, postgres.total, "{:?}", case.query);
    }
}

fn check_lists(responses: &[SearchResult]) {
    for (Case { query, .. }, SearchResult { hits, total, in_pages }) in case::all().into_iter().zip(responses) {
        assert!(hits.is_sorted_by(|one, next| one.score >= next.score), "{query:?}: {hits:#?}");
        assert!(hits.iter().all(|hit| (1..=1_000_000).contains(&hit.score)), "{query:?}: {hits:#?}");
        assert_eq!(hits.len(), *total.min(&LOOKED_AT), "{query:?}: {total} in all");
        assert_eq!(in_pages, hits, "{query:?}");
    }
}

#[tokio::test]
async fn scores_decrease_and_pages_and_counts_agree_on_sqlite() {
    check_lists(on_sqlite().await);
}

#[tokio::test]
async fn scores_decrease_and_pages_and_counts_agree_on_postgres() {
    if let Some(responses) = on_postgres().await {
        check_lists(responses);
    }
}

#[test]
fn every_case_is_valid() {
    let (users, cases) = (all_users(), case::all());
    let mut kinds = BTreeMap::<&str, usize>::new();
    for (place, case) in cases.iter().enumerate() {
        *kinds.entry(case.kind).or_default() += 1;
        let expected = case.expected_user(&users);
        if case.kind.starts_with("typo") {
            assert_eq!(case.mismatch(expected), None, "{case:?}");
        }
        assert!(!cases[..place].iter().any(|other| other.query == case.query), "{case:?} is a duplicate");
    }
    assert!(cases.len() >= 600 && kinds.len() >= 30, "{kinds:?}");
    assert!(kinds.values().all(|count| *count >= 10), "{kinds:?}");
}

/// The kinds of typos.
#[derive(Clone, Copy, Debug)]
enum Sort {
    Substituted,
    Missing,
    Extra,
    Transposed,
}

/// A name with one typo, in a part that is long enough for one before and after. None if there is no such part.
fn misspelt(name: &str, sort: Sort, letters: &BTreeSet<char>, rng: &mut Rng) -> Option<String> {
    let name: Vec<char> = fold(name).chars().collect();
    let is_missing = matches!(sort, Sort::Missing);
    let fits = |place: &usize| {
        let before = name[..*place].iter().rev().take_while(|c| c.is_alphanumeric()).count();
        let from = name[*place..].iter().take_while(|c| c.is_alphanumeric()).count();
        let is_possible = !matches!(sort, Sort::Transposed) || (from > 1 && name[*place] != name[place + 1]);
        from > 0 && is_possible && allowed(before + from - usize::from(is_missing)) > 0
    };
    let places: Vec<usize> = (0..name.len()).filter(fits).collect();
    let place = *places.get(rng.below(places.len().max(1)))?;
    // Of the same script, which means nearby in Unicode.
    let is_another = |letter: &char| *letter != name[place] && u32::from(*letter) >> 8 == u32::from(name[place]) >> 8;
    let other: Vec<char> = letters.iter().copied().filter(is_another).collect();
    let letter = other[rng.below(other.len())];
    let mut misspelt = name;
    match sort {
        Sort::Substituted => misspelt[place] = letter,
        Sort::Missing => drop(misspelt.remove(place)),
        Sort::Extra => misspelt.insert(place, letter),
        Sort::Transposed => misspelt.swap(place, place + 1),
    }
    Some(misspelt.into_iter().collect())
}

/// Every letter of every name.
fn letters(users: &[DirectoryUser]) -> BTreeSet<char> {
    let names = users.iter().flat_map(|user| [fold(&user.first), fold(&user.last)]);
    names.flat_map(|name| name.chars().collect::<Vec<char>>()).filter(|c| c.is_alphabetic()).collect()
}

on_every_database! {
    async fn a_typo_anywhere_in_a_name_still_finds_the_user(app: App) {
        let users = all_users();
        let letters = letters(&users);
        let caller = store_users(&app, &users).await;
        let (mut rng, mut searches, mut not_found) = (Rng(2), 0, Vec::new());
        for _ in 0..300 {
            let user = &users[rng.below(users.len())];
            let is_first = rng.below(2) == 0;
            for sort in [Sort::Substituted, Sort::Missing, Sort::Extra, Sort::Transposed] {
                let (one, other) = if is_first { (&user.first, &user.last) } else { (&user.last, &user.first) };
                let Some(misspelt) = misspelt(one, sort, &letters, &mut rng) else { continue };
                let query = if is_first { format!("{other} {misspelt}") } else { format!("{misspelt} {other}") };
                let (hits, ..) = page(&caller, &query, 100, Value::Null).await;
                searches += 1;
                if !hits.iter().any(|hit| hit.name == user.name()) {
                    not_found.push(format!("{sort:?}: {query:?}: {}, not among {}", user.name(), hits.len()));
                }
            }
        }
        assert!(searches > 800, "{searches}");
        assert!(not_found.is_empty(), "{} of {searches}\n{}", not_found.len(), not_found.join("\n"));
    }
}
