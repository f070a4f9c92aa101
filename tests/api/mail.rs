//! Flows by email: invitations, password resets, changes of email address, registrations, notices.

mod address;
mod faults;
mod invitation;
mod life;
mod outbox;
mod registration;
mod reset;

use serde_json::{Value, json};

use crate::app::{App, Caller, Mail};

/// A password that no user has yet.
const ANOTHER: &str = "nine-copper-badgers-sing";

/// Activates an account by the link of an email.
async fn activate(app: &App, token: &str, password: &str) -> Value {
    let input = json!({ "token": token, "password": password });
    let selection = "token nextUrl user { id email emailVerified hasActivated }";
    app.anonymous().mutate("activateAccount", selection, input).await
}

/// The payload of a sign-in by password.
async fn login(app: &App, login: &str, password: &str) -> Value {
    app.anonymous().mutate("login", "token", json!({ "login": login, "password": password })).await
}

/// A caller with a session token.
fn with_token<'a>(app: &'a App, token: &Value) -> Caller<'a> {
    Caller { token: token.as_str().map(str::to_owned), ..app.anonymous() }
}

/// Whether the caller's token is valid.
async fn works(caller: &Caller<'_>) -> bool {
    caller.post(&json!({ "query": "{ viewer { id } }" })).await.0 == 200
}

/// The recipients and subjects of emails.
fn summary(mails: &[Mail]) -> Vec<(&str, &str)> {
    let mut summary: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.subject.as_str())).collect();
    summary.sort_unstable();
    summary
}
