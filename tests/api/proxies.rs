//! The client address behind proxies, and the examples of proxies.

mod examples;
mod front;

use serde_json::json;

use crate::app::PASSWORD;
use crate::process::{ADMIN, Process, Sandbox};
use crate::socket::{OFFER, Socket};
use crate::toy::{ToyServer, settings};

async fn address(server: &ToyServer, headers: &str) -> String {
    let response = server.client.post(headers, br#"{"query":"{address}"}"#).await;
    response.json()["data"]["address"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn forwarding_headers_of_untrusted_clients_are_ignored() {
    for trusted in ["", "203.0.113.0/24", "::/0"] {
        let networks = trusted.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap());
        let trusted_proxies = networks.collect();
        let server = ToyServer::start_with(roster::http::ServerSettings { trusted_proxies, ..settings() }, true).await;
        let forged = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n";
        assert_eq!(address(&server, forged).await, "127.0.0.1", "{trusted}");
    }
}

#[tokio::test]
async fn behind_trusted_proxies_the_client_is_the_last_untrusted_address() {
    let trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"].map(|network| network.parse().unwrap()).to_vec();
    let server = ToyServer::start_with(roster::http::ServerSettings { trusted_proxies, ..settings() }, true).await;
    let cases = [
        ("", "127.0.0.1"),
        ("X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.0.0.1\r\n", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.0.0.1\r\n", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6, <script>, 10.0.0.1\r\n", "10.0.0.1"),
        ("X-Forwarded-For: [2001:db8::1]:443\r\n", "2001:db8::1"),
        ("X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n", "127.0.0.1"),
    ];
    for (headers, expected) in cases {
        assert_eq!(address(&server, headers).await, expected, "{headers}");
    }
}

/// Signs in with the headers of a proxy, and returns the address that the session shows.
async fn of_session(server: &Process) -> String {
    let query = "mutation ($input: LoginInput!) { login(input: $input) { user { sessions { isCurrent ipAddress } } } }";
    let body = json!({ "query": query, "variables": { "input": { "login": ADMIN, "password": PASSWORD } } });
    let request = reqwest::Client::new().post(server.url("/graphql")).json(&body);
    let response = request.header("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.0.0.1").send().await.unwrap();
    let response: serde_json::Value = response.json().await.unwrap();
    let sessions =
        response["data"]["login"]["user"]["sessions"].as_array().unwrap_or_else(|| panic!("{response:#}")).clone();
    let current = sessions.iter().find(|session| session["isCurrent"] == true).unwrap();
    current["ipAddress"].as_str().unwrap().to_owned()
}

in_every_sandbox! {
    async fn a_session_shows_the_client_address_behind_the_proxies(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        assert_eq!(of_session(&server).await, "127.0.0.1");
        drop(server);
        let server = sandbox.serve(&["--trusted-proxies", "127.0.0.1, 10.0.0.0/8"]).await;
        assert_eq!(of_session(&server).await, "203.0.113.9");
    }

    async fn pages_of_the_public_url_open_sockets_behind_a_proxy_that_sends_another_host(sandbox: Sandbox) {
        let public = ["--public-url", "https://People.example.org:443/roster/"];
        for (arguments, expected) in [(&public[..], None), (&public[..0], Some(403))] {
            let server = sandbox.serve(arguments).await;
            let address = server.address().parse().unwrap();
            let opened = Socket::open_with(address, &[OFFER, ("origin", "https://people.example.org")]).await;
            assert_eq!(opened.err(), expected, "{arguments:?}");
            let other = Socket::open_with(address, &[OFFER, ("origin", "https://example.org")]).await;
            assert_eq!(other.err(), Some(403));
        }
    }
}
