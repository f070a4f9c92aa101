//! Writers who make changes in all licenses, most of them by imports in the first one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roster::scalar::Id;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::change::id_of;
use super::license::License;
use super::log::Log;
use crate::app::input_of;
use crate::process::{Caller, Process};

/// The codes of errors after which a client may try again. A process that waits too long for the other one to write
/// refuses.
const PASSING: [&str; 2] = ["UNAVAILABLE", "DEADLINE_EXCEEDED"];
/// The number of changes that a writer makes in one license before it goes on to another one.
const STEPS: usize = 8;

/// What all writers have to do.
pub(super) struct Work {
    pub(super) licenses: Vec<License>,
    enough: usize,
    acknowledged: AtomicUsize,
    /// The number of requests that were refused.
    refused: AtomicUsize,
    /// The next number of what must be unique.
    next_number: AtomicUsize,
    /// The number of turns, each in the next license.
    turns: AtomicUsize,
}

impl Work {
    /// Makes work until enough changes are acknowledged.
    pub(super) fn new(licenses: Vec<License>, enough: usize) -> Self {
        let [acknowledged, refused, next_number, turns] = [0; 4].map(AtomicUsize::new);
        Self { licenses, enough, acknowledged, refused, next_number, turns }
    }

    /// Waits until this many changes are acknowledged, while nothing is over that should go on.
    pub(super) async fn wait_for(&self, count: usize, is_over: impl Fn() -> bool) {
        loop {
            // The writers stop when enough changes are acknowledged, so this is read first.
            let is_over = is_over();
            if self.acknowledged.load(Ordering::SeqCst) >= count {
                return;
            }
            assert!(!is_over, "writers and subscribers go on");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The number of requests that were refused.
    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    fn is_done(&self) -> bool {
        self.acknowledged.load(Ordering::SeqCst) >= self.enough
    }

    fn acknowledge(&self, count: usize) {
        self.acknowledged.fetch_add(count, Ordering::SeqCst);
    }

    fn next_number(&self) -> usize {
        self.next_number.fetch_add(1, Ordering::SeqCst)
    }
}

/// Why a mutation has no response.
enum NoResponse {
    /// The process was killed.
    Gone,
    Refused,
}

/// A change of one object.
struct Step {
    mutation: &'static str,
    object: &'static str,
    kind: &'static str,
    /// The ID of the object, unless it is created.
    id: Option<Id>,
    input: Value,
}

/// Makes one change after another.
pub(super) struct Writer {
    work: Arc<Work>,
    /// The usernames and IDs of the users whom this writer imports again and again.
    imported: Vec<(String, Id)>,
    pub(super) log: Log,
}

impl Writer {
    /// Creates a writer, and the users whom it imports.
    pub(super) async fn new(work: &Arc<Work>, root: &Caller, number: usize, rows: usize) -> Self {
        let usernames: Vec<String> = (0..rows).map(|row| format!("imported-{number}-{row}")).collect();
        let row = |username: &String| json!({ "username": username, "firstName": "Cy", "lastName": "Imported" });
        let rows: Vec<Value> = usernames.iter().map(row).collect();
        let payload = root.mutate("importUsers", "results { user { id } }", json!({ "rows": rows })).await;
        let ids = payload["results"].as_array().unwrap().iter().map(|result| id_of(&result["user"]["id"]));
        let imported = usernames.into_iter().zip(ids).collect();
        Self { work: Arc::clone(work), imported, log: Log::default() }
    }

    /// Starts to write, until there are enough changes or the process is gone.
    pub(super) fn start(self, server: &Process) -> JoinHandle<Self> {
        let callers = self.work.licenses.iter().map(|license| server.caller(Some(&license.admin.token))).collect();
        tokio::spawn(self.write(callers))
    }

    /// Writes as the administrators of the licenses.
    async fn write(mut self, callers: Vec<Caller>) -> Self {
        while !self.work.is_done() {
            match self.take_turn(&callers).await {
                Ok(()) => {}
                Err(NoResponse::Gone) => break,
                Err(NoResponse::Refused) => {
                    self.work.refused.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        self
    }

    /// Makes changes in one license, and an import after each.
    async fn take_turn(&mut self, callers: &[Caller]) -> Result<(), NoResponse> {
        let turn = self.work.turns.fetch_add(1, Ordering::SeqCst);
        let index = turn % callers.len();
        let users = &self.work.licenses[index].users;
        let user = users[turn / callers.len() % users.len()].id;
        let mut created = None;
        for step in 0..STEPS {
            let step = step_of(step, self.work.next_number(), user, created);
            let is_user = step.object == "user";
            let id = self.change(&callers[index], step).await?;
            if is_user && id != user {
                created = Some(id);
            }
            self.import(&callers[0]).await?;
        }
        Ok(())
    }

    async fn change(&mut self, caller: &Caller, step: Step) -> Result<Id, NoResponse> {
        let Step { mutation, object, kind, id, mut input } = step;
        if let Some(id) = id {
            input["id"] = json!(id);
            self.log.request(kind, id);
        }
        let sent = send(caller, mutation, &format!("{object} {{ id }}"), input).await;
        if id.is_none() && sent.is_err() {
            self.log.lose_creation();
        }
        let found = id_of(&sent?[object]["id"]);
        match id {
            Some(id) => self.log.acknowledge(kind, id),
            None => self.log.create(found),
        }
        self.work.acknowledge(1);
        Ok(found)
    }

    /// Changes a private field of the imported users.
    async fn import(&mut self, root: &Caller) -> Result<(), NoResponse> {
        let mobile = format!("+61 {}", self.work.next_number());
        let row = |(username, _): &(String, Id)| json!({ "username": username, "mobile": mobile });
        let rows: Vec<Value> = self.imported.iter().map(row).collect();
        for (_, id) in &self.imported {
            self.log.request("UPDATED", *id);
        }
        send(root, "importUsers", "", json!({ "rows": rows })).await?;
        for (_, id) in &self.imported {
            self.log.acknowledge("UPDATED", *id);
        }
        self.work.acknowledge(self.imported.len());
        Ok(())
    }
}

/// A step of a turn. `created` is the user of the last step that created one. Users see the changes of one another, but
/// no private field and nobody who is inactive.
fn step_of(step: usize, number: usize, user: Id, created: Option<Id>) -> Step {
    let (unique, phone) = (format!("writer-{number}@example.org"), format!("+61 {number}"));
    let new_user = json!({ "firstName": "Di", "lastName": "Writer", "email": unique, "sendRegistrationEmail": false });
    let with = |mut input: Value, field: &str, value: Value| {
        input[field] = value;
        input
    };
    let create = |object, mutation, input| Step { mutation, object, kind: "CREATED", id: None, input };
    let update = |id, input| Step { mutation: "updateUser", object: "user", kind: "UPDATED", id, input };
    match step {
        0 => create("user", "createUser", with(new_user, "mobile", json!(phone))),
        1 | 6 => update(created, json!({ "position": "Nurse" })),
        2 => update(Some(user), json!({ "mobile": phone })),
        3 => update(Some(user), json!({ "phone": phone })),
        4 => {
            let input = json!({ "active": false });
            Step { mutation: "setActive", object: "user", kind: "DEACTIVATED", id: created, input }
        }
        5 => create("user", "createUser", with(new_user, "isActive", json!(false))),
        _ => {
            let input = json!({ "name": unique, "kind": "HOSPITAL", "country": "AU" });
            create("institution", "createInstitution", input)
        }
    }
}

/// Sends a mutation, which must succeed if there is a response.
async fn send(caller: &Caller, mutation: &str, selection: &str, input: Value) -> Result<Value, NoResponse> {
    let input_type = input_of(mutation);
    let query = format!(
        "mutation ($input: {input_type}!) {{ \
            done: {mutation}(input: $input) {{ success errors {{ code message }} {selection} }} }}"
    );
    let Some(response) = caller.try_execute(&query, &json!({ "input": input })).await else {
        return Err(NoResponse::Gone);
    };
    let code = response["errors"][0]["extensions"]["code"].as_str();
    if code.is_some_and(|code| PASSING.contains(&code)) {
        return Err(NoResponse::Refused);
    }
    let payload = &response["data"]["done"];
    assert_eq!(payload["success"], json!(true), "{mutation}: {response:#}");
    Ok(payload.clone())
}
