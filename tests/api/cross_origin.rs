//! Pages of other origins: what browsers let them send and read.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::app::{App, PASSWORD};
use crate::browser::Browser;
use crate::process::{ADMIN, Sandbox};
use crate::socket::{OFFER, Socket};
use crate::toy::{ORIGIN, ToyServer};
use crate::wire::{RawClient, RawResponse};

const OTHER: &str = "https://evil.example";

/// The paths in the guide that pages of other origins may use.
const SHARED: [&str; 3] = ["/graphql", "/schema.graphql", "/avatars/ID"];

/// The paths in the table of the guide.
fn paths() -> Vec<&'static str> {
    let lines = include_str!("../../docs/api-guide.md").lines().skip_while(|line| *line != "| Path | Serves |");
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

fn preflight(origin: &str) -> String {
    format!(
        "Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n"
    )
}

fn list<'a>(response: &'a RawResponse, name: &str) -> Vec<&'a str> {
    response.header(name).unwrap_or_default().split(',').map(str::trim).collect()
}

#[tokio::test]
async fn preflight_requests_of_allowed_origins_are_answered() {
    let server = ToyServer::start().await;
    for path in ["/graphql", "/graphql/", "/avatars/1", "/schema.graphql"] {
        let response = server.client.send("OPTIONS", path, &preflight(ORIGIN), b"").await;
        assert_eq!((response.status, response.body.as_str()), (204, ""), "{response:?}");
        assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN));
        assert_eq!(response.header("access-control-max-age"), Some("7200"));
        assert_eq!(response.header("access-control-allow-credentials"), None);
        assert_eq!(response.header("vary"), Some("Origin"));
        assert_eq!(list(&response, "access-control-allow-methods"), ["GET", "HEAD", "POST"]);
        let headers = list(&response, "access-control-allow-headers");
        for name in [
            "Authorization",
            "Content-Type",
            "If-None-Match",
            "Last-Event-ID",
            "Apollo-Require-Preflight",
            "GraphQL-Require-Preflight",
            "X-Apollo-Operation-Name",
            "X-Request-Id",
            "traceparent",
        ] {
            assert!(headers.contains(&name), "{name}: {headers:?}");
        }
    }
}

#[tokio::test]
async fn preflight_requests_of_other_origins_are_refused() {
    let server = ToyServer::start().await;
    let twice = format!("{}Origin: {OTHER}\r\n", preflight(ORIGIN));
    let others = [OTHER, "null", "http://app.example.org", "https://app.example.org:8443", "https://APP.example.org"];
    for headers in others.map(preflight).into_iter().chain([twice]) {
        let response = server.client.send("OPTIONS", "/graphql", &headers, b"").await;
        assert_eq!((response.status, response.code().as_str()), (403, "FORBIDDEN"), "{headers}");
        assert!(!response.head.to_lowercase().contains("access-control"), "{response:?}");
        assert_eq!(response.header("vary"), Some("Origin"), "a cache must not give it to others");
    }
    for (path, headers) in [("/health/live", preflight(ORIGIN)), ("/graphql", format!("Origin: {ORIGIN}\r\n"))] {
        let response = server.client.send("OPTIONS", path, &headers, b"").await;
        assert_eq!(response.status, 405, "{path}");
        assert_eq!(response.header("access-control-allow-methods"), None, "{path}");
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_read_every_response() {
    let server = ToyServer::start().await;
    let query = br#"{"query":"{hello}"}"#.as_slice();
    let large = vec![b'x'; 300_000];
    let requests: [(&str, &str, &[u8], u16); 9] = [
        ("POST", "", query, 200),
        ("POST", "Authorization: Bearer bad\r\n", query, 401),
        ("POST", "Authorization: Basic x\r\n", query, 401),
        ("POST", "Authorization: Bearer busy\r\n", query, 503),
        ("POST", "", &large, 413),
        ("POST", "", b"{", 400),
        ("POST", "", br#"{"query":"{panics}"}"#, 500),
        ("POST", "Accept: text/html\r\n", query, 406),
        ("DELETE", "", b"", 405),
    ];
    for (method, headers, body, status) in requests {
        let headers = format!("Content-Type: application/json\r\n{headers}");
        let send = async |origin: &str| {
            server.client.send(method, "/graphql", &format!("{headers}Origin: {origin}\r\n"), body).await
        };
        let response = send(ORIGIN).await;
        assert_eq!((response.status, response.header("access-control-allow-origin")), (status, Some(ORIGIN)));
        let exposed = list(&response, "access-control-expose-headers");
        for name in ["ETag", "Retry-After", "WWW-Authenticate", "X-Request-Id"] {
            assert!(exposed.contains(&name), "{exposed:?}");
        }
        let response = send(OTHER).await;
        assert_eq!((response.status, response.header("access-control-allow-origin")), (status, None));
    }
    let response = server.client.send("GET", "/health/live", &format!("Origin: {ORIGIN}\r\n"), b"").await;
    assert_eq!((response.status, response.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn pages_of_allowed_origins_use_the_api_with_its_files_and_nothing_else() {
    let app = App::on_sqlite().await;
    let (client, paths) = (RawClient(app.address), paths());
    assert!(paths.len() > 8 && SHARED.iter().all(|path| paths.contains(path)), "{paths:?}");
    for path in paths {
        let allowed = SHARED.contains(&path).then_some(ORIGIN);
        let path = path.replace("ID", "1");
        for (origin, expected) in [(ORIGIN, allowed), (OTHER, None)] {
            let response = client.send("GET", &path, &format!("Origin: {origin}\r\n"), b"").await;
            assert_eq!(response.header("access-control-allow-origin"), expected, "{path} for {origin}");
            let response = client.send("OPTIONS", &path, &preflight(origin), b"").await;
            assert_eq!(response.header("access-control-allow-origin"), expected, "{path} for {origin}");
            assert_eq!(response.status == 204, expected.is_some(), "{path} for {origin}");
        }
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_read_and_revalidate_the_schema() {
    let app = App::on_sqlite().await;
    let client = RawClient(app.address);
    let read = async |headers: &str| {
        client.send("GET", "/schema.graphql", &format!("Origin: {ORIGIN}\r\n{headers}"), b"").await
    };
    let file = read("").await;
    assert!(file.body.contains("type Query {"), "{}", file.head);
    let etag = file.header("etag").unwrap();
    let same = read(&format!("If-None-Match: {etag}\r\n")).await;
    assert_eq!(same.body, "");
    for (response, status) in [(&file, 200), (&same, 304)] {
        assert_eq!((response.status, response.header("access-control-allow-origin")), (status, Some(ORIGIN)));
        assert_eq!(response.header("etag"), Some(etag));
        assert!(list(response, "access-control-expose-headers").contains(&"ETag"), "{}", response.head);
        // A cache must keep it neither for other callers nor for other origins.
        let head = response.head.to_lowercase();
        assert!(head.contains("vary: authorization") && head.contains("vary: origin"), "{head}");
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_follow_subscriptions() {
    let server = ToyServer::start().await;
    let path = "/graphql?query=subscription%7Bticks%7D";
    let own = "http://x";
    for (origin, status) in [(ORIGIN, 200), (own, 200), (OTHER, 403), ("null", 403)] {
        let headers = format!("Accept: text/event-stream\r\nOrigin: {origin}\r\n");
        let response = server.client.send("GET", path, &headers, b"").await;
        assert_eq!(response.status, status, "{origin}");
    }
    assert!(Socket::open_with(server.client.0, &[OFFER, ("origin", ORIGIN)]).await.is_ok());
    assert_eq!(Socket::open_with(server.client.0, &[OFFER, ("origin", OTHER)]).await.err(), Some(403));
}

/// Serves an empty page, and returns its origin.
async fn page() -> String {
    const RESPONSE: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\nConnection: close\r\n\r\n<title>App</title>";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(RESPONSE).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    origin
}

/// Signs in with the token of a session that has ended, and does what a page does then.
const PAGE: &str = "
    window.result = null;
    const [url, login, password] = VALUES;
    const graphql = { 'content-type': 'application/json', 'x-apollo-operation-name': 'Any' };
    const send = (query, variables, token) => fetch(`${url}/graphql`, {
        method: 'POST', headers: { ...graphql, authorization: `Bearer ${token}` }, body: JSON.stringify({ query, variables }),
    });
    const run = async () => {
        const signIn = 'mutation ($input: LoginInput!) { login(input: $input) { token user { id } } }';
        const signedIn = (await (await send(signIn, { input: { login, password } }, 'ros_ended')).json()).data.login;
        const viewer = await send('{ viewer { fullName } }', {}, signedIn.token);
        const refused = await send('{ viewer { fullName } }', {}, 'ros_ended');

        const canvas = Object.assign(document.createElement('canvas'), { width: 8, height: 8 });
        const picture = await new Promise(done => canvas.toBlob(done));
        const form = new FormData();
        form.append('operations', JSON.stringify({
            query: 'mutation ($input: SetUserAvatarInput!) { setUserAvatar(input: $input) { user { avatarUrl } } }',
            variables: { input: { id: signedIn.user.id, avatar: null } },
        }));
        form.append('map', JSON.stringify({ 0: ['variables.input.avatar'] }));
        form.append('0', picture);
        const upload = await fetch(`${url}/graphql`, {
            method: 'POST', headers: { authorization: `Bearer ${signedIn.token}`, 'apollo-require-preflight': '1' }, body: form,
        });
        const image = new Image();
        image.src = (await upload.json()).data.setUserAvatar.user.avatarUrl;
        await image.decode();

        const schema = await fetch(`${url}/schema.graphql`);
        const headers = { 'if-none-match': schema.headers.get('etag') };
        const same = await fetch(`${url}/schema.graphql`, { headers });

        return {
            name: (await viewer.json()).data.viewer.fullName,
            hasRequestId: viewer.headers.get('x-request-id').length === 36,
            refused: [refused.status, (await refused.json()).errors[0].extensions.code],
            width: image.naturalWidth,
            schema: [schema.status, (await schema.text()).includes('type Query {'), same.status],
        };
    };
    run().then(result => { window.result = result; }, error => { window.result = String(error); });
";

async fn result(browser: &Browser, origin: &str, url: &str) -> Value {
    browser.open(origin).await;
    browser.run(&PAGE.replace("VALUES", &json!([url, ADMIN, PASSWORD]).to_string())).await;
    browser.see_true("return window.result !== null").await;
    browser.run("return window.result").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_an_allowed_origin_signs_in_shows_a_picture_and_reads_the_schema() {
    let Some(browser) = Browser::start().await else { return };
    let (allowed, next, other) = (page().await, page().await, page().await);
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let next_url = format!("{next}/welcome");
    let server = sandbox.serve(&["--allowed-origins", &allowed, "--next-urls", &next_url]).await;
    for origin in [&allowed, &next] {
        let seen = result(&browser, origin, &server.url("")).await;
        let wanted = json!({
            "name": "Root Alder",
            "hasRequestId": true,
            "refused": [401, "UNAUTHENTICATED"],
            "width": 8,
            "schema": [200, true, 304],
        });
        assert_eq!(seen, wanted, "{origin}; console: {:#?}", browser.console().await);
    }
    let seen = result(&browser, &other, &server.url("")).await;
    assert!(seen.as_str().is_some_and(|error| error.contains("Failed to fetch")), "{seen}");
}
