//! Requests that change data.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::walk::{User, spread};
use crate::workload::{Outcome, Request, Source, request};

/// The number of different users that are looked up and changed.
pub const VARIANTS: usize = 8_192;
/// The number of users that sign in, in turn.
pub const SIGN_INS: usize = 16;
/// The beginning of the logins of the users that the everyday workloads create.
pub const NEWCOMER: &str = "newcomer";
const PASSWORD: &str = "seven-brass-otters-waltz";

/// The source of requests that change data.
pub struct Writer {
    pub address: SocketAddr,
    pub token: String,
}

impl Writer {
    /// Returns updates of the same users to one position and then to the other, so that every update has an effect.
    pub fn updates(&self, users: &[User], [one, other]: [&'static str; 2]) -> Vec<Request> {
        let update = |position: &'static str| spread(users, VARIANTS).map(move |user| self.update(user, position));
        update(one).chain(update(other)).collect()
    }

    /// Returns the update of a user to a position.
    pub fn update(&self, user: &User, position: &str) -> Request {
        let query = "mutation($i: UpdateUserInput!) { updateUser(input: $i) { success user { id position } } }";
        let input = json!({"i": {"id": user.id, "position": position}});
        request(self.address, &self.token, query, &input, r#"{"data":{"updateUser":{"success":true"#)
    }

    /// Returns creations of users whose logins begin with a prefix.
    pub fn creation(&self, prefix: &'static str) -> Source {
        let (address, token) = (self.address, self.token.clone());
        Source::Fresh(Box::new(move |turn| {
            let number = turn + SIGN_INS;
            request(address, &token, CREATE, &json!({"i": new_user(prefix, number, None)}), CREATED)
        }))
    }

    /// Creates the users that will sign in, and returns the requests by which they do.
    pub async fn sign_ins(&self, connection: &mut Connection) -> Result<Vec<Request>> {
        let mut logins = Vec::new();
        for number in 0..SIGN_INS {
            let input = new_user(NEWCOMER, number, Some(PASSWORD));
            let creation = request(self.address, &self.token, CREATE, &json!({"i": input}), CREATED);
            let response = connection.send(&creation.bytes).await?;
            ensure!(creation.outcome(&response) == Some(Outcome::Correct), "createUser: {}", response.body);
            logins.push(self.sign_in(number));
        }
        Ok(logins)
    }

    /// Signs in the first ones of the users who were created by [`Self::sign_ins`], and returns their tokens.
    pub async fn tokens(&self, connection: &mut Connection, count: usize) -> Result<Vec<String>> {
        let mut tokens = Vec::new();
        for number in 0..count {
            let sign_in = self.sign_in(number);
            let response = connection.send(&sign_in.bytes).await?;
            let body: Value = serde_json::from_str(response.body)?;
            let token = body["data"]["login"]["token"].as_str();
            tokens.push(token.with_context(|| sign_in.describe(&response))?.to_owned());
        }
        Ok(tokens)
    }

    fn sign_in(&self, number: usize) -> Request {
        let query = "mutation($i: LoginInput!) { login(input: $i) { success token user { id } } }";
        let input = json!({"i": {"login": address_of(number), "password": PASSWORD}});
        request(self.address, "", query, &input, r#"{"data":{"login":{"success":true,"token":""#)
    }
}

const CREATE: &str = "mutation($i: CreateUserInput!) { createUser(input: $i) { success user { id version } } }";
const CREATED: &str = r#"{"data":{"createUser":{"success":true"#;

/// Returns the email address of a user who signs in.
pub fn address_of(number: usize) -> String {
    address(NEWCOMER, number)
}

fn address(prefix: &str, number: usize) -> String {
    format!("{prefix}.{number}@bench.example.org")
}

fn new_user(prefix: &str, number: usize, password: Option<&str>) -> Value {
    let mut input = json!({
        "firstName": "Newcomer",
        "lastName": format!("Loadtest{number}"),
        "username": format!("{prefix}.{number}"),
        "email": address(prefix, number),
        "position": "Nurse",
        "sendRegistrationEmail": false,
        "userType": "CLINICIAN",
    });
    if let (Some(password), Some(fields)) = (password, input.as_object_mut()) {
        fields.insert("password".to_owned(), password.into());
    }
    input
}
