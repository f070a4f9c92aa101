//! A cell of the matrix: one root field and its expected outcome. One document contains many cells.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::LazyLock;

use roster::graphql::credential_use;
use roster::scalar::Id;
use serde_json::{Value, json};

use super::oracle::{DONE, RIGHTS};
use crate::app::Caller;
use crate::user_fields::PRIVATE_FIELDS;

/// The maximum number of root fields in one document.
pub const ROOTS: usize = 10;

/// The fields of a user that every viewer queries.
pub static SEEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "fragment Seen on User {{ id {} externalReferences {{ source id }} sessions {{ id }} invitation {{ state }} attributes {{ name value }} \
            adminRights {{ {} }} viewerCan {{ update setActive delete seePrivate seeAdminRights }} }}",
        PRIVATE_FIELDS.join(" "),
        RIGHTS.join(" ")
    )
});

/// The root fields whose errors set the whole `data` of the response to null.
pub const NEVER_NULL: [&str; 9] = [
    "nodes",
    "users",
    "searchUsers",
    "groups",
    "institutions",
    "attributeDefinitions",
    "apiKeys",
    "auditEvents",
    "changes",
];

/// The results of all cells so far.
#[derive(Default)]
pub struct Summary {
    pub cells: usize,
    pub wrong: Vec<String>,
    /// The requested root fields.
    pub fields: BTreeSet<&'static str>,
    /// The `viewerCan` of each user in the responses.
    pub can: HashMap<Id, Value>,
    /// The actual outcome of each action on a user.
    pub outcomes: HashMap<(Id, &'static str), String>,
}

impl Summary {
    pub fn expect(&mut self, what: impl FnOnce() -> String, expected: &Value, actual: &Value) {
        self.cells += 1;
        if expected != actual {
            self.wrong.push(format!("{}: got {actual}, expected {expected}", what()));
        }
    }

    pub fn add(&mut self, other: Self) {
        self.cells += other.cells;
        self.wrong.extend(other.wrong);
        self.fields.extend(other.fields);
    }
}

/// The response to a root field.
pub struct FieldResponse {
    pub status: u16,
    pub code: Option<String>,
    pub value: Value,
}

impl FieldResponse {
    /// `done`, `null`, `value`, or the code of the error.
    pub fn outcome(&self) -> String {
        if self.status == 401 {
            return "401".to_owned();
        }
        match (&self.code, &self.value) {
            (Some(code), _) => code.clone(),
            (None, Value::Null) => "null".to_owned(),
            (None, value) => match value.get("success").and_then(Value::as_bool) {
                None => "value".to_owned(),
                Some(true) => DONE.to_owned(),
                Some(false) => value["errors"][0]["code"].as_str().unwrap_or("no code").to_owned(),
            },
        }
    }
}

pub type Judge = Box<dyn FnOnce(&FieldResponse, &mut Summary) + Send>;

/// One root field, and the check of its response.
pub struct Cell {
    pub field: &'static str,
    pub text: String,
    pub judge: Judge,
}

impl Cell {
    pub fn new(
        field: &'static str,
        rest: &str,
        judge: impl FnOnce(&FieldResponse, &mut Summary) + Send + 'static,
    ) -> Self {
        Self { field, text: format!("{field}{rest}"), judge: Box::new(judge) }
    }

    /// A mutation with one input and its expected outcome.
    pub fn change(field: &'static str, input: &str, who: &str, expected: &'static str) -> Self {
        Self::noted(field, input, who, expected, None)
    }

    /// The same, but the outcome is recorded as an action on a user.
    pub fn noted(
        field: &'static str,
        input: &str,
        who: &str,
        expected: &'static str,
        note: Option<(Id, &'static str)>,
    ) -> Self {
        let what = format!("{who}: {field}({input})");
        let rest = format!("(input: {{ {input} }}) {{ success errors {{ code }} }}");
        Self::new(field, &rest, move |response, summary| {
            let outcome = response.outcome();
            summary.expect(|| what, &json!(expected), &json!(outcome));
            if let Some(note) = note {
                summary.outcomes.insert(note, outcome);
            }
        })
    }

    /// A query with its expected outcome.
    pub fn query(field: &'static str, rest: &str, who: &str, expected: &'static str) -> Self {
        let what = format!("{who}: {field}{rest}");
        Self::new(field, rest, move |response, summary| {
            summary.expect(|| what, &json!(expected), &json!(response.outcome()));
        })
    }

    /// A query with the expected value at one place of the response, or the expected error.
    pub fn value(
        field: &'static str,
        rest: &str,
        who: &str,
        place: &'static str,
        expected: Result<Value, &'static str>,
    ) -> Self {
        let what = format!("{who}: {field}{rest}");
        Self::new(field, rest, move |response, summary| match expected {
            Ok(expected) => {
                let actual = response.value.pointer(place).cloned().unwrap_or_else(|| json!(response.outcome()));
                summary.expect(|| what, &expected, &actual);
            }
            Err(error_code) => summary.expect(|| what, &json!(error_code), &json!(response.outcome())),
        })
    }

    pub fn stands_alone(&self) -> bool {
        let has_secret = ["password: \"", "pin: \""].iter().any(|secret| self.text.contains(secret));
        NEVER_NULL.contains(&self.field)
            || credential_use::ALWAYS.contains(&self.field)
            || (credential_use::WITH_SECRET.contains(&self.field) && has_secret)
    }
}

/// Sends cells in as few documents as possible, in their order.
pub async fn run(caller: &Caller<'_>, is_mutation: bool, cells: Vec<Cell>, summary: &mut Summary) {
    let mut document: Vec<Cell> = Vec::new();
    for cell in cells {
        let breaks = document.len() == ROOTS || cell.stands_alone() || document.iter().any(Cell::stands_alone);
        if breaks && !document.is_empty() {
            execute(caller, is_mutation, std::mem::take(&mut document), summary).await;
        }
        document.push(cell);
    }
    if !document.is_empty() {
        execute(caller, is_mutation, document, summary).await;
    }
}

pub async fn execute(caller: &Caller<'_>, is_mutation: bool, cells: Vec<Cell>, summary: &mut Summary) {
    let mut query = String::from(if is_mutation { "mutation {" } else { "{" });
    for (place, cell) in cells.iter().enumerate() {
        write!(query, " a{place}: {}", cell.text).unwrap();
    }
    query.push_str(" }");
    if query.contains("...Seen") {
        query.push_str(&SEEN);
    }
    let (status, response) = caller.post(&json!({ "query": query })).await;
    for (place, cell) in cells.into_iter().enumerate() {
        let alias = format!("a{place}");
        let errors = response["errors"].as_array().cloned().unwrap_or_default();
        let error = errors.iter().find(|error| error["path"].get(0).is_none_or(|path| *path == json!(alias)));
        let code = error.map(|error| error["extensions"]["code"].as_str().unwrap_or("no code").to_owned());
        summary.fields.insert(cell.field);
        (cell.judge)(&FieldResponse { status, code, value: response["data"][&alias].clone() }, summary);
    }
}
