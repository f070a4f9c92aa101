//! The log of requests. A separate process, because the log is process-wide.

#![cfg(test)]

#[allow(dead_code, unused_macros, reason = "this module is shared with other tests, which use the rest")]
#[path = "api/app.rs"]
mod app;
#[allow(dead_code, reason = "this module is shared with other tests, which use the rest")]
#[path = "api/postgres.rs"]
mod postgres;
#[allow(dead_code, reason = "this module is shared with other tests, which use the rest")]
#[path = "api/toy.rs"]
mod toy;
#[allow(dead_code, reason = "this module is shared with other tests, which use the rest")]
#[path = "api/wire.rs"]
mod wire;

use std::io::{Error, Result, Write};
use std::sync::{Arc, Mutex, OnceLock};

use async_graphql::MaybeUndefined::Value as Given;
use roster::entity::credential;
use roster::entity::user::UserFields;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().map_err(|_| Error::other("poisoned"))?.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Log {
    /// The log of this process, at the most detailed level.
    fn begin() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
            lines.with_writer(move || writer.clone()).init();
            log
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn must_not_hold(&self, secret: &str) {
        let text = self.text();
        assert!(!text.contains(secret), "{}", text.lines().find(|line| line.contains(secret)).unwrap());
    }
}

#[tokio::test]
async fn a_request_is_logged_in_one_line_without_secrets() {
    let log = Log::begin();
    let server = toy::ToyServer::start().await;
    let query = r#"query Named($t:String!){echo(text:$t) x: echo(text:\"s3cret\")}"#;
    let body = format!(r#"{{"query":"{query}","variables":{{"t":"s3cret"}}}}"#);
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let headers = format!("Authorization: Bearer s3cret\r\nX-Request-Id: line1\r\n{trace}");
    let traced = server.client.post(&headers, body.as_bytes()).await;
    assert_eq!(traced.status, 200);
    let path = "/graphql?query=%7Bhello%7D&variables=%7B%22a%22:%22s3cret%22%7D";
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: line2\r\n\r\n");
    assert_eq!(server.client.raw(get.as_bytes()).await.status, 200);
    assert_eq!(server.client.post("X-Request-Id: line3\r\n", br#"{"query":"{foreign}"}"#).await.status, 200);

    let text = log.text();
    let lines = |id: &str| -> Vec<&str> {
        text.lines().filter(|line| line.contains("milliseconds=") && line.contains(id)).collect()
    };
    for id in ["line1", "line2", "line3"] {
        assert_eq!(lines(id).len(), 1, "{id}: {text}");
    }
    for part in ["Named", "200", "/graphql", "POST"] {
        assert!(lines("line1")[0].contains(part), "{part}: {:?}", lines("line1"));
    }
    for id in ["line1", "line2", "line3"] {
        let line = lines(id)[0];
        assert!(
            line.contains(&format!("client_request_id=\"{id}\"")) && !line.contains(&format!("request{{id={id}")),
            "{line}"
        );
    }
    let span = traced.header("traceparent").unwrap().split('-').nth(2).unwrap();
    for part in ["trace_id=\"0af7651916cd43dd8448eb211c80319c\"", &format!("span_id=\"{span}\"")] {
        assert!(lines("line1")[0].contains(part), "{part}: {:?}", lines("line1"));
    }
    assert!(text.contains("invalid digit"), "the text of a foreign error is logged");
    let foreign = text.lines().find(|line| line.contains("invalid digit")).unwrap();
    assert!(foreign.contains("trace_id=") && foreign.contains("span_id="), "{foreign}");
    log.must_not_hold("s3cret");
}

#[tokio::test]
async fn no_password_token_or_hash_is_logged() {
    const WRONG: &str = "wrong-brass-otters-waltz";
    let log = Log::begin();
    let app = app::App::on_sqlite().await;
    let login = |login: &str, password: &str| json!({ "login": login, "password": password });
    let anonymous = app.anonymous();
    let address = "root@alder.example.org";
    let signed_in = anonymous.mutate("login", "token", login(address, app::PASSWORD)).await;
    let token = signed_in["token"].as_str().unwrap().to_owned();
    let fields = UserFields { username: Given("ann".to_owned()), ..UserFields::default() };
    let ann = app.create("Ann", app.license, fields, Given("nine-slate-herons-tango".to_owned())).await;
    let hashes = || log.text().matches("a hash is computed").count();
    let endless = "wrong-".repeat(1_000);
    for (name, password) in [("nobody", WRONG), (address, WRONG), ("nobody", WRONG), (address, &endless), ("ann", "")] {
        let before = hashes();
        assert_eq!(anonymous.payload_errors("login", login(name, password)).await, ["INVALID_CREDENTIALS input"]);
        assert_eq!(hashes(), before + 1, "{name}");
    }
    // The number of hashes depends on the password's forms, not on whether the user exists.
    for (name, password, forms) in [
        ("nobody", "br\u{fc}cke", 2),
        (address, "br\u{fc}cke", 2),
        ("nobody", "\u{a0}\u{fb01}\u{e4}", 4),
        (address, "\u{a0}\u{fb01}\u{e4}", 4),
    ] {
        let before = hashes();
        assert_eq!(anonymous.payload_errors("login", login(name, password)).await, ["INVALID_CREDENTIALS input"]);
        assert_eq!(hashes(), before + forms, "{name} {password:?}");
    }
    let before = hashes();
    let damaged = Expr::value("$argon2id$v=19$m=0");
    let set = credential::Entity::update_many().col_expr(credential::Column::PasswordHash, damaged);
    set.filter(credential::Column::UserId.eq(ann.id)).exec(app.db.write()).await.unwrap();
    assert_eq!(anonymous.payload_errors("login", login("ann", WRONG)).await, ["INVALID_CREDENTIALS input"]);
    assert_eq!(hashes(), before + 1);
    assert!(log.text().contains("a stored password hash cannot be used"));
    let mut root = app.anonymous();
    root.token = Some(token.clone());
    let new = json!({ "firstName": "Bob", "lastName": "B", "username": "bob", "password": "four-amber-badgers-polka" });
    root.mutate("createUser", "user { id }", new).await;
    let weak = json!({ "firstName": "Bob", "lastName": "B", "username": "bo", "password": "password1234" });
    assert_eq!(root.payload_errors("createUser", weak).await, ["INVALID input.password"]);
    root.data("mutation { logout { success } }", json!({})).await;

    assert!(log.text().contains("milliseconds="), "requests are logged");
    let secrets = [app::PASSWORD, WRONG, "nine-slate-herons", "four-amber-badgers", "password1234"];
    for secret in secrets.into_iter().chain([token.as_str(), "$argon2id$v="]) {
        log.must_not_hold(secret);
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_logged_once_a_minute() {
    let log = Log::begin();
    let app = app::App::on_sqlite().await;
    let user = app.user().await;
    // From now on, the search index follows the changes.
    app.superuser().await.data("{ searchUsers(query: \"ann\") { totalCount } }", json!({})).await;
    app.db.clone().close().await.unwrap();
    for _ in 0..5 {
        assert_eq!(user.post(&json!({ "query": "{ viewer { id } }" })).await.0, 503);
    }
    let text = log.text();
    let is_of_request = |line: &&str| line.contains("roster::error: the database cannot be reached");
    let lines: Vec<&str> = text.lines().filter(is_of_request).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("times=1"), "{lines:?}");

    assert_eq!(wire::RawClient(app.address).get("/health/ready").await.status, 503);
    for message in ["the readiness check failed", "failed to update the search index"] {
        let logged = async {
            loop {
                if let Some(line) = log.text().lines().find(|line| line.contains(message)) {
                    return line.to_owned();
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let line = tokio::time::timeout(app::HANGS, logged).await.unwrap();
        assert!(line.contains("error=\"the database cannot be reached: ") && line.contains("times=1"), "{line}");
    }
}
