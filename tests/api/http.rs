//! HTTP: which requests are accepted, and the status, headers and media type of their responses.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::app::App;
use crate::programs::skip;
use crate::toy::{ToyServer, settings};
use crate::wire::{RawClient, RawResponse, read_response, request};

const VIEWER: &[u8] = br#"{"query":"{viewer{id}}"}"#;
const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn queries_work_by_post_and_by_get() {
    let server = ToyServer::start().await;
    let response = server.client.query("{hello}").await;
    assert_eq!((response.status, response.json()), (200, json!({"data": {"hello": "world"}})));
    let query = "query%20A(%24t:String!)%7Becho(text:%24t)%7D";
    let rest = "variables=%7B%22t%22:%22a+b%22%7D&operationName=A&extensions=%7B%7D&other=1";
    let response = server.client.get(&format!("/graphql?query={query}&{rest}")).await;
    assert_eq!((response.status, response.json()), (200, json!({"data": {"echo": "a b0"}})));
    let body = br#"{"query":"{hello}","operationName":null,"variables":null,"extensions":{"a":1},"x":[]}"#;
    assert_eq!(server.client.post("", body).await.status, 200);
    let response = server.client.post("", br#"{"query":"query A{hello} query B{who}","operationName":"B"}"#).await;
    assert_eq!(response.json(), json!({"data": {"who": "nobody"}}));
}

#[tokio::test]
async fn only_json_in_utf8_is_accepted() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\"; x=y"] {
        let response = client.send("POST", "/graphql", &format!("Content-Type: {good}\r\n"), VIEWER).await;
        assert_eq!((response.status, response.json()), (200, json!({"data": {"viewer": null}})), "{good}");
    }
    let bad = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
        "application/jsonx",
        "",
    ];
    for bad in bad {
        let response = client.send("POST", "/graphql", &format!("Content-Type: {bad}\r\n"), VIEWER).await;
        assert_eq!((response.status, response.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{bad}");
        assert_eq!(response.header("accept-post"), Some("application/json, multipart/form-data"));
    }
    assert_eq!(client.send("POST", "/graphql", "", VIEWER).await.status, 415);
    assert_eq!(client.post("Content-Encoding: gzip\r\n", VIEWER).await.status, 415);
    assert_eq!(client.post("Content-Type: text/plain\r\n", VIEWER).await.status, 415);
}

#[tokio::test]
async fn mutations_require_post_and_other_methods_are_405() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "FOO"] {
        let response = client.send(method, "/graphql?query=%7B__typename%7D", "", b"").await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, POST")), "{method}");
    }
    let response = client.get("/graphql?query=mutation%7Blogout%7Bsuccess%7D%7D").await;
    assert_eq!((response.status, response.header("allow"), response.is_http_error()), (405, Some("POST"), true));
    let both = "/graphql?query=query%20A%7Bviewer%7Bid%7D%7Dmutation%20B%7Blogout%7Bsuccess%7D%7D&operationName=";
    assert_eq!(client.get(&format!("{both}B")).await.status, 405);
    assert_eq!(client.get(&format!("{both}A")).await.status, 200);
    assert_eq!(client.query("mutation{logout{success}}").await.code(), "UNAUTHENTICATED");

    let server = ToyServer::start().await;
    assert_eq!(server.client.query("mutation{add}").await.json(), json!({"data": {"add": 1}}));
    let response = server.client.query("subscription{ticks}").await;
    assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"));
}

#[tokio::test]
async fn malformed_requests_are_400_and_not_echoed() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let deep = format!("{{\"query\":\"{{viewer{{id}}}}\",\"variables\":{{\"a\":{open}{close}}}}}");
    let bodies: Vec<&[u8]> = vec![
        b"",
        b"{",
        b"null",
        b"1",
        b"[]",
        br#"[{"query":"{viewer{id}}"}]"#,
        b"{}",
        br#"{"query":""}"#,
        br#"{"query":null}"#,
        br#"{"query":1}"#,
        br#"{"query":["secret"]}"#,
        br#"{"query":"{viewer{id}}","variables":[]}"#,
        br#"{"query":"{viewer{id}}","variables":"secret"}"#,
        br#"{"query":"{viewer{id}}","operationName":1}"#,
        br#"{"query":"{viewer{id}}","extensions":1}"#,
        b"{\"query\":\"{viewer{id}}\xff\"}",
        br#"{"query":"{viewer{id}}","variables":{"a":"\ud800"}}"#,
        br#"{"query":"{viewer{id}} #\ud800"}"#,
        br#"{"query":"{viewer{id}}","variables":{"a":"secret\u0000"}}"#,
        br#"{"query":"{viewer{id}}\u0000"}"#,
        br#"{"query":"{node(id:\"\\u0000\"){id}}"}"#,
        br##"{"query":"{viewer{id}}","variables":{"a":["#__graphql_file__:0"]}}"##,
        br#"{"query":"{viewer{id}}"} secret"#,
        deep.as_bytes(),
        b"secret",
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        for accept in ["", "Accept: application/json\r\n"] {
            let response = client.post(accept, body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{shown}");
            let silent = response.is_http_error() && !response.body.contains("secret") && response.body.len() < 400;
            assert!(silent, "{shown}: {}", response.body);
        }
    }
    let queries = [
        "",
        "?query=",
        "?query=%ff",
        "?query=%7Bviewer%7Bid%7D%7D&variables=%7B",
        "?query=%7Bviewer%7Bid%7D%7D&variables=1",
        "?query=%7Bviewer%7Bid%7D%7D&query=%7Bviewer%7Bid%7D%7D",
        "?query=%7Bviewer%7Bid%7D%7D&extensions=1",
    ];
    for query in queries {
        let response = client.get(&format!("/graphql{query}")).await;
        assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{query}");
    }
    let response = client.get(&format!("/graphql?query={}", "a".repeat(70_000))).await;
    assert!([414, 431].contains(&response.status), "{response:?}");
}

#[tokio::test]
async fn too_large_bodies_are_413_with_and_without_a_content_length() {
    const POST: &str = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let body = |padding: usize| format!("{{\"query\":\"{{viewer{{id}}}}\",\"x\":\"{}\"}}", "x".repeat(padding));
    let fits = body(256 * 1024 - body(0).len());
    assert_eq!(fits.len(), 256 * 1024);
    assert_eq!(client.post("", fits.as_bytes()).await.status, 200);
    for size in [256 * 1024 + 1, 900_000, 50_000_000] {
        let mut bytes = format!("{POST}Content-Length: {size}\r\n\r\n").into_bytes();
        bytes.extend(std::iter::repeat_n(b'x', size.min(1_000_000)));
        let response = client.raw(&bytes).await;
        assert_eq!((response.status, response.code().as_str()), (413, "PAYLOAD_TOO_LARGE"), "{size}");
    }
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    let large = format!("{head}{}0\r\n\r\n", chunk(&"x".repeat(0x4000)).repeat(30));
    assert_eq!(client.raw(large.as_bytes()).await.status, 413);
    let small = format!("{head}{}0\r\n\r\n", chunk(&body(0)));
    assert_eq!(client.raw(small.as_bytes()).await.status, 200);
}

/// Like a client that writes the whole request before it reads any of the response.
async fn write_then_read(client: RawClient, bytes: &[u8]) -> RawResponse {
    let mut stream = client.connect().await;
    stream.write_all(bytes).await.expect("the whole body is accepted");
    read_response(&mut stream, false).await.expect("a response")
}

#[tokio::test]
async fn clients_that_send_the_whole_body_first_still_read_the_error() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    for size in [300_000, 3_000_000, 30_000_000] {
        let body = vec![b'x'; size];
        let lengths = [format!("Content-Length: {size}"), "Transfer-Encoding: chunked".to_owned()];
        for length in lengths {
            let (before, after) = if length.contains("chunked") {
                (format!("{size:x}\r\n"), "\r\n0\r\n\r\n")
            } else {
                (String::new(), "")
            };
            let bytes = |kind: &str, more: &str| {
                let head = format!(
                    "POST /graphql HTTP/1.1\r\nHost: x\r\n{more}Content-Type: {kind}\r\n{length}\r\n\r\n{before}"
                );
                [head.as_bytes(), &body, after.as_bytes()].concat()
            };
            let refusals = [
                (bytes("application/json", ""), 413),
                (bytes("text/plain", ""), 415),
                (bytes("application/json", "Authorization: Basic x\r\n"), 401),
                (bytes("application/json", "Host: y\r\n"), 400),
            ];
            for (bytes, status) in refusals {
                assert_eq!(write_then_read(client, &bytes).await.status, status, "{size} {length}");
            }
        }
    }
}

#[tokio::test]
async fn data_sent_after_an_error_response_is_read_up_to_a_limit() {
    const CHUNK: usize = 1024 * 1024;
    let app = App::on_sqlite().await;
    let mut stream = RawClient(app.address).connect().await;
    let head =
        "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_response(&mut stream, false).await.unwrap().status, 413);
    let mut written = 0;
    while stream.write_all(&vec![b'x'; CHUNK]).await.is_ok() {
        written += CHUNK;
        assert!(written < 100 * CHUNK, "the body is read without a limit");
    }
}

#[tokio::test]
async fn urllib_reads_the_413_of_a_too_large_body() {
    const SCRIPT: &str = "
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], data=b'x' * 8_000_000, headers={'Content-Type': 'application/json'})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
";
    let app = App::on_sqlite().await;
    let url = format!("{}/graphql", app.url());
    let ran = tokio::task::spawn_blocking(move || Command::new("python3").args(["-c", SCRIPT, &url]).output());
    let Ok(output) = ran.await.unwrap() else {
        return skip("python3 is not installed");
    };
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.starts_with("413 ") && printed.contains("PAYLOAD_TOO_LARGE"), "{output:?}");
}

#[tokio::test]
async fn documents_that_cannot_run_are_rejected_with_a_code() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let aliases = (0..31).map(|n| format!("a{n}:__typename ")).collect::<Vec<_>>().concat();
    let (many_aliases, brackets) = (format!("{{x:__schema{{{aliases}}}}}"), "[".repeat(30_000));
    let long = format!("{{viewer{{id}}}}#{}", "x".repeat(32 * 1024));
    let table = [
        ("{viewer{id}", "GRAPHQL_PARSE_FAILED"),
        ("}", "GRAPHQL_PARSE_FAILED"),
        ("fragment A on Query{viewer{id}}", "GRAPHQL_PARSE_FAILED"),
        ("query A{viewer{id}} query($a:Nope){viewer{id}}", "GRAPHQL_PARSE_FAILED"),
        ("{nothing}", "GRAPHQL_VALIDATION_FAILED"),
        ("{viewer}", "GRAPHQL_VALIDATION_FAILED"),
        ("query($a:Int){viewer{id}}", "GRAPHQL_VALIDATION_FAILED"),
        ("query($a:[Strng]=[1]){viewer{id}}", "GRAPHQL_VALIDATION_FAILED"),
        ("query A($a:[Query!]=[1]){viewer{id}}", "GRAPHQL_VALIDATION_FAILED"),
        ("{...A} fragment A on Query{...A}", "DOCUMENT_TOO_LARGE"),
        ("query A{viewer{id}} query B{viewer{id}}", "OPERATION_RESOLUTION_FAILURE"),
        ("{searchUsers(query:1){totalCount}}", "BAD_USER_INPUT"),
        ("query($q:String!){searchUsers(query:$q){totalCount}}", "BAD_USER_INPUT"),
        (&many_aliases, "DOCUMENT_TOO_LARGE"),
        (&brackets, "DOCUMENT_TOO_LARGE"),
        (&long, "DOCUMENT_TOO_LARGE"),
    ];
    for (query, code) in table {
        let response = client.query(query).await;
        assert_eq!(
            (response.status, response.code().as_str(), response.is_http_error()),
            (400, code, true),
            "{}",
            response.body
        );
        let body = json!({ "query": query }).to_string();
        let response = client.post("Accept: application/json\r\n", body.as_bytes()).await;
        assert_eq!(
            (response.status, response.code().as_str(), response.is_http_error()),
            (200, code, true),
            "{}",
            response.body
        );
    }
    let response = client.post("", br#"{"query":"query A{viewer{id}}","operationName":"Z"}"#).await;
    assert_eq!((response.status, response.code().as_str()), (400, "OPERATION_RESOLUTION_FAILURE"));
    let response = client.query(&format!("{{viewer{{id}} {} ]", "secret ".repeat(1000))).await;
    assert!(response.body.len() < 300 && !response.body.contains("secret"), "{}", response.body);
    assert_eq!(response.json()["errors"][0]["locations"][0]["line"], 1);
    let response = client.query(&format!("{{x:__schema{{{}}}}}", "z ".repeat(1900))).await;
    assert!(response.json()["errors"].as_array().unwrap().len() <= 20 && response.body.len() < 6_000);
}

#[tokio::test]
async fn invalid_values_are_bad_user_input_and_not_internal_errors() {
    let server = ToyServer::start().await;
    let response = server.client.query("{even(n:3)}").await;
    assert_eq!((response.status, response.code().as_str()), (200, "BAD_USER_INPUT"), "{}", response.body);
    let response = server.client.query("{even(n:\"password\")}").await;
    assert!(response.code() == "BAD_USER_INPUT" && !response.body.contains("password"), "{}", response.body);
    let response = server.client.post("", br#"{"query":"query($n:Even!){even(n:$n)}","variables":{"n":5}}"#).await;
    assert_eq!(response.code(), "BAD_USER_INPUT", "{}", response.body);
    let response =
        server.client.post("", br#"{"query":"query($t:String!){echo(text:$t)}","variables":{"t":null}}"#).await;
    assert_eq!((response.status, response.code().as_str()), (400, "BAD_USER_INPUT"), "{}", response.body);
    let deep = format!("{}{{a:\"x\"}}{}", "{and:[".repeat(30), "]}".repeat(30));
    assert_eq!(server.client.query(&format!("{{filter(by:{deep})}}")).await.json(), json!({"data": {"filter": 30}}));
    let deep = (0..60).fold(json!({"a": "x"}), |inner, _| json!({"and": [inner]}));
    let body = json!({"query": "query($f:Filter!){filter(by:$f)}", "variables": {"f": deep}}).to_string();
    assert_eq!(server.client.post("", body.as_bytes()).await.json(), json!({"data": {"filter": 60}}));
}

#[tokio::test]
async fn unexpected_errors_reveal_only_internal_and_the_request_id() {
    let server = ToyServer::start().await;
    for query in ["{foreign hello}", "{foreignNonNull}"] {
        let response = server.client.query(query).await;
        let error = &response.json()["errors"][0];
        assert_eq!((response.status, error["message"].as_str()), (200, Some("Internal error")), "{}", response.body);
        assert_eq!(error["extensions"]["code"], "INTERNAL");
        assert_eq!(error["extensions"]["requestId"].as_str(), response.header("x-request-id"));
        assert!(
            !response.is_http_error() && !response.body.contains("invalid digit") && !response.body.contains("secret")
        );
    }
    let response = server.client.query("{ours hello}").await;
    assert_eq!((response.status, response.code().as_str()), (200, "FORBIDDEN"));
    assert_eq!(response.json()["data"], json!({"ours": null, "hello": "world"}));
}

#[tokio::test]
async fn the_media_type_of_a_response_follows_the_accept_header() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let graphql = "application/graphql-response+json; charset=utf-8";
    let plain = "application/json; charset=utf-8";
    let table = [
        ("*/*", plain),
        ("application/*", plain),
        ("application/graphql-response+json", graphql),
        ("application/json", plain),
        ("application/json, text/plain, */*", plain),
        ("application/json;q=0.9, application/graphql-response+json", graphql),
        ("application/json, application/graphql-response+json;q=0.5", plain),
        ("application/graphql-response+json, application/json", graphql),
        ("text/html, */*;q=0.1", plain),
        ("application/graphql-response+json;q=0, */*", plain),
        ("application/json;q=0.1, */*", graphql),
    ];
    assert_eq!(client.post("", VIEWER).await.header("content-type"), Some(plain));
    for (accept, wanted) in table {
        let response = client.post(&format!("Accept: {accept}\r\n"), VIEWER).await;
        assert_eq!((response.status, response.header("content-type")), (200, Some(wanted)), "{accept}");
    }
    // A caller who prefers neither is told why a document was not executed.
    for headers in ["", "Accept: */*\r\n", "Accept: application/*\r\n", "Accept: text/html, */*;q=0.1\r\n"] {
        for document in ["{", "{ missing }"] {
            let response = client.post(headers, json!({ "query": document }).to_string().as_bytes()).await;
            assert_eq!((response.status, response.header("content-type")), (400, Some(graphql)), "{headers}{document}");
        }
    }
    for accept in ["text/html", "application/xml", "application/json;q=0", "*/*;q=0"] {
        let response = client.post(&format!("Accept: {accept}\r\n"), VIEWER).await;
        assert_eq!((response.status, response.code().as_str()), (406, "NOT_ACCEPTABLE"), "{accept}");
    }
}

#[tokio::test]
async fn bearer_tokens_are_accepted_and_other_credentials_are_401() {
    let server = ToyServer::start().await;
    let body = br#"{"query":"{who}"}"#;
    for header in ["Authorization: Bearer abc.d-e_f", "authorization: bEaReR abc.d-e_f"] {
        assert_eq!(server.client.post(&format!("{header}\r\n"), body).await.json()["data"]["who"], "abc.d-e_f");
    }
    let long = format!("Bearer {}", "x".repeat(2000));
    let twice = "Bearer a\r\nAuthorization: Bearer b";
    let bad = ["Basic YTpi", "Bearer a b", "abc", twice, "Bearer \u{fc}", &long, "Bearer bad"];
    for value in bad {
        let response = server.client.post(&format!("Authorization: {value}\r\n"), body).await;
        assert_eq!((response.status, response.code().as_str()), (401, "UNAUTHENTICATED"), "{value}");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"), "{value}");
        let headers = format!("Accept: application/json\r\nAuthorization: {value}\r\n");
        assert_eq!(server.client.post(&headers, body).await.status, 401);
    }
    for value in ["", "Bearer", "Bearer "] {
        let response = server.client.post(&format!("Authorization: {value}\r\n"), body).await;
        assert_eq!(response.json()["data"]["who"], "nobody", "an empty credential is anonymous: {value}");
    }
    let response = server.client.post("Authorization: Bearer busy\r\n", body).await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n";
    assert_eq!(server.client.post(forged, br#"{"query":"{address}"}"#).await.json()["data"]["address"], "127.0.0.1");
}

#[tokio::test]
async fn altered_tokens_are_401() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let token = app.user().await.token.clone().unwrap();
    let mut altered = vec![format!("{token}A"), token.to_uppercase(), "ros_".to_owned(), "ros_\u{fc}".to_owned()];
    for at in 0..token.len() {
        let (head, tail) = token.split_at(at);
        let other = if tail.starts_with('A') { 'B' } else { 'A' };
        altered.push(format!("{head}{other}{}", tail.get(1..).unwrap_or_default()));
        altered.extend((at > 0).then(|| head.to_owned()));
    }
    let mut stream = client.connect().await;
    for altered in altered {
        let headers = format!("{JSON}Authorization: Bearer {altered}\r\n");
        stream.write_all(&request("POST", "/graphql", &headers, VIEWER)).await.unwrap();
        let response = read_response(&mut stream, false).await.unwrap();
        assert_eq!((response.status, response.code().as_str()), (401, "UNAUTHENTICATED"), "{altered}");
    }
    let response = client.post(&format!("Authorization: Bearer {token}\r\n"), VIEWER).await;
    assert!(response.json()["data"]["viewer"]["id"].is_string(), "{}", response.body);
}

#[tokio::test]
async fn every_response_has_security_headers_and_a_request_id() {
    let server = ToyServer::start().await;
    let mut responses = Vec::new();
    for query in ["{hello}", "{", "{panics}", "{foreign}"] {
        responses.push(server.client.query(query).await);
    }
    for path in ["/none", "/health/live", "/"] {
        responses.push(server.client.get(path).await);
    }
    responses.push(server.client.send("DELETE", "/graphql", "", b"").await);
    responses.push(server.client.send("HEAD", "/health/ready", "", b"").await);
    let headers = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'none'"),
    ];
    for response in responses {
        for (name, value) in headers {
            assert_eq!(response.header(name), Some(value), "{response:?}");
        }
        assert_eq!(response.header("x-request-id").map(str::len), Some(36), "{response:?}");
    }
    let body = br#"{"query":"{idOfRequest}"}"#;
    let mut ids = BTreeSet::new();
    for given in ["Abc.1_2-3", "Abc.1_2-3", "a b", "", &"x".repeat(65), "a\"b", "<script>"] {
        let response = server.client.post(&format!("X-Request-Id: {given}\r\n"), body).await;
        let id = response.header("x-request-id").unwrap().to_owned();
        assert_eq!((id.len(), response.json()["data"]["idOfRequest"].as_str()), (36, Some(id.as_str())), "{given}");
        assert!(ids.insert(id), "two requests have the same id");
    }
}

#[tokio::test]
async fn requests_with_an_invalid_or_repeated_host_are_400() {
    let server = ToyServer::start().await;
    let body = r#"{"query":"{hello}"}"#;
    let post = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let requests =
        [("GET /health/live", "\r\n"), ("GET /graphql?query=%7Bhello%7D", "\r\n"), ("POST /graphql", &*post)];
    let hosts = [
        ("1.1", "Host: people.example.org\r\n", 200),
        ("1.1", "hOST:[::1]:8000\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "Host:\r\n", 400),
        ("1.1", "Host: x\r\nHost: x\r\n", 400),
        ("1.1", "Host: x\r\nhost: y\r\n", 400),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: ann@example.org\r\n", 400),
        ("1.1", "Host: http://example.org/\r\n", 400),
        ("1.1", "Host: example.org:port\r\n", 400),
        ("1.1", "Host: \u{fc}.example\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: x\r\n", 200),
        ("1.0", "Host: x\r\nHost: x\r\n", 400),
        ("1.0", "Host: a b\r\n", 400),
    ];
    for (version, headers, status) in hosts {
        for (target, rest) in requests {
            let response = server.client.raw(format!("{target} HTTP/{version}\r\n{headers}{rest}").as_bytes()).await;
            assert_eq!(response.status, status, "{version} {headers:?} {target}: {}", response.body);
            if status == 400 {
                assert!(response.code() == "BAD_REQUEST" && response.body.contains("Host: "), "{}", response.body);
            }
        }
    }
}

#[tokio::test]
async fn health_returns_only_a_status_and_unknown_paths_are_404() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    for path in ["/health/live", "/health/ready"] {
        let response = client.get(path).await;
        assert_eq!((response.status, response.json()), (200, json!({"status": "ok"})));
    }
    assert_eq!(client.send("POST", "/health/live", "", b"").await.status, 405);
    for path in ["/none", "/..", "/%00", "/health", "//graphql"] {
        let response = client.get(path).await;
        assert_eq!((response.status, response.code().as_str()), (404, "NOT_FOUND"), "{path}");
    }
    let server = ToyServer::start_with(settings(), false).await;
    assert_eq!(server.client.get("/health/live").await.json(), json!({"status": "ok"}));
    let ready = server.client.get("/health/ready").await;
    assert_eq!((ready.status, ready.json()), (503, json!({"status": "unavailable"})));
    assert_eq!(server.client.get("/").await.status, 404, "the playground is off");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_stays_open() {
    let server = ToyServer::start().await;
    for query in ["{panics}", "mutation{panics}"] {
        let response = server.client.query(query).await;
        assert_eq!((response.status, response.code().as_str(), response.is_http_error()), (500, "INTERNAL", true));
        assert_eq!(response.json()["errors"][0]["extensions"]["requestId"].as_str(), response.header("x-request-id"));
        assert!(!response.body.contains("disco"));
    }
    let mut stream = server.client.connect().await;
    for (query, status) in [("{panics}", 500), ("{hello}", 200)] {
        let body = json!({ "query": query }).to_string();
        stream.write_all(&request("POST", "/graphql", JSON, body.as_bytes())).await.unwrap();
        assert_eq!(read_response(&mut stream, false).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn database_errors_are_internal_and_reveal_no_sql() {
    let app = App::on_sqlite().await;
    let (client, caller) = (RawClient(app.address), app.user().await);
    sea_orm::ConnectionTrait::execute_unprepared(app.db.write(), "DROP TABLE memberships").await.unwrap();
    let body = json!({ "query": "{ viewer { id } node(id: \"no id\") { id } other: viewer { groups { id } } }" });
    let authorization = format!("Authorization: Bearer {}\r\n", caller.token.clone().unwrap());
    let response = client.post(&authorization, body.to_string().as_bytes()).await;
    let json = response.json();
    let internal: Vec<&Value> =
        json["errors"].as_array().unwrap().iter().filter(|error| error["extensions"]["code"] == "INTERNAL").collect();
    assert_eq!((response.status, internal.len()), (200, 1), "{json:#}");
    assert_eq!(internal[0]["message"], "Internal error");
    assert_eq!(internal[0]["extensions"]["requestId"].as_str(), response.header("x-request-id"));
    for word in ["memberships", "table", "SELECT", "select", "sql"] {
        assert!(!response.body.contains(word), "{word}: {}", response.body);
    }
    assert_eq!(json["data"]["viewer"]["id"], json!(caller.id()), "{json:#}");

    let create = r#"{"query":"mutation{createGroup(input:{name:\"A\"}){success}}"}"#;
    let response = client.post(&authorization, create.as_bytes()).await;
    assert_eq!((response.status, response.code().as_str()), (200, "INTERNAL"), "{}", response.body);
    assert!(!response.body.contains("memberships") && !response.body.contains("INSERT"), "{}", response.body);
    let data = caller.data("{ groups { totalCount } }", json!({})).await;
    assert_eq!(data["groups"]["totalCount"], 0, "a part of the mutation was saved");
}

#[tokio::test]
async fn an_error_nulls_only_its_own_field() {
    let app = App::on_sqlite().await;
    let user = app.user().await;
    let others = [
        "node(id: \"garbage\") { id }",
        "group(id: \"garbage\") { id }",
        "institution(id: \"\") { id }",
        "license(id: \"1\") { id }",
        "user(by: { id: \"garbage\" }) { id }",
        "user(by: { externalId: \"1\" }) { id }",
    ];
    for other in others {
        let response = user.execute(&format!("{{ viewer {{ id }} other: {other} }}"), json!({})).await;
        assert_eq!(response["data"], json!({ "viewer": { "id": user.id() }, "other": null }), "{other}: {response:#}");
        assert_eq!(response["errors"][0]["path"], json!(["other"]), "{other}: {response:#}");
        let code = response["errors"][0]["extensions"]["code"].as_str().unwrap();
        assert!(["BAD_USER_INPUT", "FORBIDDEN"].contains(&code), "{other}: {code}");
    }
    let id = user.id();
    let document = format!("{{ viewer {{ id }} node(id: \"{id}\") {{ id }} group(id: \"{id}\") {{ id }} }}");
    let response = app.anonymous().execute(&document, json!({})).await;
    assert_eq!(response["data"], json!({ "viewer": null, "node": null, "group": null }), "{response:#}");
    assert_eq!(response["errors"].as_array().unwrap().len(), 2, "{response:#}");
}

#[tokio::test]
async fn an_unknown_field_is_reported_once_with_what_was_probably_meant() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    for (query, meant) in [
        ("{viewer{fristName}}", Some("Did you mean `firstName`?")),
        ("{viwer{id}}", Some("Did you mean `viewer`?")),
        ("mutation{lgoin{token}}", Some("Did you mean `login`?")),
        ("{viewer{favouriteColour}}", None),
        ("subscription{x}", None),
        ("{viewer{... on User{x}}}", None),
    ] {
        let response = client.query(query).await;
        assert_eq!((response.status, response.code().as_str()), (400, "GRAPHQL_VALIDATION_FAILED"), "{query}");
        let errors = response.json()["errors"].as_array().unwrap().clone();
        let [error] = errors.as_slice() else { panic!("{query}: {errors:#?}") };
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("does not exist on type"), "{message}");
        match meant {
            Some(meant) => assert!(message.ends_with(meant), "{message}"),
            None => assert!(!message.contains("Did you mean"), "{message}"),
        }
    }
}
