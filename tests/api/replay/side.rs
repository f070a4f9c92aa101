//! One of two directories to which the same is done, and its answers with everything made equal that may differ.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use roster::entity::user;
use roster::scalar::Id;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::PASSING;
use super::deed::{Ask, Who};
use crate::app::{App, Caller};

/// A directory, and what its answers have named so far.
pub struct Side<'a> {
    app: &'a App,
    fixed: Vec<Caller<'a>>,
    passing: Vec<Option<Caller<'a>>>,
    ids: Named,
    cursors: Named,
    secrets: Named,
    /// When each operation began.
    began: Vec<DateTime<Utc>>,
}

/// Values in the order in which they first appeared.
#[derive(Default)]
struct Named {
    values: Vec<String>,
    places: HashMap<String, usize>,
}

impl Named {
    /// What stands for a value on every database.
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
        let mut ids = Named::default();
        for caller in &fixed {
            ids.mark("id", &caller.id());
        }
        Self {
            app,
            fixed,
            passing: vec![None; PASSING],
            ids,
            cursors: Named::default(),
            secrets: Named::default(),
            began: Vec::new(),
        }
    }

    /// Signs somebody in who takes a place among those who pass by, unless he is inactive or gone.
    pub async fn let_in(&mut self, place: usize, person: &str) {
        self.began.push(Utc::now().trunc_subsecs(6));
        let Some(id) = Id::parse(&self.own_text(person)) else { return };
        if let Some(row) = user::Entity::find_by_id(id).one(self.app.db.read()).await.unwrap()
            && row.is_active
        {
            self.passing[place] = Some(self.app.sign_in(row).await);
        }
    }

    /// Asks; returns the answer as it came, and with marks.
    pub async fn ask(&mut self, ask: &Ask) -> (Value, Value) {
        self.began.push(Utc::now().trunc_subsecs(6));
        let nobody = self.app.anonymous();
        let caller = match &ask.who {
            Who::Nobody => nobody,
            Who::Fixed(place) => self.fixed[*place].clone(),
            Who::Passing(place) => self.passing[*place].clone().unwrap_or(nobody),
            Who::Key(secret) => Caller { token: Some(self.own_text(secret)), ..nobody },
        };
        let body = json!({ "query": ask.query, "variables": self.own(&ask.variables) });
        let (status, answer) = caller.post(&body).await;
        assert!(status < 500, "{ask:#?}\n{answer:#}");
        let answer = json!({ "status": status, "answer": answer });
        let marked = self.marked("", &answer);
        (answer, marked)
    }

    /// What marks stand for here.
    fn own(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), self.own(value))).collect(),
            Value::Array(values) => values.iter().map(|value| self.own(value)).collect(),
            Value::String(text) => self.own_text(text).into(),
            other => other.clone(),
        }
    }

    fn own_text(&self, text: &str) -> String {
        let mark = text.strip_prefix('⟦').and_then(|rest| rest.strip_suffix('⟧'));
        let Some((kind, place)) = mark.and_then(|mark| mark.split_once(' ')) else { return text.to_owned() };
        let place: usize = place.parse().unwrap();
        match kind {
            "id" => self.ids.values[place].clone(),
            "cursor" => self.cursors.values[place].clone(),
            "secret" => self.secrets.values[place].clone(),
            "instant" => self.began[place].to_rfc3339(),
            other => panic!("{other}"),
        }
    }

    /// With marks for what differs from run to run.
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
            // They are written at most once a minute.
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

    /// By the operation during which it was; none for an instant that somebody has said.
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
