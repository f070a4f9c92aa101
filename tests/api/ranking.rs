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
use self::directory::{Chance, Person, everybody};
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
struct Answer {
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

async fn answer(caller: &Caller<'_>, query: &str) -> Answer {
    let (hits, total, _) = page(caller, query, LOOKED_AT, Value::Null).await;
    let (mut in_pages, mut after) = (Vec::new(), Some(Value::Null));
    while let Some(cursor) = after.take_if(|_| in_pages.len() < LOOKED_AT) {
        let (some, _, next) = page(caller, query, PAGE, cursor).await;
        in_pages.extend(some);
        after = next;
    }
    in_pages.truncate(LOOKED_AT);
    Answer { hits, total, in_pages }
}

/// Stores the users, and one who searches, whose name and address are always the same.
async fn store_users<'a>(app: &'a App, people: &[Person]) -> Caller<'a> {
    crowd::store(app, people.iter().map(|person| person.of_license(app.license)).collect()).await;
    let email = Given("asker@asking.example.org".to_owned());
    app.person("Asker", UserFields { email, ..UserFields::default() }).await
}

async fn answers(app: App) -> Vec<Answer> {
    let caller = store_users(&app, &everybody()).await;
    let mut answers = Vec::new();
    for case in case::all() {
        answers.push(answer(&caller, case.query).await);
    }
    answers
}

/// The results of every search on SQLite, shared by all tests.
async fn on_sqlite() -> &'static [Answer] {
    static ANSWERS: OnceCell<Vec<Answer>> = OnceCell::const_new();
    ANSWERS.get_or_init(|| async { answers(App::on_sqlite().await).await }).await
}

/// The results of every search on PostgreSQL. None if it is not installed.
async fn on_postgres() -> Option<&'static [Answer]> {
    static ANSWERS: OnceCell<Option<Vec<Answer>>> = OnceCell::const_new();
    let ask = || async {
        match App::on_postgres().await {
            Some(app) => Some(answers(app).await),
            None => None,
        }
    };
    ANSWERS.get_or_init(ask).await.as_deref()
}

/// How often the expected user comes first, and is among the first five.
#[derive(Clone, Copy, Default)]
struct Tally {
    asked: usize,
    first: usize,
    in_five: usize,
}

impl Tally {
    fn count(&mut self, place: Option<usize>) {
        self.asked += 1;
        self.first += usize::from(place == Some(0));
        self.in_five += usize::from(place.is_some_and(|place| place < FIRST));
    }
}

/// Prints how often the expected user comes first for each kind, and each search in which another user does.
fn judge(database: &str, answers: &[Answer]) -> Tally {
    let people = everybody();
    let (mut all, mut kinds) = (Tally::default(), BTreeMap::<&str, Tally>::new());
    for (case, answer) in case::all().into_iter().zip(answers) {
        let meant = case.meant(&people).name();
        let place = answer.hits.iter().position(|hit| hit.name == meant);
        all.count(place);
        kinds.entry(case.kind).or_default().count(place);
        if place != Some(0) {
            let Case { kind, query, .. } = case;
            let place = place.map_or("not found".to_owned(), |place| format!("at {}", place + 1));
            let instead: Vec<&str> = answer.hits.iter().take(FIRST).map(|hit| hit.name.as_str()).collect();
            println!("{database}: {kind}: {query:?}: {meant} {place}; first {instead:?}");
        }
    }
    for (kind, Tally { asked, first, in_five }) in kinds {
        println!("{database}: {kind}: {first} of {asked} first, {in_five} in the first five");
    }
    let Tally { asked, first, in_five } = all;
    println!("{database}: {first} of {asked} first, {in_five} in the first five");
    all
}

fn demand(database: &str, answers: &[Answer]) {
    let Tally { asked, first, in_five } = judge(database, answers);
    assert!(first * 100 >= asked * 95, "{database}: only {first} of {asked} expected users come first");
    assert!(in_five * 100 >= asked * 99, "{database}: only {in_five} of {asked} expected users are in the first five");
}

#[tokio::test]
async fn the_expected_user_comes_first_on_sqlite() {
    demand("SQLite", on_sqlite().await);
}

#[tokio::test]
async fn the_expected_user_comes_first_on_postgres() {
    if let Some(answers) = on_postgres().await {
        demand("PostgreSQL", answers);
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

fn check_lists(answers: &[Answer]) {
    for (Case { query, .. }, Answer { hits, total, in_pages }) in case::all().into_iter().zip(answers) {
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
    if let Some(answers) = on_postgres().await {
        check_lists(answers);
    }
}

#[test]
fn every_case_is_valid() {
    let (people, cases) = (everybody(), case::all());
    let mut kinds = BTreeMap::<&str, usize>::new();
    for (place, case) in cases.iter().enumerate() {
        *kinds.entry(case.kind).or_default() += 1;
        let meant = case.meant(&people);
        if case.kind.starts_with("typo") {
            assert_eq!(case.fault(meant), None, "{case:?}");
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
fn misspelt(name: &str, sort: Sort, letters: &BTreeSet<char>, chance: &mut Chance) -> Option<String> {
    let name: Vec<char> = fold(name).chars().collect();
    let is_missing = matches!(sort, Sort::Missing);
    let fits = |place: &usize| {
        let before = name[..*place].iter().rev().take_while(|c| c.is_alphanumeric()).count();
        let from = name[*place..].iter().take_while(|c| c.is_alphanumeric()).count();
        let is_possible = !matches!(sort, Sort::Transposed) || (from > 1 && name[*place] != name[place + 1]);
        from > 0 && is_possible && allowed(before + from - usize::from(is_missing)) > 0
    };
    let places: Vec<usize> = (0..name.len()).filter(fits).collect();
    let place = *places.get(chance.below(places.len().max(1)))?;
    // Of the same script, which means nearby in Unicode.
    let is_another = |letter: &char| *letter != name[place] && u32::from(*letter) >> 8 == u32::from(name[place]) >> 8;
    let other: Vec<char> = letters.iter().copied().filter(is_another).collect();
    let letter = other[chance.below(other.len())];
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
fn letters(people: &[Person]) -> BTreeSet<char> {
    let names = people.iter().flat_map(|person| [fold(&person.first), fold(&person.last)]);
    names.flat_map(|name| name.chars().collect::<Vec<char>>()).filter(|c| c.is_alphabetic()).collect()
}

on_every_database! {
    async fn a_typo_anywhere_in_a_name_still_finds_the_user(app: App) {
        let people = everybody();
        let letters = letters(&people);
        let caller = store_users(&app, &people).await;
        let (mut chance, mut asked, mut lost) = (Chance(2), 0, Vec::new());
        for _ in 0..300 {
            let person = &people[chance.below(people.len())];
            let is_first = chance.below(2) == 0;
            for sort in [Sort::Substituted, Sort::Missing, Sort::Extra, Sort::Transposed] {
                let (one, other) = if is_first { (&person.first, &person.last) } else { (&person.last, &person.first) };
                let Some(misspelt) = misspelt(one, sort, &letters, &mut chance) else { continue };
                let query = if is_first { format!("{other} {misspelt}") } else { format!("{misspelt} {other}") };
                let (hits, ..) = page(&caller, &query, 100, Value::Null).await;
                asked += 1;
                if !hits.iter().any(|hit| hit.name == person.name()) {
                    lost.push(format!("{sort:?}: {query:?}: {}, not among {}", person.name(), hits.len()));
                }
            }
        }
        assert!(asked > 800, "{asked}");
        assert!(lost.is_empty(), "{} of {asked}\n{}", lost.len(), lost.join("\n"));
    }
}
