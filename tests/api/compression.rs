//! Compressed responses, and responses that a caller may keep.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::toy::ToyServer;

const VIEWER: &str = "/graphql?query=%7Bviewer%7BfirstName%7D%7D";

/// The content of a compressed body.
pub fn decoded(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match encoding {
        "zstd" => return zstd::stream::decode_all(bytes).unwrap(),
        "br" => brotli::BrotliDecompress(&mut &*bytes, &mut content).unwrap(),
        "gzip" => {
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
        }
        other => panic!("{other}"),
    }
    content
}

/// Sends a query; returns the response's encoding and body.
async fn send(url: &str, query: &str, accepted: &str) -> (Option<String>, Vec<u8>) {
    let request = reqwest::Client::new().post(format!("{url}/graphql")).header("accept-encoding", accepted);
    let response = request.json(&json!({ "query": query })).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let encoding = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
    if encoding.is_some() {
        assert_eq!(response.headers()["vary"], "Accept-Encoding");
    }
    (encoding, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn long_results_are_compressed_as_the_client_accepts() {
    let server = ToyServer::start().await;
    let url = format!("http://{}", server.client.0);
    for (accepted, expected) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip", Some("gzip")),
        ("br;q=0.5, gzip;q=0.9", Some("gzip")),
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
    ] {
        let (encoding, body) = send(&url, "{big(n:5000)}", accepted).await;
        assert_eq!(encoding.as_deref(), expected, "{accepted}");
        let content = encoding.map_or_else(|| body.clone(), |encoding| decoded(&encoding, &body));
        assert_eq!(serde_json::from_slice::<Value>(&content).unwrap()["data"]["big"], "x".repeat(5000));
        assert!(expected.is_none() || body.len() < 500, "{accepted}: {} bytes", body.len());
    }
    assert_eq!(send(&url, "{big(n:900)}", "gzip").await.0, None, "a short result is sent as it is");
}

#[tokio::test]
async fn event_streams_are_not_compressed() {
    let server = ToyServer::start().await;
    let request = reqwest::Client::new().get(format!("http://{}/graphql?query=%7Bbig(n:5000)%7D", server.client.0));
    let request = request.header("accept", "text/event-stream").header("accept-encoding", "gzip, br, zstd");
    let response = request.send().await.unwrap();
    assert!(response.headers().get("content-encoding").is_none());
    assert!(response.text().await.unwrap().starts_with("event: next\n"));
}

async fn get(caller: &Caller<'_>, path: &str, etag: Option<&str>) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(format!("{}{path}", caller.app.url()));
    if let Some(token) = &caller.token {
        request = request.bearer_auth(token);
    }
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    request.header("accept-encoding", "gzip").send().await.unwrap()
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

on_every_database! {
    async fn a_very_long_result_is_compressed(app: App) {
        const QUERY: &str = "{ __schema { types { name description fields { name description args { name description } } } } }";
        let (encoding, plain) = send(&app.url(), QUERY, "identity").await;
        assert!(encoding.is_none() && plain.len() > roster::http::LONG_RESPONSE, "{encoding:?}, {} bytes", plain.len());
        for accepted in ["zstd", "br", "gzip"] {
            let (encoding, body) = send(&app.url(), QUERY, accepted).await;
            assert_eq!(encoding.as_deref(), Some(accepted));
            assert!(body.len() < plain.len() / 2 && decoded(accepted, &body) == plain, "{accepted}");
        }
    }

    async fn a_result_of_get_is_sent_again_only_if_it_changed(app: App) {
        let (user, other, admin) = (app.user().await, app.admin().await, app.admin().await);
        let first = get(&user, VIEWER, None).await;
        let etag = header(&first, "etag").unwrap().to_owned();
        assert!(etag.starts_with("W/\""), "{etag}");
        for _ in 0..2 {
            let again = get(&user, VIEWER, Some(&etag)).await;
            assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, Some(etag.as_str())));
            assert_eq!(header(&again, "cache-control"), Some("private, no-cache"), "only its caller may keep it");
            let varies = again.headers().get_all("vary").iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ");
            assert!(["Authorization", "Accept-Encoding"].iter().all(|name| varies.contains(name)), "{varies}");
            assert_eq!(again.bytes().await.unwrap().len(), 0);
        }
        assert_eq!(get(&other, VIEWER, Some(&etag)).await.status(), 200, "another viewer has another result");
        assert_eq!(get(&app.anonymous(), VIEWER, Some(&etag)).await.status(), 200);
        admin.mutate("updateUser", "", json!({ "id": user.id(), "firstName": "Zoe" })).await;
        let changed = get(&user, VIEWER, Some(&etag)).await;
        assert!(changed.status() == 200 && header(&changed, "etag") != Some(etag.as_str()));
        user.data("mutation { logout { success } }", json!({})).await;
        assert_eq!(get(&user, VIEWER, Some(&etag)).await.status(), 401, "rights come before the cache");
    }

    async fn errors_and_results_of_post_are_not_kept(app: App) {
        let user = app.user().await;
        let failed = get(&user, "/graphql?query=%7Bnode(id:%22x%22)%7Bid%7D%7D", Some("*")).await;
        assert_eq!((failed.status().as_u16(), header(&failed, "etag"), header(&failed, "cache-control")), (200, None, Some("no-store")));
        let request = reqwest::Client::new().post(format!("{}/graphql", app.url())).json(&json!({ "query": "{ viewer { id } }" }));
        let posted = request.bearer_auth(user.token.as_ref().unwrap()).header("if-none-match", "*").send().await.unwrap();
        assert_eq!((posted.status().as_u16(), header(&posted, "etag"), header(&posted, "cache-control")), (200, None, Some("no-store")));
    }
}
