//! The examples, which use the package for TypeScript, in a browser and from another origin.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::app::PASSWORD;
use crate::browser::Browser;
use crate::process::{ADMIN, Caller, Process, Sandbox};
use crate::programs::skip;
use crate::{avatars, clients, node};

/// The folders of `examples/`, each with the same application.
const EXAMPLES: [&str; 4] = ["react-apollo", "react-relay", "react-urql", "vue"];
const FILES: [(&str, &str); 3] =
    [("index.html", "text/html"), ("main.js", "text/javascript"), ("main.css", "text/css")];

/// The example that sends its documents by ID.
const RELAY: &str = "react-relay";
/// Its documents, and those of the package, by which it signs in and out.
const MANIFESTS: [&str; 2] =
    ["examples/react-relay/persisted-documents.json", "clients/typescript/dist/documents.json"];

/// The server in the page of the examples.
const SERVER: &str = "http://127.0.0.1:8000";

fn path(example: &str, file: &str) -> PathBuf {
    node::path("examples").join(example).join("dist").join(file)
}

/// Whether the examples are built. If not, notes that the test is skipped; an error if `ROSTER_REQUIRE_ALL` is set.
fn are_built() -> bool {
    let is_built = |example: &&str| FILES.iter().all(|(file, _)| path(example, file).is_file());
    let are_built = EXAMPLES.iter().all(is_built) && MANIFESTS.iter().all(|file| node::path(file).is_file());
    if !are_built {
        skip("`npm run build` has not been run in examples");
    }
    are_built
}

/// Serves the files of an example, with the address of a server in the page.
fn serve(example: &'static str, listener: TcpListener, server: String) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(respond(stream, example, server.clone()));
        }
    });
}

async fn respond(mut stream: TcpStream, example: &str, server: String) {
    let mut request = [0; 4096];
    let Ok(length) = stream.read(&mut request).await else { return };
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let Some((file, media_type)) = FILES.iter().find(|(file, _)| request.starts_with(&format!("GET /{file}"))) else {
        return;
    };
    let mut body = fs::read(path(example, file)).unwrap();
    if *media_type == "text/html" {
        body = String::from_utf8(body).unwrap().replace(SERVER, &server).into_bytes();
    }
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
    let _ = stream.shutdown().await;
}

/// Creates a user of this name, and returns their ID.
async fn create(root: &Caller, first_name: &str) -> String {
    let email = format!("{first_name}@example.org");
    let input = json!({ "firstName": first_name, "lastName": "Quill", "email": email, "sendRegistrationEmail": false });
    clients::mutate(root, "createUser", "user", &input).await.unwrap()
}

async fn sign_in(browser: &Browser) {
    browser.write("[name=login]", ADMIN).await;
    browser.write("[name=password]", PASSWORD).await;
    browser.click("#sign-in button").await;
    browser.see("#viewer", "Root Alder").await;
    browser.see("#live", "Live").await;
}

/// Opens the only user that is shown, corrects an error in the form, and uploads a picture.
async fn edit(browser: &Browser, sandbox: &Sandbox) {
    browser.click(".people button").await;
    browser.write("[name=position]", "Nurse").await;
    browser.write("[name=phone]", "none").await;
    browser.click("#profile button").await;
    browser.see("[name=phone] + [role=alert]", "Must be a phone number").await;
    assert_eq!(browser.run("return document.querySelector('[name=position]').value").await, "Nurse");
    browser.write("[name=phone]", "1").await;
    browser.click("#profile button").await;
    browser.see(".people small", "Nurse").await;

    let picture = sandbox.path("picture.png");
    fs::write(&picture, avatars::png(8, 8)).unwrap();
    browser.write("#avatar", picture.to_str().unwrap()).await;
    browser.see_true("return document.querySelector('.people img')?.naturalWidth === 8").await;
}

/// Sees what another caller changes of the only user that is shown.
async fn follow(browser: &Browser, root: &Caller, id: &str) {
    clients::mutate(root, "updateUser", "user", &json!({ "id": id, "position": "Surgeon" })).await.unwrap();
    browser.see(".people small", "Surgeon").await;
    browser.see_true("return document.querySelector('[name=position]').value === 'Surgeon'").await;
    clients::mutate(root, "updateUser", "user", &json!({ "id": id, "phone": "555 0100" })).await.unwrap();
    browser.see_true("return document.querySelector('[name=phone]').value === '555 0100'").await;
    clients::mutate(root, "setActive", "user", &json!({ "id": id, "active": false })).await.unwrap();
    browser.see("#count", "0 of 0").await;
}

/// Publishes the documents of the Relay example.
async fn publish(sandbox: &Sandbox) {
    for manifest in MANIFESTS {
        let published = sandbox.run(&["documents", "publish", node::path(manifest).to_str().unwrap()]).await;
        assert_eq!(published.code, 0, "{published:?}");
    }
}

/// Starts a server with these arguments, too, and serves an example for it. Returns it and the origin of the page.
async fn begin(example: &'static str, sandbox: &Sandbox, arguments: &[&str]) -> (Process, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    if example == RELAY {
        publish(sandbox).await;
    }
    let server = sandbox.serve(&[&["--allowed-origins", origin.as_str()][..], arguments].concat()).await;
    serve(example, listener, server.url(""));
    (server, origin)
}

/// Finds and edits people, who change meanwhile. The server of the page has these arguments, too.
async fn try_out(example: &'static str, browser: &Browser, arguments: &[&str]) {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let (server, origin) = begin(example, &sandbox, arguments).await;
    // Another one, which takes all documents, for what others do meanwhile.
    let other = if arguments.is_empty() { None } else { Some(sandbox.serve(&[]).await) };
    let root = other.as_ref().unwrap_or(&server).sign_in(ADMIN).await;
    for number in 0..30 {
        create(&root, &format!("User{number}")).await;
    }
    // A link to the page does not choose the server that gets the password.
    browser.open(&format!("{origin}/index.html?server=http://192.0.2.1")).await;
    sign_in(browser).await;

    browser.see("#count", "20 of 31").await;
    browser.click("#more").await;
    browser.see("#count", "31 of 31").await;
    let iris = create(&root, "Iris").await;
    browser.see("#count", "32 of 32").await;
    browser.see(".people", "Iris Quill").await;
    browser.write("[type=search]", "qiull iris").await;
    browser.see("#count", "1 of 1").await;

    edit(browser, &sandbox).await;
    follow(browser, &root, &iris).await;

    browser.click("#sign-out").await;
    browser.see("#sign-in", "Password").await;
    assert_eq!(browser.console().await, [""; 0], "{example}");
    if other.is_some() {
        let viewer = server.caller(root.token.as_deref());
        let refused = viewer.try_execute("{ viewer { fullName } }", &json!({})).await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], json!("DOCUMENT_NOT_TRUSTED"), "{refused:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_find_and_edit_people_who_change_meanwhile() {
    if !are_built() {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    for example in EXAMPLES {
        eprintln!("{example}"); // shown if it fails
        try_out(example, &browser, &[]).await;
    }
}

/// Kills a server, and returns its address.
async fn kill(server: &mut Process) -> String {
    let address = server.address();
    server.signal("KILL");
    server.status().await;
    address
}

/// Kills the server of a page that follows changes, and starts it again.
async fn interrupt(example: &'static str, browser: &Browser) {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let (mut server, origin) = begin(example, &sandbox, &[]).await;
    browser.open(&format!("{origin}/index.html")).await;
    sign_in(browser).await;
    let address = kill(&mut server).await;
    browser.see("#live", "Connecting").await;

    server = sandbox.serve_at(&address, &["--allowed-origins", &origin]).await;
    browser.see("#live", "Live").await;
    create(&server.sign_in(ADMIN).await, "Iris").await;
    browser.see(".people", "Iris Quill").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_say_when_no_changes_come() {
    if !are_built() {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    for example in EXAMPLES {
        eprintln!("{example}"); // shown if it fails
        interrupt(example, &browser).await;
    }
}

/// Opens a profile, and then the page itself, while the server is away, and starts it again each time.
async fn open_while_away(example: &'static str, browser: &Browser) {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let (mut server, origin) = begin(example, &sandbox, &[]).await;
    browser.open(&format!("{origin}/index.html")).await;
    sign_in(browser).await;
    browser.see("#count", "1 of 1").await;

    let address = kill(&mut server).await;
    browser.see("#live", "Connecting").await;
    browser.click(".people button").await;
    browser.see_true("return Boolean(document.querySelector('.columns > [role=alert]')?.textContent)").await;
    server = sandbox.serve_at(&address, &["--allowed-origins", &origin]).await;
    browser.see("#profile", "Position").await;

    kill(&mut server).await;
    browser.reload().await;
    browser.see_true("return Boolean(document.querySelector('section > [role=alert]')?.textContent)").await;
    server = sandbox.serve_at(&address, &["--allowed-origins", &origin]).await;
    browser.see("#viewer", "Root Alder").await;
    create(&server.sign_in(ADMIN).await, "Iris").await;
    browser.see("#count", "2 of 2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_read_again_what_failed_while_the_server_was_away() {
    if !are_built() {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    for example in EXAMPLES {
        eprintln!("{example}"); // shown if it fails
        open_while_away(example, &browser).await;
    }
}

/// Waits until the list shows an error where the user can see it, or none.
async fn see_error_of_list(browser: &Browser, is_shown: bool) {
    let script = "const error = document.querySelector('section > [role=alert]');
        const { top, bottom } = error.getBoundingClientRect();
        return Boolean(error.textContent) && top >= 0 && bottom <= innerHeight";
    browser.see_true(&format!("return (() => {{ {script} }})() === {is_shown}")).await;
}

/// Asks for more users while requests fail: first because of the network, then because the server is away.
async fn ask_for_more(example: &'static str, browser: &Browser) {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let (mut server, origin) = begin(example, &sandbox, &[]).await;
    let root = server.sign_in(ADMIN).await;
    for number in 0..45 {
        create(&root, &format!("User{number}")).await;
    }
    browser.open(&format!("{origin}/index.html")).await;
    sign_in(browser).await;
    browser.see("#count", "20 of 46").await;

    let failing = "() => Promise.reject(new TypeError('no connection'))";
    browser.run(&format!("window.serverFetch = window.fetch; window.fetch = {failing}")).await;
    for _ in 0..2 {
        browser.click("#more").await;
        see_error_of_list(browser, true).await;
    }
    browser.run("window.fetch = window.serverFetch").await;
    browser.click("#more").await;
    browser.see("#count", "40 of 46").await;
    see_error_of_list(browser, false).await;

    let address = kill(&mut server).await;
    browser.see("#live", "Connecting").await;
    browser.click("#more").await;
    see_error_of_list(browser, true).await;
    let _server = sandbox.serve_at(&address, &["--allowed-origins", &origin]).await;
    browser.see("#count", "46 of 46").await;
    see_error_of_list(browser, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_say_that_more_users_cannot_be_read_and_try_again() {
    if !are_built() {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    for example in EXAMPLES {
        eprintln!("{example}"); // shown if it fails
        ask_for_more(example, &browser).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_example_works_where_only_its_published_documents_are_executed() {
    if !are_built() {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    try_out(RELAY, &browser, &["--documents", "trusted-only"]).await;
}
