//! Requests that change data.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::walk::{Person, spread};
use crate::workload::{Request, Source, Verdict, request};

/// The number of different users that are looked up and changed.
pub const VARIANTS: usize = 8_192;
/// The number of users that sign in, in turn.
pub const SLEEPERS: usize = 16;
const PASSWORD: &str = "seven-brass-otters-waltz";

/// The source of requests that change data.
pub struct Writer {
    pub address: SocketAddr,
    pub token: String,
}

impl Writer {
    /// Returns updates of the same users twice, with different values, so that every update has an effect.
    pub fn updates(&self, people: &[Person]) -> Vec<Request> {
        let query = "mutation($i: UpdateUserInput!) { updateUser(input: $i) { success user { id position } } }";
        let update = |position: &'static str| {
            spread(people, VARIANTS).map(move |person| {
                let input = json!({"i": {"id": person.id, "position": position}});
                request(self.address, &self.token, query, &input, r#"{"data":{"updateUser":{"success":true"#)
            })
        };
        update("Load Tester").chain(update("Load Bearer")).collect()
    }

    pub fn creation(&self) -> Source {
        let (address, token) = (self.address, self.token.clone());
        Source::Fresh(Box::new(move |turn| {
            let number = turn + SLEEPERS;
            request(address, &token, CREATE, &json!({"i": newcomer(number, None)}), CREATED)
        }))
    }

    /// Creates the users that will sign in, and returns the requests by which they do.
    pub async fn sleepers(&self, connection: &mut Connection) -> Result<Vec<Request>> {
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

pub fn address_of(number: usize) -> String {
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
