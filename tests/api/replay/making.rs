//! Inputs and variables with random values.

use serde_json::{Map, Value, json};

use super::deed::SITE_TEXTS;
use super::words::{self, FieldValues};
use super::world::World;
use crate::app::PASSWORD;
use crate::filters::random_text;
use crate::hostile::Rng;
use crate::user_fields::user_field;
use crate::user_filter::{COLUMN_FILTERS, ORDERS, RIGHT_FILTERS};

impl World {
    /// One of the valid values or, sometimes, one of the invalid ones.
    fn word(&mut self, good: &[&str], bad: &[&str], must_be_valid: bool) -> String {
        let from = if !must_be_valid && self.rng.one_in(5) { bad } else { good };
        (*self.rng.choose(from)).to_owned()
    }

    /// One of the valid values of a field or, sometimes, one of the invalid ones.
    fn value(&mut self, field: &FieldValues, must_be_valid: bool) -> Value {
        let takes_invalid = !must_be_valid && !field.invalid.is_empty() && self.rng.one_in(5);
        let values = if takes_invalid { &field.invalid } else { &field.valid };
        self.rng.choose(values).clone()
    }

    fn address(&mut self, must_be_valid: bool) -> String {
        if !must_be_valid && self.rng.one_in(5) {
            return (*self.rng.choose(words::NO_ADDRESSES)).to_owned();
        }
        let number = if self.rng.one_in(2) { String::new() } else { self.rng.below(30).to_string() };
        format!("{}{number}@{}", self.rng.choose(words::LOCALS), self.rng.choose(words::DOMAINS))
    }

    fn username(&mut self, must_be_valid: bool) -> String {
        let number = if self.rng.one_in(2) { String::new() } else { self.rng.below(30).to_string() };
        self.word(words::USERNAMES, words::NO_USERNAMES, must_be_valid) + &number
    }

    /// A field of a user and its new value.
    fn field(&mut self, must_be_valid: bool) -> (&'static str, Value) {
        let (name, value) = match self.rng.below(27) {
            24.. => ("attributes", self.attributes(must_be_valid)),
            0 => ("username", self.username(must_be_valid).into()),
            1 => ("email", self.address(must_be_valid).into()),
            2 => ("certifiedEmail", self.address(must_be_valid).into()),
            3 => ("gender", json!(self.rng.choose(&["MALE", "FEMALE", "UNKNOWN"]))),
            4 => ("userType", json!(self.rng.choose(&["ADMINISTRATIVE", "TECHNICIAN", "CLINICIAN", "STUDENT"]))),
            5 | 6 => ("institutionId", self.any("Institution").into()),
            7 => ("role", json!(self.rng.choose(&["USER", "USER", "ADMIN", "LICENSE_ADMIN"]))),
            8 => ("isStaff", json!(self.rng.one_in(2))),
            9 => ("fullSiteAccess", json!(self.rng.one_in(3))),
            10 => (
                "adminRights",
                json!({ *self.rng.choose(&["isAdmin", "isGroupAdmin", "isAttributesAdmin", "isSuperuser"]): self.rng.one_in(2) }),
            ),
            11 if self.rng.one_in(3) => ("pin", json!(self.rng.choose(&["0042", "12345"]))),
            11 => ("password", json!(self.rng.choose(&["short", "passwordpassword", "ééééééééééé"]))),
            _ => {
                let field = self.rng.choose(&words::FIELD_VALUES);
                (field.name, self.value(field, must_be_valid))
            }
        };
        if !must_be_valid && self.rng.one_in(12) { (name, Value::Null) } else { (name, value) }
    }

    pub(super) fn attribute(&mut self) -> &'static str {
        let names: [&'static str; 6] = ["birthplace", "since", "beds", "remote", "Bad name", "x9"];
        names[self.rng.below(names.len())]
    }

    pub(super) fn definition(&mut self) -> Value {
        let mut input = json!({
            "name": self.attribute(),
            "label": self.word(words::NAMES, words::NO_NAMES, false),
            "kind": self.rng.choose(&["STRING", "STRING", "BOOLEAN", "DATE", "INTEGER"]),
        });
        for (field, chances) in [("required", 8), ("userEditable", 2), ("userVisible", 2)] {
            input[field] = json!(self.rng.one_in(chances));
        }
        input
    }

    fn attributes(&mut self, must_be_valid: bool) -> Value {
        let values = (0..=self.rng.below(2)).map(|_| {
            let value = match self.rng.below(6) {
                0 => json!(self.rng.one_in(2)),
                1 => json!(self.rng.choose(&[0, -1, 1_900])),
                2 => json!(self.rng.choose(&["1980-07-08", "2999-01-01", "1981-02-29"])),
                3 => Value::Null,
                _ => self.word(words::NAMES, words::NO_NAMES, must_be_valid).into(),
            };
            json!({ "name": self.attribute(), "value": value })
        });
        values.collect()
    }

    pub(super) fn new_user(&mut self) -> Value {
        let must_be_valid = !self.rng.one_in(3);
        let mut input = json!({
            "firstName": self.word(words::NAMES, words::NO_NAMES, must_be_valid),
            "lastName": self.word(words::NAMES, words::NO_NAMES, must_be_valid),
        });
        if !self.rng.one_in(4) {
            input["email"] = self.address(must_be_valid).into();
        }
        if !self.rng.one_in(3) {
            input["username"] = self.username(must_be_valid).into();
        }
        for _ in 0..self.rng.below(6) {
            let (field, value) = self.field(must_be_valid);
            input[field] = value;
        }
        if self.rng.one_in(12) {
            input["isActive"] = json!(self.rng.one_in(4));
        }
        if self.rng.one_in(40) {
            input["password"] = json!(PASSWORD);
        }
        if self.rng.one_in(12) {
            input["dryRun"] = json!(true);
        }
        input
    }

    pub(super) fn user_update(&mut self) -> Value {
        let must_be_valid = !self.rng.one_in(3);
        let id = self.any("User");
        let mut input = json!({ "id": id });
        for _ in 0..=self.rng.below(3) {
            let (field, value) = match self.rng.below(5) {
                0 => (
                    *self.rng.choose(&["firstName", "lastName"]),
                    self.word(words::NAMES, words::NO_NAMES, must_be_valid).into(),
                ),
                _ => self.field(must_be_valid),
            };
            input[field] = value;
        }
        if self.guarded.contains(&id) {
            let grants_rights = |name: &str| user_field(name).is_some_and(|field| field.grants_rights);
            input.as_object_mut().unwrap().retain(|field, _| field != "password" && !grants_rights(field));
        }
        self.add_version_or_dry_run(&mut input, &id);
        input
    }

    /// Sometimes adds the known version, an older one, or a dry run.
    fn add_version_or_dry_run(&mut self, input: &mut Value, id: &str) {
        let version = self.versions.get(id).copied().unwrap_or(1);
        match self.rng.below(9) {
            0 | 1 => input["expectedVersion"] = json!(version),
            2 => input["expectedVersion"] = json!(version - 1),
            3 => input["dryRun"] = json!(true),
            _ => {}
        }
    }

    pub(super) fn activation(&mut self) -> Value {
        json!({ "id": self.any_unguarded(), "active": !self.rng.one_in(3), "reason": "because" })
    }

    pub(super) fn named_input(&mut self, texts: &[&'static str], chances: usize) -> Value {
        let mut input = Map::new();
        if self.rng.one_in(chances) {
            let name = if self.rng.one_in(2) {
                self.word(words::NAMES, words::NO_NAMES, false)
            } else {
                (*self.rng.choose(words::PLACES)).to_owned()
            };
            input.insert("name".to_owned(), name.into());
        }
        for text in texts {
            if self.rng.one_in(2) {
                input.insert((*text).to_owned(), self.word(words::NAMES, words::NO_NAMES, true).into());
            }
        }
        input.into()
    }

    pub(super) fn new_site(&mut self) -> Value {
        let mut input = self.named_input(SITE_TEXTS, 1);
        input["kind"] = json!(self.rng.choose(&["HOSPITAL", "CARE_HOME", "HOSPICE", "RESEARCH"]));
        input["country"] = json!(self.rng.choose(&["AU", "AU", "FR", "CH", "au", "XX", "Ä"]));
        if self.rng.one_in(2) {
            input["externalId"] = json!(self.rng.choose(&["1", "001", "S-1", "s-1", "ü"]));
        }
        if self.rng.one_in(3) {
            input["numBeds"] = json!(self.rng.choose(&[0, 1, 400, -1]));
        }
        input
    }

    pub(super) fn named_update(&mut self, kind: &str, texts: &[&'static str]) -> Value {
        let id = self.any(kind);
        let mut input = self.named_input(texts, 2);
        input["id"] = json!(id);
        self.add_version_or_dry_run(&mut input, &id);
        input
    }

    pub(super) fn membership(&mut self, with_role: bool) -> Value {
        let mut input = json!({ "groupId": self.any("Group"), "userId": self.any("User") });
        if with_role {
            input["role"] = json!(self.rng.choose(&["MEMBER", "MEMBER", "MANAGER", "OWNER"]));
        }
        input
    }

    pub(super) fn access(&mut self) -> Value {
        json!({ "userId": self.any("User"), "institutionId": self.any("Institution") })
    }

    pub(super) fn key(&mut self) -> Value {
        let mut input = json!({ "name": self.word(words::NAMES, words::NO_NAMES, false), "role": self.rng.choose(&["USER", "ADMIN", "LICENSE_ADMIN"]) });
        if self.rng.one_in(2) {
            input["expiresAt"] = json!(self.rng.choose(&[
                "2041-01-01T00:00:00Z",
                "2041-01-01T02:00:00.5+02:00",
                "2001-01-01T00:00:00Z"
            ]));
        }
        input
    }

    pub(super) fn user_list(&mut self, largest: usize) -> Value {
        let mut variables = self.page_size(largest);
        if !self.rng.one_in(3) {
            variables["filter"] = self.filter(0);
        }
        let mut fields = ORDERS.to_vec();
        let mut keys = Vec::new();
        for _ in 0..self.rng.below(4) {
            let field = fields.swap_remove(self.rng.below(fields.len()));
            keys.push(json!({ "field": field, "direction": self.rng.choose(&["ASC", "DESC"]), "nulls": self.rng.choose(&["FIRST", "LAST"]) }));
        }
        if !keys.is_empty() {
            variables["orderBy"] = keys.into();
        }
        variables["all"] = json!(self.rng.one_in(3));
        variables
    }

    fn page_size(&mut self, largest: usize) -> Value {
        match self.rng.below(40) {
            0 => json!({ "first": self.rng.choose(&[0, -1, 101]) }),
            1 => json!({ "first": 3, "last": 3 }),
            2..=13 => json!({ "last": 1 + self.rng.below(largest) }),
            14..=17 if largest > 10 => json!({ "first": 100 }),
            _ => json!({ "first": 1 + self.rng.below(largest) }),
        }
    }

    fn filter(&mut self, depth: usize) -> Value {
        let mut filter = Map::new();
        if depth < 4 && self.rng.one_in(3) {
            match self.rng.below(3) {
                0 => filter.insert("and".to_owned(), json!([self.filter(depth + 1), self.filter(depth + 1)])),
                1 => filter.insert(
                    "or".to_owned(),
                    json!([self.filter(depth + 1), self.filter(depth + 1), self.filter(depth + 1)]),
                ),
                _ => filter.insert("not".to_owned(), self.filter(depth + 1)),
            };
        }
        for _ in 0..usize::from(filter.is_empty()) + self.rng.below(2) {
            let (field, value) = self.condition();
            filter.insert(field.to_owned(), value);
        }
        filter.into()
    }

    fn condition(&mut self) -> (&'static str, Value) {
        let nobody = |rng: &mut Rng| json!({ "isNull": rng.one_in(2) });
        match self.rng.below(25) {
            0..=2 => (*self.rng.choose(&COLUMN_FILTERS.flags), json!(self.rng.one_in(2))),
            3..=5 => {
                let choice = self.rng.choose(&COLUMN_FILTERS.choices);
                let values = if self.rng.one_in(3) {
                    json!(choice.values[..self.rng.below(choice.values.len() + 1)])
                } else {
                    json!([self.rng.choose(&choice.values)])
                };
                (choice.name, values)
            }
            6 => (
                "institution",
                if self.rng.one_in(3) { nobody(&mut self.rng) } else { json!({ "eq": self.any("Institution") }) },
            ),
            7 => (
                "group",
                if self.rng.one_in(3) {
                    nobody(&mut self.rng)
                } else {
                    json!({ "in": [self.any("Group"), self.any("Group")] })
                },
            ),
            8 => (
                "site",
                if self.rng.one_in(3) { nobody(&mut self.rng) } else { json!({ "eq": self.any("Institution") }) },
            ),
            9 => ("id", json!({ "in": (0..5).map(|_| self.any("User")).collect::<Vec<_>>() })),
            10 => (
                *self.rng.choose(&COLUMN_FILTERS.dates),
                json!({ *self.rng.choose(&["eq", "lt", "lte", "gt", "gte"]): self.rng.choose(&["1980-07-08", "1990-01-01", "1900-01-01"]) }),
            ),
            11..=13 => {
                let instant = format!("⟦instant {}⟧", self.rng.below(self.moments));
                (
                    *self.rng.choose(&COLUMN_FILTERS.instants),
                    json!({ *self.rng.choose(&["lt", "lte", "gt", "gte"]): instant }),
                )
            }
            14 => {
                let right = *self.rng.choose(&RIGHT_FILTERS);
                ("adminRights", json!({ right: self.rng.one_in(2) }))
            }
            _ => {
                let field = *self.rng.choose(&COLUMN_FILTERS.texts);
                let value = match (field, words::FIELD_VALUES.iter().find(|values| values.name == field)) {
                    ("username", _) => self.username(true),
                    ("email" | "certifiedEmail", _) => self.address(true),
                    (_, Some(values)) => self.value(values, true).as_str().unwrap_or_default().to_owned(),
                    (_, None) => self.word(words::NAMES, words::NO_NAMES, true),
                };
                (field, random_text(if value.is_empty() { "%" } else { &value }, &mut self.rng))
            }
        }
    }

    pub(super) fn search(&mut self) -> Value {
        let mut parts = Vec::new();
        for _ in 0..=self.rng.below(5) / 3 {
            let from = *self.rng.choose(&[words::QUERIES, words::NAMES, words::USERNAMES]);
            let mut word = self.word(from, from, true);
            if self.rng.one_in(3) {
                // Leave out a letter.
                let letters = word.chars().count();
                let lost = self.rng.below(letters.max(1));
                word = word.chars().enumerate().filter(|(place, _)| *place != lost).map(|(_, letter)| letter).collect();
            }
            parts.push(word);
        }
        let mut variables =
            json!({ "query": parts.join(" "), "first": 1 + self.rng.below(12), "all": self.rng.one_in(4) });
        if self.rng.one_in(4) {
            variables["filter"] = self.filter(2);
        }
        variables
    }

    pub(super) fn key_of_any_user(&mut self) -> String {
        match self.rng.below(4) {
            0 => self.any("User"),
            1 => self.username(true),
            2 => self.address(true),
            _ => (*self.rng.choose(&["1", "001", "EX-1", "ex-1", "ü", "u\u{308}", "ﬁ", "fi", "2"])).to_owned(),
        }
    }

    pub(super) fn user_by(&mut self) -> Value {
        match self.rng.below(4) {
            0 => json!({ "id": self.any("User") }),
            1 => json!({ "username": self.username(true) }),
            2 => json!({ "email": self.address(true) }),
            _ => json!({ "externalId": self.key_of_any_user() }),
        }
    }

    pub(super) fn named_list(&mut self) -> Value {
        let mut variables = self.page_size(10);
        if self.rng.one_in(2) {
            let from = *self.rng.choose(&[words::PLACES, words::QUERIES, words::NAMES]);
            variables["name"] = self.word(from, from, true).into();
        }
        variables
    }

    pub(super) fn nested_list(&mut self, kind: &str) -> Value {
        let mut variables = self.page_size(6);
        variables["id"] = self.any(kind).into();
        variables
    }

    pub(super) fn event_list(&mut self) -> Value {
        let mut filter = Map::new();
        if self.rng.one_in(2) {
            filter.insert("subject".to_owned(), self.anything().into());
        }
        if self.rng.one_in(4) {
            filter.insert("actor".to_owned(), self.any("User").into());
        }
        if self.rng.one_in(4) {
            filter.insert(
                "action".to_owned(),
                json!([self.rng.choose(&[
                    "USER_CREATED",
                    "USER_UPDATED",
                    "GROUP_MEMBER_SET",
                    "USER_DELETED",
                    "SIGNED_IN"
                ])]),
            );
        }
        if self.rng.one_in(4) {
            let since = self.rng.below(self.moments);
            filter.insert("since".to_owned(), format!("⟦instant {since}⟧").into());
        }
        json!({ "filter": filter, "first": 1 + self.rng.below(10) })
    }

    pub(super) fn change_list(&mut self) -> Value {
        let mut variables = json!({ "first": 1 + self.rng.below(10) });
        if self.rng.one_in(2) {
            variables["types"] = json!([self.rng.choose(&["USER", "GROUP", "INSTITUTION", "LICENSE"])]);
        }
        variables
    }
}
