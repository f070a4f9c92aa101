//! Runs the same thousands of random operations on SQLite and on PostgreSQL, one after the other: every response is the
//! same, whatever the text, order and collation.

mod deed;
mod making;
mod side;
mod words;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::entity::user::{AdminRightsInput, Role, UserFields};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use self::deed::{OPERATION_KINDS, Operation};
use self::side::Side;
use self::world::World;
use crate::app::{App, Caller};
use crate::process::env_or;

/// The number of operations; `ROSTER_TEST_OPERATIONS` overrides it.
const OPERATIONS: usize = 5_000;
/// The seed of the random choices; `ROSTER_TEST_SEED` overrides it.
const SEED: usize = 20_261_130;
/// The number of users who keep their rights.
const FIXED: usize = 8;
/// The number of other users who are signed in at a time.
const PASSING: usize = 3;
/// The number of operations after which one of them is replaced.
const STAY: usize = 40;

/// The users who keep their rights, in the order of `Sender::Fixed`.
async fn fixed_users(app: &App) -> Vec<Caller<'_>> {
    let rights = |rights: AdminRightsInput| UserFields { admin_rights: Given(rights), ..UserFields::default() };
    let role = |role: Role| UserFields { role: Given(role), ..UserFields::default() };
    let everywhere = UserFields { full_site_access: Given(true), ..role(Role::Admin) };
    let users: [_; FIXED] = [
        ("Super", app.license, rights(AdminRightsInput { is_superuser: Given(true), ..AdminRightsInput::default() })),
        ("Chief", app.license, role(Role::LicenseAdmin)),
        ("Admin", app.license, role(Role::Admin)),
        ("Everywhere", app.license, everywhere),
        (
            "Groups",
            app.license,
            rights(AdminRightsInput { is_group_admin: Given(true), ..AdminRightsInput::default() }),
        ),
        ("User", app.license, UserFields::default()),
        ("Chief of B", app.other_license, role(Role::LicenseAdmin)),
        ("User of B", app.other_license, UserFields::default()),
    ];
    let mut callers = Vec::new();
    for (n, (name, license, mut fields)) in users.into_iter().enumerate() {
        fields.email = Given(format!("fixed{n}@x.example"));
        callers.push(app.sign_in(app.create(name, license, fields, Undefined).await).await);
    }
    callers
}

/// The path of the first difference between two responses.
fn difference(one: &Value, other: &Value) -> Option<String> {
    let within = |name: String, one: &Value, other: &Value| difference(one, other).map(|path| format!("/{name}{path}"));
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(name, value)| within(name.clone(), value, &b[name]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(n, (a, b))| within(n.to_string(), a, b))
        }
        _ => (one != other).then(|| format!(": {one} and {other}")),
    }
}

/// The outcome of an operation as a word or an error code.
fn outcome(response: &Value) -> &str {
    let response = &response["response"];
    if let Some(code) = response["errors"][0]["extensions"]["code"].as_str() {
        return code;
    }
    match &response["data"]["done"] {
        Value::Null if has_id(&response["data"]) => "found",
        Value::Null => "found nothing",
        payload if payload["success"] == json!(true) => "done",
        payload => payload["errors"][0]["code"].as_str().unwrap(),
    }
}

fn has_id(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| (["id", "label"].contains(&name.as_str()) && !value.is_null()) || has_id(value)),
        Value::Array(values) => values.iter().any(has_id),
        _ => false,
    }
}

/// Sends every operation to both servers.
struct Replay<'a> {
    seed: usize,
    sides: [Side<'a>; 2],
    world: World,
    outcomes: BTreeMap<String, usize>,
}

impl Replay<'_> {
    async fn execute(&mut self, number: usize, operation: Operation) {
        let [sqlite, postgres] = &mut self.sides;
        let ((one, marked), (other, also_marked)) =
            tokio::join!(sqlite.execute(&operation), postgres.execute(&operation));
        if let Some(path) = difference(&marked, &also_marked) {
            panic!(
                "operation {number} of the seed {} differs at {path}\n{operation:#?}\n{:#}\non SQLite: {one:#}\non PostgreSQL: {other:#}",
                self.seed, operation.variables
            );
        }
        *self.outcomes.entry(format!("{} {}", operation.name, outcome(&marked))).or_default() += 1;
        self.world.remember(&operation, &marked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_give_the_same_responses_to_random_operations() {
    let Some(postgres) = App::on_postgres().await else { return };
    let sqlite = App::on_sqlite().await;
    // Durability is tested elsewhere; this test only compares responses.
    sqlite.db.write().execute_unprepared("PRAGMA synchronous = OFF").await.unwrap();
    let (seed, operations) = (env_or("ROSTER_TEST_SEED", SEED), env_or("ROSTER_TEST_OPERATIONS", OPERATIONS));
    println!("{operations} operations on both databases from the seed {seed}");
    let began = Instant::now();
    let sides = [Side::new(&sqlite, fixed_users(&sqlite).await), Side::new(&postgres, fixed_users(&postgres).await)];
    let mut replay =
        Replay { seed, sides, world: World::new(u64::try_from(seed).unwrap(), FIXED), outcomes: BTreeMap::new() };
    for number in 0..operations {
        if number % STAY == STAY - 1 {
            let (place, user) = (number / STAY % PASSING, replay.world.next_passing_user());
            for side in &mut replay.sides {
                side.sign_in_passing(place, &user).await;
            }
        }
        let operation = replay.world.next();
        replay.execute(number, operation).await;
    }
    if operations >= OPERATIONS {
        for (_, name, text, _) in OPERATION_KINDS {
            let of_all = |outcome: &str| replay.outcomes.get(&format!("{name} {outcome}")).copied().unwrap_or_default();
            assert!(of_all("done") + of_all("found") > 0, "never succeeded: {name} {text}\n{:#?}", replay.outcomes);
        }
    }
    println!("{operations} operations in {:.1?}\n{:#?}", began.elapsed(), replay.outcomes);
}
