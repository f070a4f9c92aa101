//! The rows that are known to exist, and the choice of the next operation.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::PASSING;
use super::deed::{OPERATION_KINDS, Operation, Sender, operation};
use crate::hostile::Rng;

/// What is known from the responses so far, which are the same on both servers.
pub struct World {
    pub(super) rng: Rng,
    /// The ids of existing rows, by type.
    pub(super) known: BTreeMap<String, Vec<String>>,
    deleted: Vec<String>,
    pub(super) versions: HashMap<String, i64>,
    secrets: Vec<String>,
    lists: Vec<(Operation, Vec<String>)>,
    /// The ids of the users who keep their rights and their sessions.
    pub(super) guarded: Vec<String>,
    pub(super) moments: usize,
}

/// The number of users above which operations tend to delete one.
const CROWD: usize = 60;
/// The number of lists of which further pages are read.
const LISTS: usize = 30;
const CURSORS: usize = 40;

/// The weights of the callers: superuser, license administrator, administrator, administrator with every site, group
/// administrator, user, license administrator and user of the other license, passing users, API keys, anonymous.
const SENDER_WEIGHTS: [usize; 11] = [26, 30, 12, 8, 4, 7, 7, 4, 7, 4, 1];

/// The weight of reading a further page of a list, relative to the weights of the operations.
const FURTHER: usize = 110;

impl World {
    /// A world whose only users are those who keep their rights.
    pub fn new(seed: u64, fixed: usize) -> Self {
        let guarded: Vec<String> = (0..fixed).map(|place| format!("⟦id {place}⟧")).collect();
        Self {
            rng: Rng(seed),
            known: BTreeMap::from([("User".to_owned(), guarded.clone())]),
            deleted: Vec::new(),
            versions: HashMap::new(),
            secrets: Vec::new(),
            lists: Vec::new(),
            guarded,
            moments: 0,
        }
    }

    /// The next request.
    pub fn next(&mut self) -> Operation {
        self.moments += 1;
        let total = FURTHER + OPERATION_KINDS.iter().map(|kind| kind.0).sum::<usize>();
        let mut at = self.rng.below(total);
        if self.known["User"].len() > CROWD && self.rng.one_in(5) {
            let id = self.any_unguarded();
            return operation(Sender::Fixed(0), "deleteUser", "deletedUserId", json!({ "id": id }));
        }
        for &(weight, name, text, make) in OPERATION_KINDS {
            if at < weight {
                let sender = self.choose_caller();
                let arguments = make(self);
                return operation(sender, name, text, arguments);
            }
            at -= weight;
        }
        self.next_page()
    }

    /// The id of the next passing user.
    pub fn next_passing_user(&mut self) -> String {
        self.moments += 1;
        self.any_unguarded()
    }

    /// Remembers the ids, versions, cursors and secrets of a response.
    pub fn remember(&mut self, operation: &Operation, response: &Value) {
        if operation.is_list {
            let mut cursors = Vec::new();
            cursors_of(response, &mut cursors);
            if !cursors.is_empty() {
                let known = self.lists.iter().position(|(list, _)| {
                    list.query == operation.query && same_list(&list.variables, &operation.variables)
                });
                if known.is_none() && self.lists.len() >= LISTS {
                    let place = self.rng.below(LISTS);
                    self.lists.remove(place);
                }
                if known.is_none() {
                    self.lists.push((operation.clone(), Vec::new()));
                }
                let place = known.unwrap_or(self.lists.len() - 1);
                let remembered = &mut self.lists[place].1;
                remembered.extend(cursors);
                remembered.drain(..remembered.len().saturating_sub(CURSORS));
            }
        }
        let payload = &response["response"]["data"]["done"];
        if let Some(secret) = payload["secret"].as_str() {
            self.secrets.push(secret.to_owned());
        }
        if operation.name.starts_with("delete") && payload["success"] == json!(true) {
            let id = operation.variables["input"]["id"].as_str().unwrap();
            self.known.values_mut().for_each(|ids| ids.retain(|known| known != id));
            self.deleted.push(id.to_owned());
        } else {
            self.remember_rows(response);
        }
    }

    fn remember_rows(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let (Some(kind), Some(id)) = (value["__typename"].as_str(), value["id"].as_str()) {
                    let known = self.known.entry(kind.to_owned()).or_default();
                    if !known.iter().any(|known| known == id) {
                        known.push(id.to_owned());
                    }
                    if let Some(version) = value["version"].as_i64() {
                        self.versions.insert(id.to_owned(), version);
                    }
                }
                fields.values().for_each(|value| self.remember_rows(value));
            }
            Value::Array(values) => values.iter().for_each(|value| self.remember_rows(value)),
            _ => {}
        }
    }

    fn choose_caller(&mut self) -> Sender {
        let mut at = self.rng.below(SENDER_WEIGHTS.iter().sum());
        let place = SENDER_WEIGHTS.iter().position(|weight| {
            let is_here = at < *weight;
            at = at.saturating_sub(*weight);
            is_here
        });
        match place.unwrap() {
            8 => Sender::Passing(self.rng.below(PASSING)),
            9 if !self.secrets.is_empty() => Sender::Key(self.rng.choose(&self.secrets).clone()),
            9 | 10 => Sender::Anonymous,
            place => Sender::Fixed(place),
        }
    }

    /// The id of a row of a type or, sometimes, of another type or of no row.
    pub(super) fn any(&mut self, kind: &str) -> String {
        let known = self.known.get(kind).cloned().unwrap_or_default();
        match self.rng.below(30) {
            0 => self.anything(),
            1 if !self.deleted.is_empty() => self.rng.choose(&self.deleted).clone(),
            2 => (*self.rng.choose(&["01890000-0000-7000-8000-000000000000", "7", ""])).to_owned(),
            _ if !known.is_empty() => self.rng.choose(&known).clone(),
            _ => "7".to_owned(),
        }
    }

    pub(super) fn anything(&mut self) -> String {
        let all: Vec<String> = self.known.values().flatten().chain(&self.deleted).cloned().collect();
        self.rng.choose(&all).clone()
    }

    pub(super) fn any_unguarded(&mut self) -> String {
        let others: Vec<String> = self.known["User"].iter().filter(|id| !self.guarded.contains(id)).cloned().collect();
        if others.is_empty() { "7".to_owned() } else { self.rng.choose(&others).clone() }
    }

    /// Another page of a list that was read before, from one of its cursors.
    fn next_page(&mut self) -> Operation {
        if self.lists.is_empty() {
            return operation(
                Sender::Fixed(0),
                "viewer",
                "{ viewer { __typename id license { __typename id } } }",
                json!({}),
            );
        }
        let place = self.rng.below(self.lists.len());
        let (mut operation, mut cursors) = self.lists[place].clone();
        if self.rng.one_in(30) {
            let other = self.rng.below(self.lists.len());
            cursors = self.lists[other].1.clone();
        }
        if self.rng.one_in(20) {
            operation.sender = self.choose_caller();
        }
        let is_forward_only = operation.query.find("$last").is_none();
        let variables = operation.variables.as_object_mut().unwrap();
        for argument in ["first", "last", "after", "before"] {
            variables.remove(argument);
        }
        let (size, end) = match self.rng.below(8) {
            0..=3 => ("first", "after"),
            _ if is_forward_only => ("first", "after"),
            4..=6 => ("last", "before"),
            _ => (*self.rng.choose(&["first", "last"]), *self.rng.choose(&["after", "before"])),
        };
        variables.insert(size.to_owned(), json!(1 + self.rng.below(6)));
        variables.insert(end.to_owned(), json!(self.rng.choose(&cursors)));
        operation
    }
}

/// Whether two requests are for pages of the same list.
fn same_list(one: &Value, other: &Value) -> bool {
    let rest = |variables: &Value| {
        let mut rest = variables.as_object().unwrap().clone();
        rest.retain(|name, _| !["first", "last", "after", "before"].contains(&name.as_str()));
        rest
    };
    rest(one) == rest(other)
}

fn cursors_of(value: &Value, cursors: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                // Cursors of nested lists belong to other lists.
                let is_edge = name == "cursor" || name == "startCursor" || name == "endCursor";
                match value.as_str().filter(|_| is_edge) {
                    Some(cursor) => cursors.push(cursor.to_owned()),
                    None => cursors_of(value, cursors),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| cursors_of(value, cursors)),
        _ => {}
    }
}
