//! HTTP: which requests are accepted, and the status, headers and media type of their responses.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::app::App;
use crate::toy::{Site, settings};
use crate::wire::{Answer, Wire, read_answer, request};

const VIEWER: &[u8] = br#"{"query":"{viewer{id}}"}"#;
const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn queries_work_by_post_and_by_get() {
    let site = Site::start().await;
    let answer = site.wire.query("{hello}").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"data": {"hello": "world"}})));
    let query = "query%20A(%24t:String!)%7Becho(text:%24t)%7D";
    let rest = "variables=%7B%22t%22:%22a+b%22%7D&operationName=A&extensions=%7B%7D&other=1";
    let answer = site.wire.get(&format!("/graphql?query={query}&{rest}")).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"data": {"echo": "a b0"}})));
    let body = br#"{"query":"{hello}","operationName":null,"variables":null,"extensions":{"a":1},"x":[]}"#;
    assert_eq!(site.wire.post("", body).await.status, 200);
    let answer = site.wire.post("", br#"{"query":"query A{hello} query B{who}","operationName":"B"}"#).await;
    assert_eq!(answer.json(), json!({"data": {"who": "nobody"}}));
}

#[tokio::test]
async fn only_json_in_utf8_is_accepted() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\"; x=y"] {
        let answer = wire.send("POST", "/graphql", &format!("Content-Type: {good}\r\n"), VIEWER).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"data": {"viewer": null}})), "{good}");
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
        let answer = wire.send("POST", "/graphql", &format!("Content-Type: {bad}\r\n"), VIEWER).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{bad}");
        assert_eq!(answer.header("accept-post"), Some("application/json, multipart/form-data"));
    }
    assert_eq!(wire.send("POST", "/graphql", "", VIEWER).await.status, 415);
    assert_eq!(wire.post("Content-Encoding: gzip\r\n", VIEWER).await.status, 415);
    assert_eq!(wire.post("Content-Type: text/plain\r\n", VIEWER).await.status, 415);
}

#[tokio::test]
async fn mutations_require_post_and_other_methods_are_405() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "FOO"] {
        let answer = wire.send(method, "/graphql?query=%7B__typename%7D", "", b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")), "{method}");
    }
    let answer = wire.get("/graphql?query=mutation%7Blogout%7Bsuccess%7D%7D").await;
    assert_eq!((answer.status, answer.header("allow"), answer.is_refusal()), (405, Some("POST"), true));
    let both = "/graphql?query=query%20A%7Bviewer%7Bid%7D%7Dmutation%20B%7Blogout%7Bsuccess%7D%7D&operationName=";
    assert_eq!(wire.get(&format!("{both}B")).await.status, 405);
    assert_eq!(wire.get(&format!("{both}A")).await.status, 200);
    assert_eq!(wire.query("mutation{logout{success}}").await.code(), "UNAUTHENTICATED");

    let site = Site::start().await;
    assert_eq!(site.wire.query("mutation{add}").await.json(), json!({"data": {"add": 1}}));
    let answer = site.wire.query("subscription{ticks}").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"));
}

#[tokio::test]
async fn malformed_requests_are_400_and_not_echoed() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
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
            let answer = wire.post(accept, body).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{shown}");
            let silent = answer.is_refusal() && !answer.body.contains("secret") && answer.body.len() < 400;
            assert!(silent, "{shown}: {}", answer.body);
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
        let answer = wire.get(&format!("/graphql{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{query}");
    }
    let answer = wire.get(&format!("/graphql?query={}", "a".repeat(70_000))).await;
    assert!([414, 431].contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn too_large_bodies_are_413_with_and_without_a_content_length() {
    const POST: &str = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
    let body = |padding: usize| format!("{{\"query\":\"{{viewer{{id}}}}\",\"x\":\"{}\"}}", "x".repeat(padding));
    let fits = body(256 * 1024 - body(0).len());
    assert_eq!(fits.len(), 256 * 1024);
    assert_eq!(wire.post("", fits.as_bytes()).await.status, 200);
    for size in [256 * 1024 + 1, 900_000, 50_000_000] {
        let mut bytes = format!("{POST}Content-Length: {size}\r\n\r\n").into_bytes();
        bytes.extend(std::iter::repeat_n(b'x', size.min(1_000_000)));
        let answer = wire.raw(&bytes).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"), "{size}");
    }
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    let large = format!("{head}{}0\r\n\r\n", chunk(&"x".repeat(0x4000)).repeat(30));
    assert_eq!(wire.raw(large.as_bytes()).await.status, 413);
    let small = format!("{head}{}0\r\n\r\n", chunk(&body(0)));
    assert_eq!(wire.raw(small.as_bytes()).await.status, 200);
}

/// Like a client that writes the whole request before it reads any of the response.
async fn write_then_read(wire: Wire, bytes: &[u8]) -> Answer {
    let mut stream = wire.connect().await;
    stream.write_all(bytes).await.expect("the whole body is accepted");
    read_answer(&mut stream, false).await.expect("a response")
}

#[tokio::test]
async fn clients_that_send_the_whole_body_first_still_read_the_error() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
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
                assert_eq!(write_then_read(wire, &bytes).await.status, status, "{size} {length}");
            }
        }
    }
}

#[tokio::test]
async fn data_sent_after_an_error_response_is_read_up_to_a_limit() {
    const CHUNK: usize = 1024 * 1024;
    let app = App::on_sqlite().await;
    let mut stream = Wire(app.address).connect().await;
    let head =
        "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream, false).await.unwrap().status, 413);
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
        assert!(std::env::var_os("ROSTER_REQUIRE_ALL").is_none(), "python3 is not installed");
        return eprintln!("skipped: python3 is not installed");
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("413 ") && said.contains("PAYLOAD_TOO_LARGE"), "{output:?}");
}

#[tokio::test]
async fn documents_that_cannot_run_are_rejected_with_a_code() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
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
        let answer = wire.query(query).await;
        assert_eq!((answer.status, answer.code().as_str(), answer.is_refusal()), (400, code, true), "{}", answer.body);
        let body = json!({ "query": query }).to_string();
        let answer = wire.post("Accept: application/json\r\n", body.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str(), answer.is_refusal()), (200, code, true), "{}", answer.body);
    }
    let answer = wire.post("", br#"{"query":"query A{viewer{id}}","operationName":"Z"}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "OPERATION_RESOLUTION_FAILURE"));
    let answer = wire.query(&format!("{{viewer{{id}} {} ]", "secret ".repeat(1000))).await;
    assert!(answer.body.len() < 300 && !answer.body.contains("secret"), "{}", answer.body);
    assert_eq!(answer.json()["errors"][0]["locations"][0]["line"], 1);
    let answer = wire.query(&format!("{{x:__schema{{{}}}}}", "z ".repeat(1900))).await;
    assert!(answer.json()["errors"].as_array().unwrap().len() <= 20 && answer.body.len() < 6_000);
}

#[tokio::test]
async fn invalid_values_are_bad_user_input_and_not_internal_errors() {
    let site = Site::start().await;
    let answer = site.wire.query("{even(n:3)}").await;
    assert_eq!((answer.status, answer.code().as_str()), (200, "BAD_USER_INPUT"), "{}", answer.body);
    let answer = site.wire.query("{even(n:\"password\")}").await;
    assert!(answer.code() == "BAD_USER_INPUT" && !answer.body.contains("password"), "{}", answer.body);
    let answer = site.wire.post("", br#"{"query":"query($n:Even!){even(n:$n)}","variables":{"n":5}}"#).await;
    assert_eq!(answer.code(), "BAD_USER_INPUT", "{}", answer.body);
    let answer = site.wire.post("", br#"{"query":"query($t:String!){echo(text:$t)}","variables":{"t":null}}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_USER_INPUT"), "{}", answer.body);
    let deep = format!("{}{{a:\"x\"}}{}", "{and:[".repeat(30), "]}".repeat(30));
    assert_eq!(site.wire.query(&format!("{{filter(by:{deep})}}")).await.json(), json!({"data": {"filter": 30}}));
    let deep = (0..60).fold(json!({"a": "x"}), |inner, _| json!({"and": [inner]}));
    let body = json!({"query": "query($f:Filter!){filter(by:$f)}", "variables": {"f": deep}}).to_string();
    assert_eq!(site.wire.post("", body.as_bytes()).await.json(), json!({"data": {"filter": 60}}));
}

#[tokio::test]
async fn unexpected_errors_reveal_only_internal_and_the_request_id() {
    let site = Site::start().await;
    for query in ["{foreign hello}", "{foreignNonNull}"] {
        let answer = site.wire.query(query).await;
        let error = &answer.json()["errors"][0];
        assert_eq!((answer.status, error["message"].as_str()), (200, Some("Internal error")), "{}", answer.body);
        assert_eq!(error["extensions"]["code"], "INTERNAL");
        assert_eq!(error["extensions"]["requestId"].as_str(), answer.header("x-request-id"));
        assert!(!answer.is_refusal() && !answer.body.contains("invalid digit") && !answer.body.contains("secret"));
    }
    let answer = site.wire.query("{ours hello}").await;
    assert_eq!((answer.status, answer.code().as_str()), (200, "FORBIDDEN"));
    assert_eq!(answer.json()["data"], json!({"ours": null, "hello": "world"}));
}

#[tokio::test]
async fn the_media_type_of_a_response_follows_the_accept_header() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
    let graphql = "application/graphql-response+json; charset=utf-8";
    let plain = "application/json; charset=utf-8";
    let table = [
        ("*/*", graphql),
        ("application/*", graphql),
        ("application/graphql-response+json", graphql),
        ("application/json", plain),
        ("application/json, text/plain, */*", plain),
        ("application/json;q=0.9, application/graphql-response+json", graphql),
        ("application/json, application/graphql-response+json;q=0.5", plain),
        ("application/graphql-response+json, application/json", graphql),
        ("text/html, */*;q=0.1", graphql),
        ("application/graphql-response+json;q=0, */*", plain),
        ("application/json;q=0.1, */*", graphql),
    ];
    assert_eq!(wire.post("", VIEWER).await.header("content-type"), Some(graphql));
    for (accept, wanted) in table {
        let answer = wire.post(&format!("Accept: {accept}\r\n"), VIEWER).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(wanted)), "{accept}");
    }
    for accept in ["text/html", "application/xml", "application/json;q=0", "*/*;q=0"] {
        let answer = wire.post(&format!("Accept: {accept}\r\n"), VIEWER).await;
        assert_eq!((answer.status, answer.code().as_str()), (406, "NOT_ACCEPTABLE"), "{accept}");
    }
}

#[tokio::test]
async fn bearer_tokens_are_accepted_and_other_credentials_are_401() {
    let site = Site::start().await;
    let body = br#"{"query":"{who}"}"#;
    for header in ["Authorization: Bearer abc.d-e_f", "authorization: bEaReR abc.d-e_f"] {
        assert_eq!(site.wire.post(&format!("{header}\r\n"), body).await.json()["data"]["who"], "abc.d-e_f");
    }
    let long = format!("Bearer {}", "x".repeat(2000));
    let twice = "Bearer a\r\nAuthorization: Bearer b";
    let bad = ["Basic YTpi", "Bearer a b", "abc", twice, "Bearer \u{fc}", &long, "Bearer bad"];
    for value in bad {
        let answer = site.wire.post(&format!("Authorization: {value}\r\n"), body).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED"), "{value}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{value}");
        let headers = format!("Accept: application/json\r\nAuthorization: {value}\r\n");
        assert_eq!(site.wire.post(&headers, body).await.status, 401);
    }
    for value in ["", "Bearer", "Bearer "] {
        let answer = site.wire.post(&format!("Authorization: {value}\r\n"), body).await;
        assert_eq!(answer.json()["data"]["who"], "nobody", "an empty credential is anonymous: {value}");
    }
    let answer = site.wire.post("Authorization: Bearer busy\r\n", body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n";
    assert_eq!(site.wire.post(forged, br#"{"query":"{address}"}"#).await.json()["data"]["address"], "127.0.0.1");
}

#[tokio::test]
async fn altered_tokens_are_401() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
    let token = app.user().await.token.clone().unwrap();
    let mut altered = vec![format!("{token}A"), token.to_uppercase(), "ros_".to_owned(), "ros_\u{fc}".to_owned()];
    for at in 0..token.len() {
        let (head, tail) = token.split_at(at);
        let other = if tail.starts_with('A') { 'B' } else { 'A' };
        altered.push(format!("{head}{other}{}", tail.get(1..).unwrap_or_default()));
        altered.extend((at > 0).then(|| head.to_owned()));
    }
    let mut stream = wire.connect().await;
    for altered in altered {
        let headers = format!("{JSON}Authorization: Bearer {altered}\r\n");
        stream.write_all(&request("POST", "/graphql", &headers, VIEWER)).await.unwrap();
        let answer = read_answer(&mut stream, false).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHENTICATED"), "{altered}");
    }
    let answer = wire.post(&format!("Authorization: Bearer {token}\r\n"), VIEWER).await;
    assert!(answer.json()["data"]["viewer"]["id"].is_string(), "{}", answer.body);
}

#[tokio::test]
async fn every_response_has_security_headers_and_a_request_id() {
    let site = Site::start().await;
    let mut answers = Vec::new();
    for query in ["{hello}", "{", "{panics}", "{foreign}"] {
        answers.push(site.wire.query(query).await);
    }
    for path in ["/none", "/health/live", "/"] {
        answers.push(site.wire.get(path).await);
    }
    answers.push(site.wire.send("DELETE", "/graphql", "", b"").await);
    answers.push(site.wire.send("HEAD", "/health/ready", "", b"").await);
    let headers = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'none'"),
    ];
    for answer in answers {
        for (name, value) in headers {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "{answer:?}");
    }
    let body = br#"{"query":"{idOfRequest}"}"#;
    let mut ids = BTreeSet::new();
    for given in ["Abc.1_2-3", "Abc.1_2-3", "a b", "", &"x".repeat(65), "a\"b", "<script>"] {
        let answer = site.wire.post(&format!("X-Request-Id: {given}\r\n"), body).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!((id.len(), answer.json()["data"]["idOfRequest"].as_str()), (36, Some(id.as_str())), "{given}");
        assert!(ids.insert(id), "two requests have the same id");
    }
}

#[tokio::test]
async fn requests_with_an_invalid_or_repeated_host_are_400() {
    let site = Site::start().await;
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
            let answer = site.wire.raw(format!("{target} HTTP/{version}\r\n{headers}{rest}").as_bytes()).await;
            assert_eq!(answer.status, status, "{version} {headers:?} {target}: {}", answer.body);
            if status == 400 {
                assert!(answer.code() == "BAD_REQUEST" && answer.body.contains("Host: "), "{}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn health_returns_only_a_status_and_unknown_paths_are_404() {
    let app = App::on_sqlite().await;
    let wire = Wire(app.address);
    for path in ["/health/live", "/health/ready"] {
        let answer = wire.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})));
    }
    assert_eq!(wire.send("POST", "/health/live", "", b"").await.status, 405);
    for path in ["/none", "/..", "/%00", "/health", "//graphql"] {
        let answer = wire.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"), "{path}");
    }
    let site = Site::start_with(settings(), false).await;
    assert_eq!(site.wire.get("/health/live").await.json(), json!({"status": "ok"}));
    let ready = site.wire.get("/health/ready").await;
    assert_eq!((ready.status, ready.json()), (503, json!({"status": "unavailable"})));
    assert_eq!(site.wire.get("/").await.status, 404, "the playground is off");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_stays_open() {
    let site = Site::start().await;
    for query in ["{panics}", "mutation{panics}"] {
        let answer = site.wire.query(query).await;
        assert_eq!((answer.status, answer.code().as_str(), answer.is_refusal()), (500, "INTERNAL", true));
        assert_eq!(answer.json()["errors"][0]["extensions"]["requestId"].as_str(), answer.header("x-request-id"));
        assert!(!answer.body.contains("disco"));
    }
    let mut stream = site.wire.connect().await;
    for (query, status) in [("{panics}", 500), ("{hello}", 200)] {
        let body = json!({ "query": query }).to_string();
        stream.write_all(&request("POST", "/graphql", JSON, body.as_bytes())).await.unwrap();
        assert_eq!(read_answer(&mut stream, false).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn database_errors_are_internal_and_reveal_no_sql() {
    let app = App::on_sqlite().await;
    let (wire, caller) = (Wire(app.address), app.user().await);
    sea_orm::ConnectionTrait::execute_unprepared(app.db.write(), "DROP TABLE memberships").await.unwrap();
    let body = json!({ "query": "{ viewer { id } node(id: \"no id\") { id } other: viewer { groups { id } } }" });
    let authorization = format!("Authorization: Bearer {}\r\n", caller.token.clone().unwrap());
    let answer = wire.post(&authorization, body.to_string().as_bytes()).await;
    let json = answer.json();
    let internal: Vec<&Value> =
        json["errors"].as_array().unwrap().iter().filter(|error| error["extensions"]["code"] == "INTERNAL").collect();
    assert_eq!((answer.status, internal.len()), (200, 1), "{json:#}");
    assert_eq!(internal[0]["message"], "Internal error");
    assert_eq!(internal[0]["extensions"]["requestId"].as_str(), answer.header("x-request-id"));
    for word in ["memberships", "table", "SELECT", "select", "sql"] {
        assert!(!answer.body.contains(word), "{word}: {}", answer.body);
    }
    assert_eq!(json["data"]["viewer"]["id"], json!(caller.id()), "{json:#}");

    let create = r#"{"query":"mutation{createGroup(input:{name:\"A\"}){success}}"}"#;
    let answer = wire.post(&authorization, create.as_bytes()).await;
    assert_eq!((answer.status, answer.code().as_str()), (200, "INTERNAL"), "{}", answer.body);
    assert!(!answer.body.contains("memberships") && !answer.body.contains("INSERT"), "{}", answer.body);
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
        let answer = user.ask(&format!("{{ viewer {{ id }} other: {other} }}"), json!({})).await;
        assert_eq!(answer["data"], json!({ "viewer": { "id": user.id() }, "other": null }), "{other}: {answer:#}");
        assert_eq!(answer["errors"][0]["path"], json!(["other"]), "{other}: {answer:#}");
        let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap();
        assert!(["BAD_USER_INPUT", "FORBIDDEN"].contains(&code), "{other}: {code}");
    }
    let id = user.id();
    let document = format!("{{ viewer {{ id }} node(id: \"{id}\") {{ id }} group(id: \"{id}\") {{ id }} }}");
    let answer = app.anonymous().ask(&document, json!({})).await;
    assert_eq!(answer["data"], json!({ "viewer": null, "node": null, "group": null }), "{answer:#}");
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2, "{answer:#}");
}
