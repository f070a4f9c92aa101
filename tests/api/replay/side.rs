//! One of the two servers, and its responses with marks for the values that may differ between them.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use roster::entity::user;
use roster::scalar::Id;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::PASSING;
use super::deed::{Operation, Sender};
use crate::app::{App, Caller};

/// A server, and the ids, cursors and secrets of its responses so far.
pub struct Side<'a> {
    app: &'a App,
    fixed: Vec<Caller<'a>>,
    passing: Vec<Option<Caller<'a>>>,
    ids: Numbering,
    cursors: Numbering,
    secrets: Numbering,
    /// The time at which each operation started.
    began: Vec<DateTime<Utc>>,
}

/// Values in the order in which they first appeared.
#[derive(Default)]
struct Numbering {
    values: Vec<String>,
    places: HashMap<String, usize>,
}

impl Numbering {
    /// The mark of a value, which is the same on every database.
    fn mark(&mut self, kind: &str, value: &str) -> String {
        let next = self.values.len();
        let place = *self.places.entry(value.to_owned()).or_insert(next);
        if place == next {
            self.values.push(value.to_owned());
        }
        format!("⟦{kind} {place}⟧")
    }
}

impl<'a> Side<'a> {
    pub fn new(app: &'a App, fixed: Vec<Caller<'a>>) -> Self {
        let mut ids = Numbering::default();
        for caller in &fixed {
            ids.mark("id", &caller.id());
        }
        Self {
            app,
            fixed,
            passing: vec![None; PASSING],
            ids,
            cursors: Numbering::default(),
            secrets: Numbering::default(),
            began: Vec::new(),
        }
    }

    /// Signs a user in at a place among the passing callers, unless the user is inactive or deleted.
    pub async fn sign_in_passing(&mut self, place: usize, user: &str) {
        self.began.push(Utc::now().trunc_subsecs(6));
        let Some(id) = Id::parse(&self.unmark_text(user)) else { return };
        if let Some(row) = user::Entity::find_by_id(id).one(self.app.db.read()).await.unwrap()
            && row.is_active
        {
            self.passing[place] = Some(self.app.sign_in(row).await);
        }
    }

    /// Sends a request; returns the response as received, and with marks.
    pub async fn execute(&mut self, operation: &Operation) -> (Value, Value) {
        self.began.push(Utc::now().trunc_subsecs(6));
        let nobody = self.app.anonymous();
        let caller = match &operation.sender {
            Sender::Anonymous => nobody,
            Sender::Fixed(place) => self.fixed[*place].clone(),
            Sender::Passing(place) => self.passing[*place].clone().unwrap_or(nobody),
            Sender::Key(secret) => Caller { token: Some(self.unmark_text(secret)), ..nobody },
        };
        let body = json!({ "query": operation.query, "variables": self.unmark(&operation.variables) });
        let (status, response) = caller.post(&body).await;
        assert!(status < 500, "{operation:#?}\n{response:#}");
        let response = json!({ "status": status, "response": response });
        let marked = self.marked("", &response);
        (response, marked)
    }

    /// Replaces marks by the values of this server.
    fn unmark(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), self.unmark(value))).collect(),
            Value::Array(values) => values.iter().map(|value| self.unmark(value)).collect(),
            Value::String(text) => self.unmark_text(text).into(),
            other => other.clone(),
        }
    }

    fn unmark_text(&self, text: &str) -> String {
        let mark = text.strip_prefix('⟦').and_then(|rest| rest.strip_suffix('⟧'));
        let Some((kind, place)) = mark.and_then(|mark| mark.split_once(' ')) else { return text.to_owned() };
        let place: usize = place.parse().unwrap();
        match kind {
            "id" => self.ids.values[place].clone(),
            "cursor" => self.cursors.values[place].clone(),
            "secret" => self.secrets.values[place].clone(),
            "instant" => self.began[place].to_rfc3339(),
            other => panic!("unknown kind of mark: {other}"),
        }
    }

    /// Replaces values that differ from run to run by marks.
    fn marked(&mut self, field: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.marked(name, value))).collect()
            }
            Value::Array(values) => values.iter().map(|value| self.marked(field, value)).collect(),
            Value::String(text) => self.marked_text(field, text).into(),
            other => other.clone(),
        }
    }

    fn marked_text(&mut self, field: &str, text: &str) -> String {
        match field {
            "cursor" | "startCursor" | "endCursor" => return self.cursors.mark("cursor", text),
            "secret" => return self.secrets.mark("secret", text),
            // These are written at most once a minute.
            "lastSeenAt" | "lastUsedAt" => return "⟦lately⟧".to_owned(),
            "requestId" | "prefix" => return format!("⟦{field}⟧"),
            _ => {}
        }
        if text.len() == 36 && Uuid::try_parse(text).is_ok() {
            return self.ids.mark("id", text);
        }
        match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => self.marked_instant(instant.to_utc()).unwrap_or_else(|| text.to_owned()),
            Err(_) => text.to_owned(),
        }
    }

    /// The mark of an instant: the operation during which it occurred. None for an instant from an input.
    fn marked_instant(&self, instant: DateTime<Utc>) -> Option<String> {
        if !(2020..2030).contains(&instant.year()) {
            return None;
        }
        if instant > Utc::now() {
            return Some("⟦later⟧".to_owned());
        }
        match self.began.partition_point(|began| *began <= instant) {
            0 => Some("⟦before⟧".to_owned()),
            after => Some(format!("⟦instant {}⟧", after - 1)),
        }
    }
}
