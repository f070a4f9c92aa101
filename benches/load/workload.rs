//! What is asked, and what a right answer looks like.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::http::{Answer, Connection, post};

/// Those whose sessions are used, by the file that `demo --tokens` writes.
pub struct Tokens {
    pub reader: String,
    pub writer: String,
}

/// One request, ready to be sent.
#[derive(Clone)]
pub struct Request {
    bytes: Vec<u8>,
    /// How the body of a right answer begins.
    begins: String,
}

/// Requests of one kind, one after the other and then again from the start.
pub struct Workload {
    pub name: &'static str,
    /// How many at once, where that is not for the command line to say.
    pub concurrency: Option<usize>,
    source: Source,
    next: AtomicUsize,
    /// How many nodes a page has; none where it is not a page or varies.
    nodes: Option<usize>,
}

enum Source {
    Ready(Vec<Request>),
    /// Each different from all before it.
    Fresh(Box<dyn Fn(usize) -> Request + Send + Sync>),
    Mixed(Vec<Arc<Workload>>),
}

/// What an answer is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// Refused because there are too many.
    Limited,
}

/// A person of the directory, as far as requests need to know.
struct Person {
    id: String,
    first: String,
    last: String,
    login: String,
}

/// What was found by walking through the directory.
struct Walk {
    people: Vec<Person>,
    /// The number of the deep page, and the cursor before it.
    deep: (usize, String),
}

const PAGE: usize = 50;
/// The page that is called deep.
const DEEP: usize = 1_000;
/// How many different people are looked up and changed.
const VARIANTS: usize = 8_192;
/// How many search terms of each kind there are.
const TERMS: usize = 64;
/// How many people sign in, in turn.
const SLEEPERS: usize = 16;
const PASSWORD: &str = "seven-brass-otters-waltz";

const FIELDS: &str = "id username firstName lastName email position userType";

/// Names to guess at: of people who have a password, and of people who have none.
pub struct Logins {
    pub with_password: Vec<String>,
    pub without_password: Vec<String>,
}

/// All workloads in the order in which they are measured: what changes the data comes last.
pub async fn all(address: SocketAddr, tokens: &Tokens) -> Result<(Vec<Arc<Workload>>, Logins)> {
    let mut connection = Connection::open(address).await?;
    let walk = walk(&mut connection, address, &tokens.reader).await?;
    let read =
        |query: &str, variables: &Value, begins: &str| request(address, &tokens.reader, query, variables, begins);
    let write = Writer { address, token: tokens.writer.clone() };

    let floor = |token| request(address, token, "{ __typename }", &json!({}), r#"{"data":{"__typename":"Query"}"#);
    let by_id = format!(
        "query($id: ID!) {{ user(by: {{id: $id}}) {{ {FIELDS} institution {{ id name }} groups {{ id name }} }} }}"
    );
    let person = |id: &str| read(&by_id, &json!({"id": id}), &format!(r#"{{"data":{{"user":{{"id":"{id}","#));
    let page =
        format!("{{ users(first: {PAGE}) {{ nodes {{ {FIELDS} institution {{ id name }} groups {{ id name }} }} }} }}");
    let deep = read(
        "query($after: String) { users(first: 50, after: $after) { nodes { id username } } }",
        &json!({"after": walk.deep.1}),
        r#"{"data":{"users":{"nodes":[{"id":""#,
    );
    let search = |term: String| {
        let query = "query($q: String!) { searchUsers(query: $q, first: 20) { nodes { id firstName lastName } } }";
        read(query, &json!({"q": term}), r#"{"data":{"searchUsers":{"nodes":[{"id":""#)
    };
    let w1 = Workload::ready("W1", spread(&walk.people, VARIANTS).map(|found| person(&found.id)).collect());
    let w2 = Workload::page("W2", read(&page, &json!({}), r#"{"data":{"users":{"nodes":[{"id":""#));
    let w4 = Workload::ready("W4", terms(&walk.people).into_iter().map(search).collect());
    let short = spread(&walk.people, TERMS).map(|found| head(&found.last, 2));
    let short = Workload::ready("W4-short", short.map(search).collect());
    let update = Workload::ready("update", write.updates(&walk.people));
    let w5 = Workload::new("W5", None, write.creation());
    let mixed = [&w1, &w1, &w2, &w1, &w1, &w4, &w1, &w2, &w1, &w5].map(Arc::clone).to_vec();
    let login = Workload::new("login", Some(2), Source::Ready(write.sleepers(&mut connection).await?));
    println!("W3 is page {} of {PAGE}", walk.deep.0);
    let logins = Logins {
        with_password: (0..SLEEPERS).map(address_of).collect(),
        without_password: spread(&walk.people, 64).map(|person| person.login.clone()).collect(),
    };
    let workloads = vec![
        Workload::ready("floor", vec![floor("")]),
        Workload::ready("token", vec![floor(&tokens.reader)]),
        w1,
        w2,
        Workload::page("W3", deep),
        w4,
        short,
        Workload::new("W8", None, Source::Mixed(mixed)),
        update,
        w5,
        login,
    ];
    Ok((workloads, logins))
}

impl Workload {
    fn new(name: &'static str, concurrency: Option<usize>, source: Source) -> Arc<Self> {
        Arc::new(Self { name, concurrency, source, next: AtomicUsize::new(0), nodes: None })
    }

    fn ready(name: &'static str, requests: Vec<Request>) -> Arc<Self> {
        Self::new(name, None, Source::Ready(requests))
    }

    fn page(name: &'static str, request: Request) -> Arc<Self> {
        let source = Source::Ready(vec![request]);
        Arc::new(Self { name, concurrency: None, source, next: AtomicUsize::new(0), nodes: Some(PAGE) })
    }

    /// Sends the next request and looks at its answer; with `closely` all of it is read.
    pub async fn ask(&self, connection: &mut Connection, closely: bool) -> Result<Verdict> {
        let request = self.request()?;
        let answer = connection.ask(&request.bytes).await?;
        let verdict = request.verdict(&answer);
        let nodes_are_there = !closely || self.nodes.is_none_or(|nodes| count_of_nodes(answer.body) == Some(nodes));
        verdict.filter(|_| nodes_are_there).with_context(|| {
            let sent = String::from_utf8_lossy(&request.bytes);
            let sent = sent.split("\r\n\r\n").nth(1).unwrap_or_default();
            let body: String = answer.body.chars().take(500).collect();
            format!("{}: a wrong answer to {sent}\n{} {body}", self.name, answer.status)
        })
    }

    fn request(&self) -> Result<Cow<'_, Request>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match &self.source {
            Source::Ready(requests) => in_turn(requests, turn).map(Cow::Borrowed),
            Source::Fresh(make) => Ok(Cow::Owned(make(turn))),
            Source::Mixed(workloads) => in_turn(workloads, turn)?.request(),
        }
    }
}

impl Request {
    /// None for a wrong answer.
    fn verdict(&self, answer: &Answer<'_>) -> Option<Verdict> {
        if answer.body.contains(r#""RATE_LIMITED""#) {
            return Some(Verdict::Limited);
        }
        let right =
            answer.status == 200 && answer.body.starts_with(&self.begins) && !answer.body.contains(r#""errors":"#);
        right.then_some(Verdict::Right)
    }
}

/// Where the requests that change something come from.
struct Writer {
    address: SocketAddr,
    token: String,
}

impl Writer {
    /// The same people twice over with other values, so that no update is without effect.
    fn updates(&self, people: &[Person]) -> Vec<Request> {
        let query = "mutation($i: UpdateUserInput!) { updateUser(input: $i) { success user { id position } } }";
        let update = |position: &'static str| {
            spread(people, VARIANTS).map(move |person| {
                let input = json!({"i": {"id": person.id, "position": position}});
                request(self.address, &self.token, query, &input, r#"{"data":{"updateUser":{"success":true"#)
            })
        };
        update("Load Tester").chain(update("Load Bearer")).collect()
    }

    fn creation(&self) -> Source {
        let (address, token) = (self.address, self.token.clone());
        Source::Fresh(Box::new(move |turn| {
            let number = turn + SLEEPERS;
            request(address, &token, CREATE, &json!({"i": newcomer(number, None)}), CREATED)
        }))
    }

    /// Enters those who will sign in, and returns the requests by which they do.
    async fn sleepers(&self, connection: &mut Connection) -> Result<Vec<Request>> {
        let query = "mutation($i: LoginInput!) { login(input: $i) { success token user { id } } }";
        let mut logins = Vec::new();
        for number in 0..SLEEPERS {
            let input = newcomer(number, Some(PASSWORD));
            let entry = request(self.address, &self.token, CREATE, &json!({"i": input}), CREATED);
            let answer = connection.ask(&entry.bytes).await?;
            ensure!(entry.verdict(&answer) == Some(Verdict::Right), "createUser: {}", answer.body);
            let input = json!({"i": {"login": input["email"], "password": PASSWORD}});
            logins.push(request(self.address, "", query, &input, r#"{"data":{"login":{"success":true,"token":""#));
        }
        Ok(logins)
    }
}

const CREATE: &str = "mutation($i: CreateUserInput!) { createUser(input: $i) { success user { id version } } }";
const CREATED: &str = r#"{"data":{"createUser":{"success":true"#;

fn address_of(number: usize) -> String {
    format!("newcomer.{number}@bench.example.org")
}

fn newcomer(number: usize, password: Option<&str>) -> Value {
    let mut input = json!({
        "firstName": "Newcomer",
        "lastName": format!("Loadtest{number}"),
        "username": format!("newcomer.{number}"),
        "email": address_of(number),
        "position": "Nurse",
        "sendRegistrationEmail": false,
        "userType": "CLINICIAN",
    });
    if let (Some(password), Some(fields)) = (password, input.as_object_mut()) {
        fields.insert("password".to_owned(), password.into());
    }
    input
}

fn request(address: SocketAddr, token: &str, query: &str, variables: &Value, begins: &str) -> Request {
    let body = json!({"query": query, "variables": variables}).to_string();
    Request { bytes: post(address, token, &body), begins: begins.to_owned() }
}

/// Goes through the list of people as far as the deep page, or as far as there are people.
async fn walk(connection: &mut Connection, address: SocketAddr, token: &str) -> Result<Walk> {
    let query = "query($first: Int, $after: String) { users(first: $first, after: $after) {
        nodes { id firstName lastName username email } pageInfo { endCursor hasNextPage } } }";
    let (mut people, mut cursors, mut after) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let left = (DEEP - 1) * PAGE - people.len();
        let first = if left == 0 { PAGE } else { left.min(100) };
        let asked = request(address, token, query, &json!({"first": first, "after": after}), "");
        let answer = connection.ask(&asked.bytes).await?;
        let users: Value = serde_json::from_str::<Value>(answer.body)?["data"]["users"].take();
        let nodes = users["nodes"].as_array().with_context(|| answer.body.to_owned())?;
        people.extend(nodes.iter().map(|node| {
            let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
            let login = if node["email"].is_null() { text("username") } else { text("email") };
            Person { id: text("id"), first: text("firstName"), last: text("lastName"), login }
        }));
        if left == 0 || users["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = users["pageInfo"]["endCursor"].clone();
        cursors.push((people.len(), after.as_str().unwrap_or_default().to_owned()));
    }
    let deep = cursors.into_iter().rfind(|(before, _)| before + PAGE <= people.len());
    let (before, cursor) = deep.context("there are too few people: --users 1000 or more")?;
    Ok(Walk { people, deep: (before / PAGE + 1, cursor) })
}

/// Parts of names and addresses, by turns: the beginning of a last name, which many have; a last name without its first
/// letter; the beginning of a first name and a last name; and one person's address.
fn terms(people: &[Person]) -> Vec<String> {
    let long_enough =
        people.iter().filter(|person| person.first.chars().count() > 2 && person.last.chars().count() > 3);
    let chosen: Vec<&Person> = long_enough.collect();
    let of_each = |person: &&Person| {
        [
            head(&person.last, 3),
            person.last.chars().skip(1).collect(),
            format!("{} {}", head(&person.first, 3), person.last),
            person.login.split('@').next().unwrap_or_default().to_owned(),
        ]
    };
    spread(&chosen, TERMS).flat_map(of_each).collect()
}

/// As many things as are wanted, from all over the list and not in its order.
fn spread<T>(list: &[T], wanted: usize) -> impl Iterator<Item = &T> {
    // A prime that divides no length of a list here, so that each is met once before any is met again.
    (0..wanted.min(list.len())).filter_map(|n| list.get(n * 1_000_003 % list.len()))
}

fn head(text: &str, letters: usize) -> String {
    text.chars().take(letters).collect()
}

fn in_turn<T>(list: &[T], turn: usize) -> Result<&T> {
    list.get(turn % list.len().max(1)).context("a workload without requests")
}

fn count_of_nodes(body: &str) -> Option<usize> {
    let answer: Value = serde_json::from_str(body).ok()?;
    let connection = answer.get("data")?.as_object()?.values().next()?;
    connection.get("nodes")?.as_array().map(Vec::len)
}
