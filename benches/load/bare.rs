//! The bare server: the best that the machine can give. It runs beside Roster in a process of its own, so that its
//! processor time can be distinguished from that of the load generator.
//!
//! It returns a constant, or with the result of hand-written SQL in the same database, as the same JSON. It has no
//! GraphQL and no rules but the license. It looks up a token like Roster does.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use poem::http::{StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Endpoint, Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::directory::{Directory, Place, json_of};

/// Serves until the end of the standard input, when the parent process has ended.
#[tokio::main]
pub async fn serve(url: &str) -> Result<()> {
    let bare = Bare(Arc::new(Directory::open(url).await?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Roster listens on http://{}/", listener.local_addr()?);
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(|| {
        // The parent process has ended, with or without an error.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let server = poem::Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
    let ended = async {
        let _ = end.await;
    };
    Ok(server.run_with_graceful_shutdown(bare, ended, Some(Duration::ZERO)).await?)
}

struct Bare(Arc<Directory>);

impl Endpoint for Bare {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        if request.uri().path() == "/" {
            return Ok(ok(r#"{"data":{"__typename":"Query"}}"#.as_bytes().to_vec()));
        }
        let body = request.take_body().into_vec().await?;
        let token = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let token = token.unwrap_or_default().to_owned();
        match self.respond(request.uri().path(), &token, &body).await {
            Ok(body) => Ok(ok(body)),
            Err(error) => Ok(Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(format!("{error:#}"))),
        }
    }
}

impl Bare {
    async fn respond(&self, path: &str, token: &str, body: &[u8]) -> Result<Vec<u8>> {
        let parameters: Value = serde_json::from_slice(body)?;
        let text = |name: &str| parameters[name].as_str().unwrap_or_default();
        let id = || Uuid::parse_str(text("id"));
        let license = self.0.license_of(&roster::auth::token::hash(token)).await?.context("the token is unknown")?;
        let response = match path {
            "/user" => json_of("user", &self.0.user(license, id()?).await?)?,
            "/page" => json_of("users", &self.0.page(license).await?)?,
            "/deep" => {
                let after = Place { last: text("last").to_owned(), first: text("first").to_owned(), id: id()? };
                json_of("users", &self.0.names_after(license, &after).await?)?
            }
            _ => json_of("searchUsers", &self.0.called(license, text("prefix")).await?)?,
        };
        Ok(response)
    }
}

fn ok(body: Vec<u8>) -> Response {
    Response::builder().content_type("application/json; charset=utf-8").body(body)
}
