//! Every valid document takes a bounded amount of work and memory: thousands are generated from the schema and a seed
//! and sent to the built program, with 20,000 users in the database.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use roster::db::Db;
use roster::entity::membership::{self, GroupRole};
use roster::entity::{group, institution, license, user};
use roster::scalar::now;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Value, json};

use crate::author::{ArgumentValues, DocumentGenerator, GeneratedDocument};
use crate::hostile::each;
use crate::process::{Caller, Process, Sandbox};
use crate::work;

const USERS: usize = 20_000;
/// The longest deadline of a request that can be set, in seconds. Expensive documents run at a low priority, so on a busy machine
/// they take long, but no more processor time.
const REQUEST_SECONDS: &str = "300";
/// The limit for the processor time of one document, as a multiple of the reference work: one second of the optimized
/// program on the machine where it was measured, and the equivalent on other machines and without optimization.
const MAX_WORK: u64 = 1_000;
/// The limit for the memory of one document, in KiB.
const MAX_MEMORY: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_valid_documents_take_bounded_work_on_sqlite() {
    documents_are_answered_with_bounded_work(Sandbox::on_sqlite(), 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_valid_documents_take_bounded_work_on_postgres() {
    if let Some(sandbox) = Sandbox::on_postgres().await {
        documents_are_answered_with_bounded_work(sandbox, 200).await;
    }
}

/// The resources that a document took.
struct Measurement {
    document: GeneratedDocument,
    /// In units of the reference work.
    work: u64,
    /// In KiB.
    memory: u64,
    bytes: usize,
    outcome: String,
}

async fn documents_are_answered_with_bounded_work(sandbox: Sandbox, count: usize) {
    let began = Instant::now();
    let users = USERS.to_string();
    let arguments = ["--data-dir", "roster-data", "--users", users.as_str(), "--tokens", "tokens.json"];
    let server = sandbox.serve(&[&["demo", "--request-seconds", REQUEST_SECONDS][..], &arguments].concat()).await;
    let argument_values = argument_values(&sandbox.db().await).await;
    println!("{USERS} users after {:?}", began.elapsed());
    let tokens: Value = serde_json::from_slice(&fs::read(sandbox.path("tokens.json")).unwrap()).unwrap();
    let callers = ["user", "superuser", "license_admin"].map(|kind| server.caller(tokens[kind].as_str()));
    let most_expensive = expensive_documents(&argument_values);
    let mut generator = DocumentGenerator::new(argument_values, 0x9e37_79b9);
    let mut measurements = Vec::new();
    for (query, variables) in most_expensive {
        let cost = generator.cost(&query, &variables).unwrap_or_else(|| panic!("not valid: {query}"));
        assert!(cost <= roster::graphql::cost::MAX_COST, "{cost}: {query}");
        for caller in callers.iter().take(2) {
            let document = GeneratedDocument { query: query.clone(), variables: variables.clone(), cost };
            measurements.push(execute(&server, caller, document).await);
        }
    }
    for number in 0..count {
        let document = generator.write();
        measurements.push(execute(&server, &callers[number % callers.len()], document).await);
    }
    println!("{} documents after {:?}", measurements.len(), began.elapsed());
    report(&mut measurements);
}

/// Prints the most expensive documents, and fails if one exceeded a limit.
fn report(measurements: &mut [Measurement]) {
    let mut worst = String::new();
    measurements.sort_by_key(|measurement| std::cmp::Reverse(measurement.work));
    for Measurement { document, work, memory, bytes, outcome } in measurements.iter().take(12) {
        let text: String = document.query.chars().take(300).collect();
        writeln!(worst, "{work} units, {memory} KiB, cost {}, {bytes} bytes, {outcome}: {text}", document.cost)
            .unwrap();
    }
    println!("the most work:\n{worst}");
    let most_expensive: Vec<&Measurement> = measurements
        .iter()
        .filter(|measurement| measurement.work > MAX_WORK || measurement.memory > MAX_MEMORY)
        .collect();
    let too_large = measurements.iter().filter(|measurement| measurement.outcome == "ANSWER_TOO_LARGE").count();
    let mean = measurements.iter().map(|measurement| measurement.work).sum::<u64>() / measurements.len() as u64;
    let memory = measurements.iter().map(|measurement| measurement.memory).max().unwrap_or_default();
    println!("mean {mean} units, at most {memory} KiB; {too_large} responses were too large");
    assert!(too_large * 10 < measurements.len(), "too many responses exceeded the size limit");
    let texts: Vec<String> = most_expensive
        .iter()
        .map(|measurement| {
            format!(
                "{} units, {} KiB: {} {}",
                measurement.work, measurement.memory, measurement.document.query, measurement.document.variables
            )
        })
        .collect();
    assert!(texts.is_empty(), "over the limit:\n{}", texts.join("\n").chars().take(20_000).collect::<String>());
}

async fn execute(server: &Process, caller: &Caller, document: GeneratedDocument) -> Measurement {
    let (work, memory) = (spent(server.id()), peak_memory(server.id()));
    let response = caller.try_execute(&document.query, &document.variables).await.expect("a response");
    let codes: Vec<&str> = response["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| error["extensions"]["code"].as_str().unwrap())
        .collect();
    let is_legal = |code: &&str| ["ANSWER_TOO_LARGE", "FORBIDDEN", "BAD_USER_INPUT"].contains(code);
    assert!(codes.iter().all(is_legal), "{codes:?} {}\n{} {}", response["errors"], document.query, document.variables);
    let spent = spent(server.id()) - work;
    Measurement {
        work: spent * 1_000_000 / work::unit(),
        memory: peak_memory_since(server.id()).saturating_sub(memory),
        bytes: response.to_string().len(),
        outcome: codes.first().map_or("ok".to_owned(), |code| (*code).to_owned()),
        document,
    }
}

/// The processor time of a process, in milliseconds.
fn spent(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    let fields = after_name.split(' ').skip(11).take(2);
    fields.map(|ticks| ticks.parse::<u64>().unwrap_or_default() * 10).sum()
}

/// The current memory of a process, in KiB. Resets the peak.
fn peak_memory(process: u32) -> u64 {
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
    status(process, "VmRSS:")
}

fn peak_memory_since(process: u32) -> u64 {
    status(process, "VmHWM:")
}

fn status(process: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().unwrap_or_default().parse().unwrap_or_default()
}

/// The values used as arguments. Adds every user of the first license to the first group.
async fn argument_values(db: &Db) -> ArgumentValues {
    let reader = db.read();
    let licenses: Vec<license::Model> =
        license::Entity::find().order_by_asc(license::Column::Number).all(reader).await.unwrap();
    let first = licenses[0].id;
    let groups = group::Entity::find()
        .filter(group::Column::LicenseId.eq(first))
        .order_by_asc(group::Column::NameKey)
        .limit(150)
        .all(reader)
        .await
        .unwrap();
    let institutions = institution::Entity::find()
        .filter(institution::Column::LicenseId.eq(first))
        .limit(150)
        .all(reader)
        .await
        .unwrap();
    let users = user::Entity::find()
        .filter(user::Column::LicenseId.eq(first))
        .order_by_asc(user::Column::Id)
        .all(reader)
        .await
        .unwrap();
    membership::Entity::delete_many()
        .filter(membership::Column::GroupId.eq(groups[0].id))
        .exec(db.write())
        .await
        .unwrap();
    for some in users.chunks(1_000) {
        let rows = some.iter().map(|user| membership::Model {
            user_id: user.id,
            group_id: groups[0].id,
            role: GroupRole::Member,
            joined_at: now(),
        });
        let rows = rows.map(|row| row.into_active_model().reset_all());
        membership::Entity::insert_many(rows).exec_without_returning(db.write()).await.unwrap();
    }
    db.analyze().await.unwrap();
    let some = users.iter().step_by((users.len() / 1_000).max(1));
    let words = some
        .clone()
        .flat_map(|user| [user.first_name.clone(), user.last_name.clone()].into_iter().chain(user.email.clone()));
    let id = |id: roster::scalar::Id| id.0.to_string();
    ArgumentValues {
        users: some.clone().map(|user| id(user.id)).collect(),
        groups: groups.iter().map(|group| id(group.id)).collect(),
        institutions: institutions.iter().map(|institution| id(institution.id)).collect(),
        licenses: licenses.iter().map(|license| id(license.id)).collect(),
        words: words.filter(|word| !word.is_empty()).collect(),
    }
}

/// Documents at the limits, each expensive in a different way.
fn expensive_documents(argument_values: &ArgumentValues) -> Vec<(String, Value)> {
    let group = &argument_values.groups[0];
    let members = |first: usize| format!("members(first: {first}) {{ totalCount }}");
    let windows = each(22, |n| format!("a{n}: {} ", members(n + 1)));
    let ends = each(11, |n| {
        format!("a{n}: members(first: {0}) {{ totalCount }} z{n}: members(last: {0}) {{ totalCount }} ", n + 1)
    });
    let everything = "id username email firstName lastName fullName nickname position phone website gender role userType dateJoined modifiedAt institution { name } groups { name description }";
    let contains = |n: usize| {
        format!(
            "{{ or: [{{ email: {{ contains: \"q{n}x\" }} }}, {{ position: {{ endsWith: \"z{n}\" }} }}, {{ website: {{ contains: \"y{n}\" }} }}] }}"
        )
    };
    let words: Vec<String> =
        argument_values.words.iter().step_by(17).take(9).map(|word| word.chars().take(4).collect()).collect();
    let search: String = words.join(" ").chars().take(190).collect();
    let search_for = |n: usize| search.replacen(' ', &format!(" {n}"), 1);
    vec![
        (format!("{{ groups(first: 100) {{ nodes {{ {windows} }} }} }}"), json!({})),
        (format!("{{ groups(first: 100) {{ nodes {{ {ends} }} }} }}"), json!({})),
        (format!("{{ {} }}", each(10, |n| format!("g{n}: group(id: \"{group}\") {{ x: members(first: 100) {{ totalCount nodes {{ id }} }} y: members(last: 100) {{ nodes {{ id }} }} }} "))), json!({})),
        (format!("{{ groups(first: 100) {{ nodes {{ members(first: 16) {{ totalCount nodes {{ {everything} }} }} }} }} }}"), json!({})),
        (format!("{{ users(first: 100) {{ totalCount nodes {{ {everything} g: groups {{ name members(first: 3) {{ totalCount nodes {{ id firstName lastName groups {{ name }} }} }} }} }} }} }}"), json!({})),
        ("{ users(first: 20) { nodes { groups { members(first: 5) { nodes { groups { members(first: 5) { totalCount } } } } } } } }".to_owned(), json!({})),
        (format!("{{ {} }}", each(10, |n| format!("u{n}: users(first: 100, filter: {}, orderBy: [{{ field: POSITION }}, {{ field: EMAIL }}]) {{ totalCount nodes {{ id }} }} ", contains(n)))), json!({})),
        (format!("{{ {} }}", each(10, |n| format!("u{n}: users(first: 100, orderBy: [{{ field: MODIFIED_AT }}, {{ field: POSITION, direction: DESC }}]) {{ totalCount nodes {{ {everything} }} }} ")).replace("first: 100", "first: 50")), json!({})),
        (format!("{{ {} }}", each(4, |n| format!("s{n}: searchUsers(query: \"{}\", first: 10) {{ totalCount nodes {{ id }} }} ", search_for(n)))), json!({})),
        (format!("{{ {} }}", each(10, |n| format!("s{n}: searchUsers(query: \"{}\", first: 100, filter: {}) {{ totalCount edges {{ score node {{ id }} }} }} ", (b'a' + u8::try_from(n).unwrap()) as char, contains(n)))), json!({})),
        (format!("{{ {} }}", each(10, |n| format!("e{n}: auditEvents(first: 100, filter: {{ action: [LOGIN_FAILED, USER_DELETED] }}) {{ totalCount nodes {{ id actor {{ id }} changes {{ field before after }} }} }} ")).replace("first: 100", "first: 50")), json!({})),
        (format!("query ($keys: [String!]!) {{ {} }}", each(5, |n| format!("r{n}: resolveUsers(keys: $keys) {{ key status user {{ id }} }} "))), json!({ "keys": argument_values.words.iter().take(1_000).collect::<Vec<_>>() })),
        (format!("query ($ids: [ID!]!) {{ {} }}", each(10, |n| format!("n{n}: nodes(ids: $ids) {{ id ... on User {{ {everything} }} }} "))), json!({ "ids": argument_values.users.iter().take(100).collect::<Vec<_>>() })),
        (include_str!("../../src/graphql/cost/full_introspection.graphql").to_owned(), json!({})),
        ("{ __schema { types { name fields { name description type { name fields { name type { name ofType { name } } } } } } } }".to_owned(), json!({})),
        (format!("{{ institutions(first: 100) {{ nodes {{ {} }} }} }}", each(10, |n| format!("a{n}: users(first: {}) {{ totalCount }} ", n + 1))), json!({})),
        ("{ users(first: 100) { nodes { sites(first: 10) { totalCount nodes { name users(first: 3) { totalCount } } } } } }".to_owned(), json!({})),
    ]
}
