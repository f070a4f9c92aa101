//! Requests of attackers and broken programs: never a panic, a 5xx status or a reset connection, always a response with
//! error codes.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::join_all;
use roster::entity::user;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::app::{App, Caller, payload_errors};
use crate::definition::{Definition, Operation};
use crate::wire::{RawClient, RawResponse, read_response, request};
use crate::work::Work;

/// The most work of a rejected request, in thousandths of the reference work. Includes the work of the caller, who
/// writes up to a megabyte. A request that is not limited costs thousands of times as much.
const REFUSAL: u64 = 100_000;
/// The same for a request that is executed.
const ANSWER: u64 = 200_000;
/// The most statements of a rejected request: for the viewer, at first and in the transaction of a mutation, for the rows
/// that the arguments name, and for the users who have the same logins and references.
const STATEMENTS_OF_REFUSAL: u64 = 11;

/// How many callers send mutated requests at once.
const AT_ONCE: usize = 6;

/// Strings that programs often fail on. None of them can be part of an email address that the tests generate.
const ODD: [&str; 14] = [
    "",
    " \u{3000}\u{200b} ",
    "q\u{1}\u{1b}[31mz\u{7f}\u{85}",
    "one\r\ntwo\tthree",
    "\u{202e}gnol\u{2066}\u{200f}",
    "q\u{200b}\u{200d}\u{feff}\u{ad}z",
    "\u{fffd}\u{fffe}\u{ffff}\u{10ffff}",
    "\u{1f469}\u{200d}\u{1f52c}\u{1f3fd}",
    "ﬃ ß İ ı ǅ ΐ ﷺ",
    "%_\\%\\_\\\\",
    "\"'`--;/*$1?",
    "null",
    "../../etc/passwd",
    "-0.0e308",
];

/// Injections of SQL and of the query languages of full-text indexes.
const SQL: [&str; 9] = [
    "' OR '1'='1",
    "'; UPDATE users SET first_name = 'pwned'; --",
    "'); DELETE FROM users; --",
    "\"; DROP TABLE users; --",
    "\\'; DROP TABLE users; --",
    "$1); TRUNCATE users CASCADE; --",
    "x' UNION SELECT password_hash FROM credentials --",
    "\" OR search_key : a*",
    "a NEAR(b) ^c + {d}",
];

/// The ids in the inputs of requests. None is the id of a caller.
struct Ids {
    user: String,
    group: String,
    institution: String,
    license: String,
}

impl Ids {
    async fn make(app: &App, superuser: &Caller<'_>) -> Self {
        let user = app.user().await.id();
        let group = superuser.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await;
        let institution = json!({ "name": "Site", "kind": "HOSPITAL", "country": "AU" });
        let institution = superuser.mutate("createInstitution", "institution { id }", institution).await;
        let id = |value: &Value| value.as_str().unwrap().to_owned();
        let (group, institution) = (id(&group["group"]["id"]), id(&institution["institution"]["id"]));
        Self { user, group, institution, license: app.license.0.to_string() }
    }

    fn operations(&self, depth: usize) -> Vec<Operation> {
        let ids = |of: &str, name: &str| {
            let id = match (of, name) {
                ("group", _) | (_, "groupId") => &self.group,
                ("institution", _) | (_, "institutionId") => &self.institution,
                ("license", _) => &self.license,
                _ => &self.user,
            };
            Some(id.clone())
        };
        Definition::of_roster().operations(depth, &ids)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mutated_requests_do_no_harm_on_sqlite() {
    mutated_requests_do_no_harm(App::on_sqlite().await, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_mutated_requests_do_no_harm_on_postgres() {
    if let Some(app) = App::on_postgres().await {
        mutated_requests_do_no_harm(app, 2_000).await;
    }
}

async fn mutated_requests_do_no_harm(app: App, requests: usize) {
    let began = Instant::now();
    let superuser = app.superuser().await;
    let operations = Ids::make(&app, &superuser).await.operations(2);
    let storms = (0..AT_ONCE as u64).map(|seed| {
        let mutator = Mutator { rng: Rng(0x9e37_79b9 + seed), operations: operations.clone(), tokens: Vec::new() };
        send_mutated_requests(&app, mutator, requests.div_ceil(AT_ONCE))
    });
    let mut total = Summary::default();
    for summary in join_all(storms).await {
        total.add(&summary);
    }
    assert!(total.sent >= requests, "{total:?}");
    assert!(total.ran * 12 > total.sent, "too few requests ran: {total:?}");
    assert!(total.codes.len() >= 8, "too few kinds of errors: {total:?}");
    println!("{} mutated requests in {:?}: {total:?}", total.sent, began.elapsed());

    let data = app.superuser().await.data("{ viewer { firstName } users { totalCount } }", json!({})).await;
    assert_eq!(data["viewer"]["firstName"], "Super");
    let ready = RawClient(app.address).get("/health/ready").await;
    assert_eq!(ready.json(), json!({ "status": "ok" }));
}

#[derive(Debug, Default)]
struct Summary {
    sent: usize,
    /// The number of responses without errors.
    ran: usize,
    /// The number of responses with errors, by the code of the first error.
    codes: BTreeMap<String, usize>,
}

impl Summary {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ran += other.ran;
        for (code, count) in &other.codes {
            *self.codes.entry(code.clone()).or_default() += count;
        }
    }
}

/// Sends mutated requests one after the other, on one connection for as long as the server keeps it.
async fn send_mutated_requests(app: &App, mut mutator: Mutator, requests: usize) -> Summary {
    let client = RawClient(app.address);
    let users = [app.superuser().await.id, app.user().await.id];
    let mut summary = Summary::default();
    let mut stream = client.connect().await;
    let mut last = String::new();
    for number in 0..requests {
        // Some requests end the sessions.
        if number % 50 == 0 || last.starts_with("RawResponse { status: 401") {
            mutator.tokens = vec![None];
            for id in users {
                let user = user::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap();
                mutator.tokens.push(app.sign_in(user).await.token.clone());
            }
        }
        let bytes = mutator.request();
        let response = exchange(&mut stream, &bytes).await;
        let response = response.unwrap_or_else(|error| panic!("{error}\n{}\nafter {last}", shown(&bytes)));
        last = format!("{response:?} to {} bytes: {}", bytes.len(), shown(&bytes));
        summary.sent += 1;
        match check(&response, &bytes) {
            None => summary.ran += 1,
            Some(code) => *summary.codes.entry(code).or_default() += 1,
        }
        if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            stream = client.connect().await;
        }
    }
    summary
}

/// Sends a request and reads the response. A failed write is not an error, since the server may respond before it has
/// read everything.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> Result<RawResponse, String> {
    let sent = stream.write_all(bytes).await;
    read_response(stream, false).await.map_err(|error| format!("{error} (sent: {sent:?})"))
}

/// The code of the first error of a response, if any. Checks that all errors have codes and that none is internal.
fn check(response: &RawResponse, sent: &[u8]) -> Option<String> {
    let sent = || shown(sent);
    assert!(response.status < 500, "{response:?}\n{}", sent());
    let media = response.header("content-type").unwrap_or_default();
    assert!(media.starts_with("application/") && media.contains("json"), "{response:?}\n{}", sent());
    let body: Value = serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("{response:?}\n{}", sent()));
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    assert!(!errors.is_empty() || response.status == 200 && body["data"].is_object(), "{response:?}\n{}", sent());
    for error in &errors {
        let code = error["extensions"]["code"].as_str();
        assert!(code.is_some_and(|code| code != "INTERNAL"), "{response:?}\n{}", sent());
    }
    errors.first().and_then(|error| error["extensions"]["code"].as_str()).map(str::to_owned)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(6_000)]).into_owned()
}

/// A random generator (`SplitMix64`). The same seed gives the same numbers.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Generates requests that are nearly valid.
struct Mutator {
    rng: Rng,
    operations: Vec<Operation>,
    tokens: Vec<Option<String>>,
}

/// Strings that are inserted into documents.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\"\"\"",
    "...",
    "@",
    "$",
    ":",
    "#",
    "\\",
    "\n",
    "é",
    "\u{feff}",
    "0",
    "-",
    "on",
    "null",
    "true",
    "!",
    "=",
    "&",
    "|",
    "\u{202e}",
    "1e999",
    "99999999999999999999",
    "-1",
    "$input",
    "...A",
    "fragment A on User { id }",
    "@include(if: false)",
    "@skip(if: $input)",
    "__typename",
    "__schema { types { name } }",
    "\"\\ud83d\\ude00\"",
    "query B { viewer { id } }",
    "a: viewer { id }",
];

/// A placeholder for a lone surrogate, which no JSON serializer writes. Replaced in the serialized text.
const SURROGATE: &str = "@lone-surrogate@";

impl Mutator {
    fn request(&mut self) -> Vec<u8> {
        let mut operation = self.rng.choose(&self.operations).clone();
        while ["login", "logout"].contains(&operation.field.as_str()) && !self.rng.one_in(4) {
            operation = self.rng.choose(&self.operations).clone(); // usually not these: they cost a password hash or a session
        }
        let mut variables = operation.variables.clone();
        if operation.field != "login" && !self.rng.one_in(4) {
            leave_out_password(&mut variables);
        }
        let has_variables = variables.as_object().is_some_and(|members| !members.is_empty());
        if self.rng.one_in(3) || !has_variables {
            for _ in 0..=self.rng.below(2) {
                operation.query = self.document(&operation.query);
            }
        } else {
            for _ in 0..=self.rng.below(2) {
                self.member(&mut variables);
            }
        }
        self.envelope(&operation.query, &variables)
    }

    /// The document with a part removed, repeated, swapped, inserted or changed.
    fn document(&mut self, query: &str) -> String {
        let mut tokens: Vec<String> =
            query.split_inclusive([' ', '{', '}', '(', ')', ':']).map(str::to_owned).collect();
        let at = self.rng.below(tokens.len());
        match self.rng.below(6) {
            0 => {
                tokens.remove(at);
            }
            1 => tokens.insert(at, tokens[at].clone()),
            2 => {
                let other = self.rng.below(tokens.len());
                tokens.swap(at, other);
            }
            3 => tokens.insert(at, format!(" {} ", self.rng.choose(&PIECES))),
            4 => {
                let deepest = if self.rng.one_in(4) { 200 } else { 12 };
                let depth = 1 + self.rng.below(deepest);
                tokens.insert(at, "{viewer".repeat(depth));
            }
            _ => {
                let text: String = tokens.concat();
                let mut chars: Vec<char> = text.chars().collect();
                let at = self.rng.below(chars.len());
                chars[at] = char::from_u32(u32::from(chars[at]) ^ (1 << self.rng.below(7))).unwrap_or('\u{fffd}');
                return chars.into_iter().collect();
            }
        }
        tokens.concat()
    }

    /// Changes one member of an object, or something within it.
    fn member(&mut self, object: &mut Value) {
        let Some(members) = object.as_object_mut().filter(|members| !members.is_empty()) else { return };
        let name = members.keys().nth(self.rng.below(members.len())).unwrap().clone();
        match self.rng.below(16) {
            0 => {
                members.remove(&name);
            }
            1 => {
                let odd = self.odd_value();
                members.insert(self.odd_text(), odd);
            }
            _ => self.value(&mut members[&name]),
        }
    }

    /// Changes one value, or something within it.
    fn value(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) if !members.is_empty() && !self.rng.one_in(12) => self.member(value),
            Value::Array(items) if !items.is_empty() && !self.rng.one_in(4) => {
                let at = self.rng.below(items.len());
                self.value(&mut items[at]);
            }
            Value::String(text) if !self.rng.one_in(4) => {
                if text.is_empty() || self.rng.one_in(2) {
                    *text = self.odd_text();
                    return;
                }
                let mut chars: Vec<char> = text.chars().collect();
                let at = self.rng.below(chars.len());
                chars[at] = char::from_u32(u32::from(chars[at]) ^ (1 << self.rng.below(7))).unwrap_or('\u{fffd}');
                *text = chars.into_iter().collect();
            }
            other => *other = self.odd_value(),
        }
    }

    fn odd_value(&mut self) -> Value {
        match self.rng.below(16) {
            0 => Value::Null,
            1 => json!(self.rng.one_in(2)),
            2 => json!(*self.rng.choose(&[0_i64, -1, 1, 101, 2_147_483_647, 2_147_483_648, i64::MIN])),
            3 => json!(u64::MAX),
            4 => json!(*self.rng.choose(&[0.5, -0.0, 1e300, 1e-300])),
            5 => json!([]),
            6 => json!({}),
            7 => {
                let depth = self.rng.below(150);
                (0..depth).fold(json!(1), |inner, _| json!([inner]))
            }
            8 => (0..self.rng.below(60)).fold(json!("x"), |inner, _| json!({ "input": inner })),
            9 => json!([null, [[], {}], "a", 1]),
            10 => json!("MEMBER"),
            _ => json!(self.odd_text()),
        }
    }

    fn odd_text(&mut self) -> String {
        match self.rng.below(20) {
            0 => "\0".to_owned(),
            1 => SURROGATE.to_owned(),
            2 => "#__graphql_file__:0".to_owned(),
            3 => format!("a{}", "\u{301}".repeat(10_000)),
            4 if self.rng.one_in(4) => "x".repeat(1_000_000),
            4..8 => "x".repeat(1 + self.rng.below(300)),
            8..12 => (*self.rng.choose(&SQL)).to_owned(),
            _ => (*self.rng.choose(&ODD)).to_owned(),
        }
    }

    /// The request as bytes, with mostly valid headers.
    fn envelope(&mut self, query: &str, variables: &Value) -> Vec<u8> {
        let mut headers = match self.rng.choose(&self.tokens.clone()) {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        if self.rng.one_in(40) {
            headers = format!("Authorization: {}\r\n", self.rng.choose(&["Bearer ros_x", "Basic eDp5", "Bearer", ""]));
        }
        if self.rng.one_in(20) {
            let accepted = ["application/json", "*/*", "text/html", "application/json;q=x", ",,;;", ""];
            headers = format!("{headers}Accept: {}\r\n", self.rng.choose(&accepted));
        }
        if self.rng.one_in(if query.starts_with("mutation") { 30 } else { 8 }) {
            let query_string = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("query", query)
                .append_pair("variables", &variables.to_string().replace(SURROGATE, "\\ud800"))
                .finish();
            if query_string.len() < 60_000 {
                return request("GET", &format!("/graphql?{query_string}"), &headers, b"");
            }
        }
        let types =
            ["text/plain", "application/graphql", "application/json; charset=latin1", "multipart/form-data", ""];
        let kind = if self.rng.one_in(30) { *self.rng.choose(&types) } else { "application/json" };
        headers = format!("{headers}Content-Type: {kind}\r\n");
        let mut members = json!({ "query": query, "variables": variables });
        if self.rng.one_in(10) {
            let name = *self.rng.choose(&["operationName", "extensions", "query", "variables", "id"]);
            members[name] = self.odd_value();
        }
        if self.rng.one_in(60) {
            members = json!([members]);
        }
        let mut body = members.to_string().replace(SURROGATE, "\\ud800").into_bytes();
        for _ in 0..if self.rng.one_in(12) { 1 + self.rng.below(3) } else { 0 } {
            let at = self.rng.below(body.len());
            body[at] ^= 1 << self.rng.below(8);
        }
        if self.rng.one_in(60) {
            body.truncate(self.rng.below(body.len()));
        }
        let method = if self.rng.one_in(60) { *self.rng.choose(&["PUT", "DELETE", "PATCH"]) } else { "POST" };
        request(method, "/graphql", &headers, &body)
    }
}

on_every_database! {
    async fn sql_in_a_string_is_never_executed(app: App) {
        let superuser = app.superuser().await;
        let ids = Ids::make(&app, &superuser).await;
        let everyone = "{ users(first: 100, includeInactive: true) { nodes { id firstName lastName email isActive version } } }";
        let bystander = app.user().await;
        let before = bystander.data("{ viewer { firstName lastName email phone role version } }", json!({})).await;
        for (operation, place) in Definition::of_roster().texts(&ids.operations(1)) {
            if operation.field == "setActive" {
                continue; // its only string is an id, and a valid one would deactivate a user
            }
            for sql in SQL {
                let variables = with(&operation, &place, sql);
                let response = superuser.execute(&operation.query, variables).await;
                for error in response["errors"].as_array().into_iter().flatten() {
                    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{} {place:?} {sql}\n{response:#}", operation.field);
                }
            }
        }
        for sql in SQL {
            let found = superuser.data("query ($q: String!) { searchUsers(query: $q) { totalCount } }", json!({ "q": sql })).await;
            assert!(found["searchUsers"]["totalCount"].as_i64().unwrap() <= 20, "{sql}: {found}");
            let group = json!({ "name": sql, "description": sql });
            let created = superuser.mutate("createGroup", "group { name description }", group.clone()).await;
            assert_eq!(created["group"], group, "{sql}");
            let named = "query ($name: String!) { groups(nameContains: $name, first: 100) { nodes { name } } }";
            let groups = superuser.data(named, json!({ "name": sql })).await;
            let groups = groups["groups"]["nodes"].as_array().unwrap();
            assert!(!groups.is_empty() && groups.iter().all(|group| group["name"] == sql), "{sql}: {groups:#?}");
        }
        let after = bystander.data("{ viewer { firstName lastName email phone role version } }", json!({})).await;
        assert_eq!(before, after);
        let users = superuser.data(everyone, json!({})).await.to_string();
        assert!(!users.contains("\"pwned\""), "{users}");
    }

    async fn oversized_strings_are_rejected_with_little_work(app: App) {
        let superuser = app.superuser().await;
        let ids = Ids::make(&app, &superuser).await;
        let texts = Definition::of_roster().texts(&ids.operations(1));
        assert!(texts.len() > 60, "{}", texts.len());
        let (long, longer) = ("a".repeat(100_000), "a".repeat(1_000_000));
        let mut accepted = Vec::new();
        for (operation, place) in texts {
            for (text, status) in [(&long, None), (&longer, Some(413))] {
                let body = json!({ "query": operation.query, "variables": with(&operation, &place, text) });
                let what = format!("{} {}", operation.field, place.join("."));
                let (got, response) = with_little_work(&superuser, &body, &what, REFUSAL).await;
                assert!(status.is_none_or(|status| got == status), "{} {place:?}: {got}", operation.field);
                let has_errors = response["errors"].as_array().is_some_and(|errors| !errors.is_empty());
                if !has_errors && response["data"][&operation.field]["success"] != json!(false) {
                    accepted.push(format!("{} {}", operation.field, place.join(".")));
                }
            }
        }
        assert!(accepted.is_empty(), "accepted without an error: {accepted:#?}");
    }
}

#[tokio::test]
async fn unusual_strings_give_the_same_results_on_every_database() {
    let sqlite = outcomes_of_odd_texts(App::on_sqlite().await).await;
    let Some(app) = App::on_postgres().await else { return };
    let postgres = outcomes_of_odd_texts(app).await;
    assert_eq!(sqlite.len(), postgres.len());
    for (sqlite, postgres) in sqlite.iter().zip(&postgres) {
        assert_eq!(sqlite, postgres);
    }
}

/// The result of each unusual string in each place, without parts that differ from run to run.
async fn outcomes_of_odd_texts(app: App) -> Vec<String> {
    let superuser = app.superuser().await;
    let ids = Ids::make(&app, &superuser).await;
    let mut odd: Vec<String> = ODD.iter().map(|&text| text.to_owned()).collect();
    odd.push("a\0b".to_owned());
    odd.push(format!("a{}", "\u{301}".repeat(10_000)));
    odd.push(format!("a{}", "\u{301}".repeat(20)));
    odd.push("x".repeat(300));
    let mut outcomes = Vec::new();
    for (operation, place) in Definition::of_roster().texts(&ids.operations(1)) {
        for text in &odd {
            let body = json!({ "query": operation.query, "variables": with(&operation, &place, text) });
            let (status, response) = superuser.post(&body).await;
            let head: String = text.chars().take(12).collect();
            let what = format!("{} {} {head:?}", operation.field, place.join("."));
            assert!(status < 500, "{what}: {status} {response:#}");
            let errors: Vec<Value> = response["errors"].as_array().cloned().unwrap_or_default();
            let codes: Vec<&str> =
                errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("none")).collect();
            assert!(!codes.contains(&"INTERNAL") && !codes.contains(&"none"), "{what}: {response:#}");
            let answered = &response["data"][&operation.field];
            let kept = (answered["totalCount"].clone(), texts_of(answered));
            outcomes.push(format!("{what}: {status} {codes:?} {:?} {kept:?}", payload_errors(answered)));
        }
    }
    outcomes
}

/// The strings of a response that come from the input, not those that the server generates.
fn texts_of(response: &Value) -> Vec<String> {
    const GIVEN: [&str; 10] = [
        "firstName",
        "lastName",
        "username",
        "email",
        "nickname",
        "position",
        "name",
        "description",
        "website",
        "city",
    ];
    match response {
        Value::Array(items) => items.iter().flat_map(texts_of).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if GIVEN.contains(&name.as_str()) && !text.ends_with("@example.org") => {
                    vec![format!("{name}={text}")]
                }
                Value::String(_) => Vec::new(),
                value => texts_of(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn leave_out_password(variables: &mut Value) {
    if let Some(input) = variables.get_mut("input").and_then(Value::as_object_mut) {
        input.remove("password");
    }
}

/// The variables of a request with a string in one place. Passwords elsewhere are removed, since hashing takes time.
fn with(operation: &Operation, place: &[String], text: &str) -> Value {
    let mut variables = operation.variables.clone();
    leave_out_password(&mut variables);
    match place {
        [argument] => variables[argument] = json!(text),
        [argument, inner] if inner == "0" => variables[argument] = json!([text]),
        [argument, inner] => variables[argument][inner] = json!(text),
        _ => panic!("{place:?}"),
    }
    variables
}

/// The HTTP status and the response to a request. Checks that the request costs at most this much work.
async fn with_little_work(caller: &Caller<'_>, body: &Value, what: &str, most: u64) -> (u16, Value) {
    let (statements, work) = (caller.app.db.statements(), Work::begin());
    let response = caller.post(body).await;
    let (statements, work) = (caller.app.db.statements() - statements, work.done());
    assert!(work <= most, "{what}: {work} thousandths of the reference work");
    assert!(statements <= STATEMENTS_OF_REFUSAL, "{what}: {statements} statements");
    response
}

/// Concatenates the strings for the numbers from zero to `count - 1`.
pub fn each(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn hostile_documents_are_rejected_with_little_work() {
    let app = App::on_sqlite().await;
    let caller = app.superuser().await;
    let fragment_bomb = |count: usize, times: usize| {
        let spreads = |number: usize| format!("...F{number} ").repeat(times);
        let fragments: String =
            each(count, |number| format!("fragment F{number} on Query {{ {} }} ", spreads(number + 1)));
        format!("{{ ...F0 }} {fragments} fragment F{count} on Query {{ viewer {{ id }} }}")
    };
    let deep = "users(first:100){nodes{groups{members(first:100){nodes{groups{members(first:100){nodes{id}}}}}}}}";
    let arguments: String = each(1_500, |n| format!("a{n}:1 "));
    let too_large = [
        ("24 fragments twice", fragment_bomb(24, 2)),
        ("9 fragments ten times", fragment_bomb(9, 10)),
        ("1000 fragments twice", fragment_bomb(1_000, 2)),
        ("a cycle", "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned()),
        ("depth 16", format!("{}{}", "{viewer".repeat(16), "}".repeat(16))),
        ("depth 100000", format!("{}{}", "{a".repeat(100_000), "}".repeat(100_000))),
        ("brackets", "[".repeat(30_000)),
        ("31 aliases", format!("{{viewer{{{}}}}}", each(31, |n| format!("a{n}:id ")))),
        ("10000 aliases", format!("{{{}}}", each(10_000, |n| format!("a{n}:viewer{{id}} ")))),
        ("11 root fields", format!("{{{}}}", "viewer{id} ".repeat(11))),
        ("logins", format!("mutation{{{}}}", r#"login(input:{login:"a",password:"b"}){success} "#.repeat(11))),
        ("51 directives", format!("{{viewer{{id {}}}}}", "@include(if:true)".repeat(51))),
        ("every page full", format!("{{ {deep} }}")),
        ("two pages", "{ users(first:100){nodes{groups{members(first:100){nodes{id}}}}} }".to_owned()),
        ("pages by default", "{ users{nodes{groups{members{nodes{groups{members{nodes{id}}}}}}}} }".to_owned()),
    ];
    let invalid = [
        ("overlap", format!("{{__schema{{{}}}}}", "types{name} ".repeat(900))),
        ("unknown fields", format!("{{__schema{{{}}}}}", "zz ".repeat(1_900))),
        ("unknown arguments", format!("{{{0}{0}}}", format!("viewer({arguments}){{id}} "))),
        ("a long name", format!("{{{}}}", "z".repeat(30_000))),
        ("unused variables", format!("query({}){{viewer{{id}}}}", each(2_000, |n| format!("$v{n}:Int ")))),
        ("a long text", format!("{{searchUsers(query:\"{}\"){{totalCount}}}}", "x".repeat(32_000))),
        ("a long number", format!("{{users(first:{}){{totalCount}}}}", "9".repeat(32_000))),
        ("quotes", "\"".repeat(32_000)),
        ("types in types", format!("query($a:{}Int{}){{viewer{{id}}}}", "[".repeat(60), "]".repeat(60))),
        ("a mutation too many", "query{viewer{id}} mutation{logout{success}}".to_owned()),
    ];
    let documents = too_large.iter().map(|one| (one, true)).chain(invalid.iter().map(|one| (one, false)));
    for ((name, query), is_too_large) in documents {
        let (status, response) = {
            let most = if *name == "overlap" { ANSWER } else { REFUSAL };
            with_little_work(&caller, &json!({ "query": query }), name, most).await
        };
        let code = response["errors"][0]["extensions"]["code"].as_str().unwrap_or_default();
        assert!(
            status == 400 || status == 413 || name == &"overlap" || status == 200 && code == "BAD_USER_INPUT",
            "{name}: {status} {response:#}"
        );
        if is_too_large {
            let expected = if status == 413 { "PAYLOAD_TOO_LARGE" } else { "DOCUMENT_TOO_LARGE" };
            assert_eq!(code, expected, "{name}: {response:#}");
        }
        assert!(response.to_string().len() < 60_000, "{name}");
    }
}

#[tokio::test]
async fn introspection_and_typical_queries_are_accepted() {
    let app = App::on_sqlite().await;
    let caller = app.user().await;
    let of_type = (0..9).fold(String::new(), |inner, _| format!("kind name ofType {{ {inner} kind name }}"));
    let input = "name description type { ...TypeRef } defaultValue isDeprecated deprecationReason";
    let introspection = format!(
        "query IntrospectionQuery {{ __schema {{ description queryType {{ name kind }} mutationType {{ name kind }}
           subscriptionType {{ name kind }} types {{ ...FullType }} directives {{ name description isRepeatable locations
           args(includeDeprecated: true) {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description specifiedByURL isOneOf
           fields(includeDeprecated: true) {{ name description args(includeDeprecated: true) {{ ...InputValue }}
             type {{ ...TypeRef }} isDeprecated deprecationReason }}
           inputFields(includeDeprecated: true) {{ ...InputValue }} interfaces {{ ...TypeRef }}
           enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
           possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ {input} }}
         fragment TypeRef on __Type {{ {of_type} }}"
    );
    let data = caller.data(&introspection, json!({})).await;
    assert!(data["__schema"]["types"].as_array().unwrap().len() > 40);
    let list =
        "{ groups(first:50) { nodes { members(first:20) { nodes { institution { name } groups { name } } } } } }";
    caller.data(list, json!({})).await;
    let users =
        "{ users(first:100) { nodes { id fullName email institution { name license { name } } groups { name } } } }";
    caller.data(users, json!({})).await;
}
